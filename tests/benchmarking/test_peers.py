"""The peers, without their environments: what is written for them, run, read back and compared."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from benchmarking import decoding, report
from benchmarking.peers import TOOLKITS, driver
from benchmarking.peers.peer import Peer
from benchmarking.settings import PEERS, BenchmarkConfig
from benchmarking.training import training_corpus
from benchmarks import benchmark_of

from seq2seq.errors import ConfigError

FAKE = """#!{python}
import json, sys
isolated, driver, task, report, *words = sys.argv[1:]
assert isolated == "-I"
if task == "train":
    result = {"times": [1.0, 5.0, 7.0]}
else:
    result = {"seconds": 0.5, "lines": open(words[-1], encoding="utf-8").read().splitlines()}
with open(report.replace(".json", ".calls"), "a") as calls:
    print(*words, file=calls)
with open(report, "w") as file:
    json.dump({**result, "peak_memory": 3 * 10**9}, file)
sys.exit({status})
"""


def fake_peers(directory: Path, *keys: str, status: int = 0) -> list[str]:
    for key in keys:
        python = directory / key / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(FAKE.replace("{python}", sys.executable).replace("{status}", str(status)))
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return [f"benchmark.peers=[{','.join(keys)}]", f"benchmark.peers_dir={directory}", "machine.device=cpu"]


def peer(
    settings: list[str], tmp_path: Path, key: str = "opennmt", status: int = 0
) -> tuple[BenchmarkConfig, Peer]:
    config = benchmark_of(*settings, *fake_peers(tmp_path / "peers", key, status=status))
    return config, Peer(config, TOOLKITS[key], tmp_path / "out")


def test_every_peer_has_a_driver_and_a_name_in_the_settings() -> None:
    assert set(TOOLKITS) == set(PEERS) == set(driver.LOAD)


@pytest.mark.parametrize("key", PEERS)
def test_a_peer_trains_on_our_batches_in_their_order(settings: list[str], tmp_path: Path, key: str) -> None:
    """Known answer: the tokens of two batches, ends included, over the two seconds of its last pass."""
    config, contender = peer(settings, tmp_path, key)
    measured = contender.trainer(10).round()
    directory = tmp_path / "out" / key / "train-10"
    lines = [(directory / f"train.{side}").read_text(encoding="utf-8").splitlines() for side in ("src", "tgt")]
    assert len(lines[0]) == len(lines[1]) == 20
    tokens = sum(len(line.split()) + 1 for line in lines[1])
    assert measured == (tokens / 2.0, None, 3 * 10**9, None)
    for batch in (lines[1][:10], lines[1][10:]):  # of similar length
        lengths = [len(line.split()) for line in batch]
        assert max(lengths) - min(lengths) <= 2
    written = yaml.safe_load((directory / "train.yaml").read_text(encoding="utf-8"))
    assert written == TOOLKITS[key].settings(config, contender.trainer(10)._job)
    words = (directory / "train.calls").read_text().split()
    assert words == ["2", *TOOLKITS[key].train, str(directory / "train.yaml")]


def test_vocabularies_are_ours(settings: list[str], tmp_path: Path) -> None:
    config, contender = peer(settings, tmp_path)
    contender.trainer(10)
    written = (tmp_path / "out" / "opennmt" / "train-10" / "vocab.tgt").read_text(encoding="utf-8").splitlines()
    tokenizer = training_corpus(config).tokenizers.tgt
    assert written == [f"{piece}\t1" for piece in tokenizer.pieces(range(4, len(tokenizer)))]


def test_a_peer_searches_from_text_to_text_with_a_model_that_is_trained_once(
    settings: list[str], tmp_path: Path
) -> None:
    config, contender = peer(settings, tmp_path)
    pair = training_corpus(config).tokenizers
    lines = (tmp_path / "test.src").read_text().splitlines()
    for _ in range(2):
        searched = contender.translate(pair, lines, beam_size=5)
        assert searched.translations == lines  # the fake writes the pieces that it was given
        assert 0.5 < searched.seconds < 60
        assert searched.peak_memory == 3 * 10**9
    models = list((tmp_path / "out" / "opennmt").glob("model-*"))
    assert [(model / "train.calls").read_text().count("\n") for model in models] == [1]
    assert len((models[0] / "train.src").read_text().splitlines()) == 60
    calls = (tmp_path / "out" / "opennmt" / "translate.calls").read_text().splitlines()
    assert calls[0].split()[:3] == ["opennmt", str(models[0] / "model_step_480.pt"), "5"]


def test_another_setting_is_another_model(settings: list[str], tmp_path: Path) -> None:
    _, contender = peer(settings, tmp_path)
    contender.model()
    config = benchmark_of(
        *settings, "benchmark.peers=[opennmt]", f"benchmark.peers_dir={tmp_path / 'peers'}", "seed=9"
    )
    Peer(config, TOOLKITS["opennmt"], tmp_path / "out").model()
    assert len(list((tmp_path / "out" / "opennmt").glob("model-*"))) == 2


def test_ratios_are_to_the_fastest_peer_of_the_same_beam() -> None:
    names = {"ours": (1, 60.0), "eole": (1, 20.0), "JoeyNMT": (1, 30.0)}
    rows = [{"name": name, "beam": beam, "speed": speed} for name, (beam, speed) in names.items()]
    rows.append({"name": "ours", "beam": 5, "speed": 10.0})
    report.compare(rows, "speed")
    assert [row["times_fastest_peer"] for row in rows] == [2.0, pytest.approx(2 / 3), 1.0, None]
    assert list(report.headline("search", rows[:3])) == ["**search: 2.0× the fastest peer** (ours)"]
    assert list(report.headline("search", rows[3:])) == []


def test_tables_show_both_sizes_and_the_peers(settings: list[str], tmp_path: Path) -> None:
    rows = [
        {"name": name, "tokens_per_second": speed, "share_of_limit": None, "peak_memory": 2e9}
        for name, speed in (("fused, fp32 (auto)", 5000.0), ("OpenNMT-py", 1000.0))
    ]
    report.compare(rows, "tokens_per_second")
    size = {
        "contenders": rows,
        "vocabulary": (9, 9),
        "target_tokens_a_batch": 10,
        "seconds_to_collate_a_batch": 1e-5,
    }
    sizes = [{**size, "sentences": number} for number in (128, 40)]
    text = list(report.describe_training({"attention": "bahdanau", "training": sizes}))
    assert "| fused, fp32 (auto) | 5,000 | 5.00 |  | 2.0 GB | 5,000 | 5.00 |  | 2.0 GB |" in text
    assert "**training, 40 sentences a batch: 5.0× the fastest peer** (fused, fp32 (auto))" in text
    assert text[2].count("|") == text[3].count("|") == text[4].count("|")


def test_search_has_the_peers_beside_ours(settings: list[str], trained: str, tmp_path: Path) -> None:
    config = benchmark_of(*settings, trained, "machine.precision=fp32", *fake_peers(tmp_path / "peers", "eole"))
    searches = decoding.searches(config, 1, tmp_path / "out")
    assert list(searches) == ["seq2seq, fp32", "seq2seq, bf16", "seq2seq, int8", "eole"]


def test_a_peer_that_fails_is_said_so(settings: list[str], tmp_path: Path) -> None:
    _, contender = peer(settings, tmp_path, status=1)
    with pytest.raises(ConfigError, match=r"benchmark.peers=opennmt: train failed; see .*train.log"):
        contender.trainer(10).round()


def test_a_missing_peer_is_said_so(settings: list[str], tmp_path: Path) -> None:
    config = benchmark_of(*settings, "benchmark.peers_dir=nowhere")
    with pytest.raises(ConfigError, match=r"benchmark.peers_dir=nowhere: no eole there; run make peers"):
        Peer(config, TOOLKITS["eole"], tmp_path)


def test_an_attention_that_a_peer_does_not_have_is_said_so(settings: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmark.peers=opennmt: OpenNMT-py has no attention luong_concat"):
        peer([*settings, "attention=luong", "attention.score=concat"], tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("benchmark.peers=[eole,eole]", r"benchmark.peers=.*: expected a list without duplicates"),
        (
            "benchmark.peers=[eol]",
            r"benchmark.peers=eol: unknown; valid: opennmt, eole, joeynmt; did you mean",
        ),
        ("benchmark.sentences=[]", r"benchmark.sentences=\[\]: expected a list without duplicates"),
        ("benchmark.sentences=[0]", r"benchmark.sentences=\[0\]: expected list of integers, 1 to"),
    ],
)
def test_lists_are_checked(settings: list[str], given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        benchmark_of(*settings, given)


def test_the_driver_notes_the_time_of_every_few_updates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def train() -> None:
        seen.append(sys.argv)
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.Adam([weight])
        for _ in range(7):
            weight.grad = torch.ones(1)
            optimizer.step()

    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setitem(sys.modules, "toolkit_for_test", SimpleNamespace(main=train))  # type: ignore[misc]
    driver.main("train", str(tmp_path / "r.json"), "3", "toolkit_for_test", "-config", "x.yaml")
    result = json.loads((tmp_path / "r.json").read_text())
    assert len(result["times"]) == 2
    assert result["times"] == sorted(result["times"])
    assert result["peak_memory"] > 10**7
    assert seen == [["toolkit_for_test", "-config", "x.yaml"]]


def test_the_driver_gives_the_longest_lines_first_and_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def load(model: str, beam_size: int, batch: int) -> driver.Translate:
        assert (model, beam_size, batch) == ("m", 5, 64)
        return lambda lines: [given.append(line) or line.upper() for line in lines]  # type: ignore[func-returns-value]

    monkeypatch.setitem(driver.LOAD, "eole", load)
    result = driver.translate("eole", "m", 5, 64, ["b", "c d e", "a", "f g"])
    assert result["lines"] == ["B", "C D E", "A", "F G"]
    assert given == ["c d e", "f g", "b", "a"]
    assert result["seconds"] >= 0
