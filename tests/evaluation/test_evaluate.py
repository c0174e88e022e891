"""An evaluation: where it is written, what it records, how it is shown, what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inprocess import status_of
from reversals import new_trainer, overrides, trained_run, write_reversals
from small_models import letters_translator

from seq2seq.build.evaluation import evaluation_set
from seq2seq.build.inference import load_run
from seq2seq.data import corpus
from seq2seq.data.corpus import ParallelText
from seq2seq.decoding.translator import Translator
from seq2seq.errors import ConfigError, DataError, DecodingError
from seq2seq.evaluation.alignment import forced_links
from seq2seq.evaluation.evaluate import evaluate, report, write
from seq2seq.evaluation.saved import read_evaluation, read_text
from seq2seq.evaluation.teacher_forcing import perplexity
from seq2seq.settings.schema import DecodeConfig, EvaluateConfig, FilesConfig, Multi30kConfig
from seq2seq.training.validator import Validator


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("evaluated")
    return trained_run(directory, 60, "trainer.max_steps=4", "decode.beam_size=2", "name=run")


def evaluated(run: Path, *given: str) -> dict[str, dict[str, Any]]:
    """Evaluate; every evaluation that the run then has, by its name."""
    assert status_of("evaluate", f"run={run}", "bootstrap=20", *given) == 0
    return {path.parent.name: json.loads(path.read_text()) for path in run.glob("evaluation/*/scores.json")}


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """The one line of an evaluation that is refused."""
    capsys.readouterr()
    assert status_of("evaluate", *given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, without evaluations."""
    return shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))


def files_of(run: Path, split: str) -> list[str]:
    return [f"{key}={run.parents[1] / split}.{side}" for key, side in (("src_file", "src"), ("ref_file", "tgt"))]


def test_the_directory_of_an_evaluation_names_its_unusual_settings(run: Path, own: Path) -> None:
    for given in (
        [],
        ["decode.beam_size=1"],
        ["decode.beam_size=2"],  # as the run was trained to search
        ["decode.length_penalty=0.5", "decode.allow_unk=true"],
        ["checkpoint=last"],
        ["machine.precision=int8", "machine.device=cpu"],
        ["split=valid"],
    ):
        names = evaluated(own, *given)
    assert set(names) == {
        "test",
        "test_beam-1",
        "test_length_penalty-0.5_allow_unk-true",
        "test_last",
        "test_int8_cpu",
        "valid",
    }
    assert {name: record["decode"]["beam_size"] for name, record in names.items() if "beam" in name} == {
        "test_beam-1": 1
    }
    assert (names["test"]["decode"]["beam_size"], names["test_int8_cpu"]["precision"]) == (2, "int8")
    assert evaluated(own / "best") == {}  # is the run's best/, whose evaluations are the run's
    copy = shutil.copytree(own / "best", own.parent / "copy")
    assert set(evaluated(copy, "split=test")) == {"test"}


def test_own_files_collide_neither_with_splits_nor_with_each_other(run: Path, own: Path, tmp_path: Path) -> None:
    names = set(evaluated(own, *files_of(run, "test"), "checkpoint=last"))
    for directory in ("one", "two", "same as two"):
        (tmp_path / directory).mkdir()
        for side in ("src", "tgt"):
            (tmp_path / directory / f"test.{side}").write_text("a b\n" if directory == "one" else "b a\n")
        files = [f"src_file='{tmp_path / directory}/test.src'", f"ref_file='{tmp_path / directory}/test.tgt'"]
        names = set(evaluated(own, *files))
    assert len(names) == 3
    assert all(name.startswith("test.src-") for name in names)
    assert len([name for name in names if name.endswith("_last")]) == 1


