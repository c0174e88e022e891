"""Names of runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reversals import settings_of

from seq2seq.runs.layout import absolute, located, run_path, sweep_name
from seq2seq.settings.rules import check
from seq2seq.settings.schema import flat


@pytest.mark.parametrize(
    ("overrides", "swept", "template", "name"),
    [
        (["experiment=phrasebook"], {"optimizer.lr": "0.001", "seed": "2"}, "phrasebook",
         "phrasebook_lr-0.001_seed-2"),
        (["experiment=phrasebook"], {"attention": "bahdanau"}, "phrasebook", "phrasebook_attention-bahdanau"),
        (["experiment=phrasebook"], {"experiment": "phrasebook"}, "phrasebook", "phrasebook"),
        (["seed=2"], {"seed": "2"}, "", "phrasebook_de_en_luong_general_unigram_seed2"),
        (["seed=2"], {"seed": "2", "model": "small"}, "",
         "phrasebook_de_en_luong_general_unigram_seed2_model-small"),
        (["name=a"], {"name": "a"}, "a", "a"),
        (["name=s2"], {"seed": "2", "optimizer.lr": "0.1"}, "s${seed}", "s2_lr-0.1"),
        (["name=luong"], {"attention": "luong"}, "${attention.name}", "luong"),
        (["name=j0"], {"seed": "2"}, "j${hydra:job.num}", "j0"),
        (["name=a"], {"trainer.clip_norm": "null"}, "a", "a_clip_norm-null"),
        (["name=a"], {"tokenizer.normalization": "nmt_nfkc"}, "a", "a_normalization-nmt_nfkc"),
    ],
)  # fmt: skip
def test_name_in_a_sweep(overrides: list[str], swept: dict[str, str], template: str, name: str) -> None:
    assert sweep_name(settings_of(*overrides), swept, template) == name


def test_values_that_are_no_name() -> None:
    settings = settings_of("name=a")
    slash, space = (sweep_name(settings, {"data.train.src": f"x{sign}y.de"}) for sign in "/ ")
    assert re.fullmatch(r"a_src-x-y\.de_[0-9a-f]{8}", slash)
    assert re.fullmatch(r"a_src-x-y\.de_[0-9a-f]{8}", space)
    assert slash != space
    long = [sweep_name(settings, {"data.train.src": f"{'x' * 200}{i}"}) for i in range(2)]
    assert [len(name) for name in long] == [120, 120]
    assert long[0] != long[1]


NAMED_A = settings_of("name=a")
VALUES = st.text("ab1_-./ é", max_size=12)


@given(st.lists(st.tuples(VALUES, VALUES), unique=True, min_size=2, max_size=2))
def test_two_jobs_never_share_a_name_and_each_is_valid(jobs: list[tuple[str, str]]) -> None:
    names = []
    for job in jobs:
        names.append(sweep_name(NAMED_A, dict(zip(("model.b", "model.a_b"), job, strict=True))))
        check(dataclasses.replace(NAMED_A, name=names[-1]))
    assert names[0] != names[1]


def test_path_of_a_run() -> None:
    assert run_path(settings_of("name=mine", "runs_dir=/x y")) == Path("/x y/mine")


FILES = ["data=files", "data.train.tsv=corpus/a.tsv", "data.test.src=../b.de", "tokenizer=word", "name=x"]


def test_paths_are_kept_absolute_but_for_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = settings_of(*FILES, "tokenizer.src_vectors=v.txt", "data.train.tgt=''")
    kept = flat(absolute(given))
    changed = {key: value for key, value in kept.items() if value != flat(given)[key]}
    assert changed == {
        "data.train.tsv": f"{tmp_path}/corpus/a.tsv",
        "data.test.src": f"{tmp_path}/../b.de",
        "tokenizer.src_vectors": f"{tmp_path}/v.txt",
        "runs_dir": f"{tmp_path}/runs",
    }
    assert flat(absolute(absolute(given))) == kept
    child = absolute(settings_of("init_from=runs/y", "name=x"))
    assert child.init_from == f"{tmp_path}/runs/y"
    root = absolute(settings_of("data=multi30k", "data.root=m", "name=x"))
    assert flat(root)["data.root"] == f"{tmp_path}/m"
    assert flat(root)["data.download_dir"] == "data/multi30k"


@pytest.mark.parametrize("version", ["this", "earlier"])
def test_data_is_looked_for_as_kept_and_as_seen_from_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    for directory in ("one/corpus", "two/runs/x", "elsewhere"):
        (tmp_path / directory).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "one")
    given = settings_of(*FILES)
    kept = absolute(given) if version == "this" else given
    moved, before = tmp_path / "two" / "corpus" / "a.tsv", Path("corpus/a.tsv")
    before.touch()
    monkeypatch.chdir(tmp_path / "elsewhere" if version == "this" else tmp_path / "one")
    run = tmp_path / "two" / "runs" / "x"
    assert flat(located(kept, run))["data.train.tsv"] == flat(kept)["data.train.tsv"]
    (tmp_path / "one" / "corpus").rename(moved.parent)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert flat(located(kept, run))["data.train.tsv"] == str(moved)
    assert flat(located(kept, Path("../two/runs/x")))["data.train.tsv"] == "../two/corpus/a.tsv"
    moved.unlink()
    assert flat(located(kept, run))["data.train.tsv"] == flat(kept)["data.train.tsv"]