def test_the_record_says_what_was_measured_and_how(run: Path) -> None:
    first = evaluated(run, "split=test", "decode.beam_size=3")["test_beam-3"]
    data = run.parents[1]
    assert first["run"] == str(run)
    assert first["checkpoint"] == str(run / "best")
    assert first["update"] == json.loads((run / "best" / "checkpoint.json").read_text())["step"]
    assert first["data"] == "test"
    assert first["files"] == {
        str(data / f"test.{side}"): hashlib.sha256((data / f"test.{side}").read_bytes()).hexdigest()
        for side in ("src", "tgt")
    }
    assert first["decode"] == {**vars(DecodeConfig()), "beam_size": 3}
    assert (first["device"], first["bootstrap"], first["sentences"], first["truncated"]) == ("cpu", 20, 8, 0)
    assert [library.split(" ")[0] for library in first["versions"]] == ["seq2seq", "torch", "sacrebleu"]
    assert first["seconds"] > 0
    assert "|bs:20|" in first["scores"]["BLEU"]["signature"]
    assert set(first["scores"]["chrF2"]) == {"value", "signature", "interval"}
    directory = run / "evaluation" / "test_beam-3"
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert set(before) == {"scores.json", "translations.txt", "alignments.txt", "report.html"}
    page = before["report.html"].decode()
    assert f"60 pairs of {data / 'train.src'}" in page
    assert first["scores"]["BLEU"]["signature"] in page
    (directory / "translations.txt").write_text("spoiled")
    again = evaluated(run, "split=test", "decode.beam_size=3", "decode.workers=2")["test_beam-3"]
    assert again["scores"] == first["scores"]
    assert (directory / "translations.txt").read_bytes() == before["translations.txt"]
    assert not [path for path in (run / "evaluation").iterdir() if path.name.startswith(".")]


def test_the_table_fits_and_says_what_was_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("evaluate", f"run={run}", "decode.max_src_tokens=3", "bootstrap=1000") == 0
    head, *lines, written = capsys.readouterr().out.splitlines()
    name = "test_max_src_tokens-3"
    assert head.startswith(f"{name}: update ")
    assert head.endswith(f" of {run}")
    assert max(map(len, lines)) <= 80
    assert {line.split("  ")[0].strip() for line in lines} >= {"BLEU", "chrF2", "TER", "perplexity", "truncated"}
    assert len([line for line in lines if "|version:" in line]) == 4
    path = run / "evaluation" / name
    assert written == f"written to {path}: scores.json, translations.txt, alignments.txt, report.html"
    assert {file.name for file in path.iterdir()} == set(written.rpartition(": ")[2].split(", "))


def test_perplexity_is_of_sources_cut_as_for_translating() -> None:
    """Sources that differ only behind the cut are the same to it."""
    translator = letters_translator(max_src_tokens=3, beam_size=1)
    long, cut, ref = ["a b c d e f", "a b c", "k l"], ["a b c l", "a b c", "k l"], ["b a", "c", "k"]
    ours, theirs = evaluate(translator, long, ref, "", 0), evaluate(translator, cut, ref, "", 0)
    assert ours.teacher_forced_ppl == pytest.approx(theirs.teacher_forced_ppl, rel=1e-6)
    assert (ours.truncated, theirs.truncated) == (1, 1)
    whole = evaluate(letters_translator(beam_size=1), long, ref, "", 0)
    assert whole.truncated == 0
    assert whole.teacher_forced_ppl != pytest.approx(ours.teacher_forced_ppl, rel=1e-4)
    assert "truncated" in report(ours)
    assert "truncated" not in report(whole)


def test_references_beyond_what_search_writes_do_not_count(tmp_path: Path) -> None:
    """Neither for perplexity nor in the validation of training."""
    translator = letters_translator(max_src_tokens=3, beam_size=1)
    src, long, cut = ["a b c", "k l"], ["b a c d " + "k " * 5000, "k"], ["b a c d", "k"]
    ours, theirs = evaluate(translator, src, long, "", 0), evaluate(translator, src, cut, "", 0)
    assert ours.teacher_forced_ppl == pytest.approx(theirs.teacher_forced_ppl, rel=1e-6)
    assert (ours.truncated_references, theirs.truncated_references) == (1, 0)
    valid, shorter = (Validator(ParallelText(src, text, [1, 2]), translator, "") for text in (long, cut))
    assert [side.tolist() for side in valid.pairs] == [side.tolist() for side in shorter.pairs]


def test_each_validation_translates_with_the_weights_as_they_are() -> None:
    translator = letters_translator(beam_size=1)
    validator = Validator(ParallelText(["a b c d"], ["d c b a"], [1]), translator, "")
    before = validator.validate(lambda _: nullcontext(lambda _: None)).translations
    for parameter in translator.model.decoder.parameters():
        parameter.data.neg_()
    after = validator.validate(lambda _: nullcontext(lambda _: None)).translations
    assert before[0].text != after[0].text
    assert (
        after[0].text
        == Translator(translator.model, translator.tokenizers, translator.decode).translate(["a b c d"])[0].text
    )


def test_what_is_not_finite_is_written_as_text(tmp_path: Path) -> None:
    def refused(constant: str) -> None:
        raise AssertionError(constant)

    result = evaluate(letters_translator(beam_size=1), ["a b c"], ["b a"], "", 0)
    write(tmp_path / "evaluation", result._replace(teacher_forced_ppl=math.inf), {}, "")
    scores = json.loads((tmp_path / "evaluation" / "scores.json").read_text(), parse_constant=refused)
    assert scores["teacher_forced_ppl"] == "inf"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_read_twice(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    line = refused(capsys, f"run={run}", f"src_file={tmp_path / 'pipe'}", f"ref_file={tmp_path / 'pipe'}")
    assert line.startswith(f"src_file={tmp_path / 'pipe'}: a pipe, but the file is read twice")


def test_few_lines_with_blank_ones_are_scored_without_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    translator = letters_translator(beam_size=1)
    src = ["a b c", "l", "b a"]
    ref = [translation.text for translation in translator.translate(src)]
    result = evaluate(translator, src, [ref[0], "", ref[2]], "", 1000)
    assert result.scores["chrF2"].interval is None
    assert result.scores["chrF2"].value > 50
    assert caplog.messages == ["chrF2: no interval, since some resamples of so few lines have no text to compare"]
    assert "chrF2" in report(result)


def test_evaluations_that_are_refused_give_one_line(
    run: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = f"run={own}"
    line = refused(capsys, given, "data_root=/data")
    assert line.startswith("data_root=/data: only Multi30k has one, and this run has data=files; give src_file=")
    files = files_of(run, "test")
    assert refused(capsys, given, files[0]) == "src_file and ref_file: give both, or neither and a split="
    assert "give no split= or data_root= with it" in refused(capsys, given, *files, "split=valid")
    assert "train, valid and test" in refused(capsys, given, "split=tset")
    assert not list(own.glob("evaluation/*"))


def spoil(checkpoint: Path, value: float) -> None:
    """Multiply a matrix of the checkpoint, as if it had been trained and saved so."""
    from safetensors.torch import load_file, save_file

    file, about = checkpoint / "model.safetensors", checkpoint / "checkpoint.json"
    weights = load_file(file)
    weights["decoder.readout.weight"] *= value
    weights["decoder.embedding.weight"] *= value
    save_file(weights, file)
    fields = json.loads(about.read_text())
    fields["files"][file.name] = {
        "bytes": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    about.write_text(json.dumps(fields))


def test_a_seed_of_resamples_that_is_none_is_refused_before_anything_is_translated(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "1e3")
    line = refused(capsys, f"run={own}")
    assert line == "SACREBLEU_SEED=1e3: expected a whole number, or none for another seed each time"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_named(
    own: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    spoil(own / "best", value)
    line = refused(capsys, f"run={own}")
    assert line.startswith(f"{own / 'best' / 'model.safetensors'}: decoder.embedding.weight has weights that are")


def test_logits_that_overflow_are_one_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(own / "best", 1e38)
    for beam in (1, 2):
        line = refused(capsys, f"run={own}", f"decode.beam_size={beam}", "bootstrap=0")
        assert line.startswith("the model's logits are not finite")


def test_training_that_overflows_ends_in_one_line(run: Path) -> None:
    """Its updates are finite, its logits no longer."""
    rate = ["schedule=constant", "trainer.max_steps=8", "name=overflow"]
    often = ["trainer.validate_unit=steps", "trainer.validate_every=1", "trainer.valid_beam_size=2"]
    trainer = new_trainer(*overrides(run.parents[1], *rate, *often))
    trainer.optimizer.defaults["lr"] = 5e37  # which the settings refuse
    with pytest.raises(DecodingError, match=r"train again with a lower optimizer\.lr$"):
        trainer.train()


def test_notes_beside_an_evaluation_are_not_replaced(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = own / "evaluation" / "test_beam-1" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    line = refused(capsys, f"run={own}", "decode.beam_size=1", "bootstrap=0")
    assert line == f"{notes} was not written by seq2seq and would be lost: move it elsewhere"


def test_the_data_is_found_from_elsewhere_and_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for directory in ("project/corpus", "elsewhere"):
        (tmp_path / directory).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    data = write_reversals(Path("corpus"), {"train": 60, "valid": 6, "test": 8})
    new_trainer(*overrides(data, "trainer.max_steps=1", "runs_dir=runs", "name=run")).train()
    monkeypatch.chdir(tmp_path / "elsewhere")
    names = evaluated(Path("../project/runs/run"))
    assert [*names["test"]["files"]] == [f"{tmp_path}/project/corpus/test.{side}" for side in ("src", "tgt")]
    (tmp_path / "project").rename(tmp_path / "moved")
    run = tmp_path / "moved" / "runs" / "run"
    names = evaluated(run)
    assert [*names["test"]["files"]] == [f"{tmp_path}/moved/corpus/test.{side}" for side in ("src", "tgt")]
    (tmp_path / "moved" / "corpus" / "test.src").unlink()
    lost = f"{tmp_path}/project/corpus/test.src: no such file or directory; give src_file=… and ref_file=… instead"
    assert refused(capsys, f"run={run}") == lost
    lost = "nothing: no such file or directory; give another src_file=…"
    assert refused(capsys, f"run={run}", "src_file=nothing", "ref_file=nothing") == lost


def test_a_root_that_has_gone_is_named_with_its_override() -> None:
    with pytest.raises(DataError, match=r"^/nowhere: no such file or directory; give data_root=…$"):
        evaluation_set(EvaluateConfig(run="runs/x"), Multi30kConfig(root="/nowhere"))


def test_a_split_that_the_run_lacks() -> None:
    with pytest.raises(ConfigError, match="split=test: the run has none; give src_file=… and ref_file=… instead"):
        evaluation_set(EvaluateConfig(run="runs/x"), FilesConfig())


def test_aligned_words_and_weights_of_every_translation(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(own, "weights=true")
    path = own / "evaluation" / "test"
    assert capsys.readouterr().out.endswith("alignments.txt, report.html, weights.npz\n")
    links = (path / "alignments.txt").read_text().split("\n")[:-1]
    with np.load(path / "weights.npz", allow_pickle=False) as weights:
        texts = (path / "translations.txt").read_text().split("\n")[:-1]
        for number, (text, line) in enumerate(zip(texts, links, strict=True), 1):
            assert weights[f"{number}/tgt"].tolist() == text.split()
            best = weights[f"{number}/weights"].argmax(axis=1).tolist()
            end = len(weights[f"{number}/src"]) - 1
            pairs = sorted((s, t) for t, s in enumerate(best) if s != end)
            assert line == " ".join(f"{s}-{t}" for s, t in pairs)
    evaluated(own)
    assert not (path / "weights.npz").exists()  # replaced by one without


def test_the_alignment_error_rate(
    run: Path, own: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Sure links are those that the model has, in half of the lines, and others in the other half."""
    loaded = load_run(own)
    text = corpus.read_parallel(*(run.parents[1] / f"test.{side}" for side in ("src", "tgt")))
    pairs, _ = loaded.translator.encode_pairs(text.src, text.tgt)
    found = dict(forced_links(loaded.translator, pairs, text.src, text.tgt))
    lines, hits, links, sure = [], 0, 0, 0
    for i in range(len(text)):
        ours = {f"{s + 1}-{t + 1}" for s, t in found[i]}
        gold = ours if i % 2 else {"1-1", "2-2"}
        hits, links, sure = hits + len(ours & gold), links + len(ours), sure + len(gold)
        lines.append(" ".join(gold))
    (tmp_path / "gold").write_text("\n".join(lines) + "\n")
    given = [f"gold_alignments={tmp_path / 'gold'}", "gold_first_word=1"]
    scores = evaluated(own, *given)["test"]
    expected = {"error_rate": 1 - 2 * hits / (links + sure), "precision": hits / links, "recall": hits / sure}
    assert scores["alignment"] == pytest.approx(expected)
    assert 0 < scores["alignment"]["error_rate"] < 1
    digest = hashlib.sha256((tmp_path / "gold").read_bytes()).hexdigest()
    assert scores["gold_alignments"] == {str(tmp_path / "gold"): digest}
    assert len(read_text(read_evaluation(own / "evaluation" / "test"))) == len(text)  # `seq2seq compare` reads it
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("AER"))
    assert row.split()[1] == f"{100 * expected['error_rate']:.2f}"
    assert len(row) <= 80
    assert "alignment" not in evaluated(own)["test"]
    assert "AER" not in capsys.readouterr().out
    line = refused(capsys, f"run={own}", *given[:1])
    assert line.startswith(f"{tmp_path / 'gold'}:2: ")
    line = refused(capsys, f"run={own}", *given[1:])
    assert line == "gold_first_word=1: give gold_alignments=…, the file that it is about"
    line = refused(capsys, f"run={own}", "gold_alignments=nothing")
    assert line == "nothing: no such file or directory; give another gold_alignments=…"


def test_unknown_words_are_replaced_on_demand(own: Path) -> None:
    names = evaluated(own, "decode.replace_unk=true")
    assert names.keys() == {"test_replace_unk-true"}
    assert names["test_replace_unk-true"]["decode"]["replace_unk"] is True
    assert "<unk>" not in (own / "evaluation" / "test_replace_unk-true" / "translations.txt").read_text()


def test_perplexity() -> None:
    assert perplexity(math.log(7)) == pytest.approx(7)
    assert perplexity(1e6) == math.inf


def test_what_a_shortlist_changes_is_reported(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, name = "test_batch_tokens-10", "test_shortlist-1_batch_tokens-10"  # a sentence a batch
    names = evaluated(own, "decode.shortlist=1", "decode.batch_tokens=10")
    out = capsys.readouterr().out
    assert names.keys() == {name}
    with_it = (own / "evaluation" / name / "translations.txt").read_text().splitlines()
    names = evaluated(own, "decode.batch_tokens=10")
    assert "shortlist" not in names[plain]
    assert "by the shortlist" not in capsys.readouterr().out
    without = (own / "evaluation" / plain / "translations.txt").read_text().splitlines()
    unchanged = sum(a == b for a, b in zip(with_it, without, strict=True)) / len(without)
    difference = names[name]["scores"]["BLEU"]["value"] - names[plain]["scores"]["BLEU"]["value"]
    assert 0 < unchanged < 1
    assert names[name]["shortlist"] == pytest.approx({"unchanged": unchanged, "bleu_difference": difference})
    assert f"{100 * unchanged:.1f}%" in out
    assert f"{difference:+.2f}" in out


def test_a_run_of_an_earlier_version_has_no_shortlist(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = json.loads((own / "best/checkpoint.json").read_text())
    (own / "best/tokenizer/lexicon.safetensors").unlink()
    assert "is not whole" in refused(capsys, f"run={own}")
    del info["files"]["tokenizer/lexicon.safetensors"]
    (own / "best/checkpoint.json").write_text(json.dumps(info))
    assert evaluated(own).keys() == {"test"}
    assert refused(capsys, f"run={own}", "decode.shortlist=9") == (
        f"decode.shortlist=9: {own}/best has no tokenizer/lexicon.safetensors, since an earlier version trained "
        "it; give decode.shortlist=0, or train again"
    )
