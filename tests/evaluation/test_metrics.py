"""Our scores against sacreBLEU's own command line, and the bootstrap interval."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from reversals import new_trainer

from seq2seq.errors import ConfigError
from seq2seq.evaluation.metrics import Score, all_scores, bleu, check_language, chrf

REFERENCES = [
    "Ein Hund läuft schnell durch den Wald.",
    'Die Frau sagte: "Ich komme um 3,5 Uhr."',
    "Zwei Männer spielen Fußball auf dem Rasen",
    "Das rote Haus steht am Ufer des Flusses.",
    "Ein Kind isst einen Apfel.",
    "Ja!",
]
HYPOTHESES = [
    "Ein hund läuft schnell durch den Wald .",
    'Die Frau sagte: "Ich komme um 3 Uhr."',
    "Zwei männer spielen Fußball auf dem\u2028Rasen",  # which is no line end
    "Am Ufer des Flusses steht das rote Haus.",
    "",
    "Nein!",
]


def command_line(directory: Path, references: list[str], hypotheses: list[str], *options: str) -> dict[str, Any]:
    """What ``sacrebleu`` says of the files, by metric."""
    for name, lines in (("ref", references), ("hyp", hypotheses)):
        (directory / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "--format", "json", "-w", "8", *options]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, encoding="utf-8", check=True)
    reports = json.loads(done.stdout)
    return {report["name"]: report for report in (reports if isinstance(reports, list) else [reports])}


def assert_same(ours: Score, theirs: dict[str, Any]) -> None:
    assert ours.value == pytest.approx(theirs["score"], abs=1e-7)
    assert ours.signature == theirs["signature"]


def test_equal_to_the_command_line(tmp_path: Path) -> None:
    theirs = command_line(tmp_path, REFERENCES, HYPOTHESES, "-m", "bleu", "chrf", "ter")
    ours = all_scores(HYPOTHESES, REFERENCES)
    for name in ("BLEU", "chrF2", "TER"):
        assert_same(ours[name], theirs[name])
        assert ours[name].interval is None
    assert 10 < ours["BLEU"].value < 90
    assert bleu(HYPOTHESES, REFERENCES).value == pytest.approx(theirs["BLEU"]["score"], abs=1e-7)
    assert chrf(HYPOTHESES, REFERENCES) == pytest.approx(theirs["chrF2"]["score"], abs=1e-7)


def test_equal_to_the_command_line_in_lower_case(tmp_path: Path) -> None:
    theirs = command_line(tmp_path, REFERENCES, HYPOTHESES, "-m", "bleu", "-lc")
    ours = all_scores(HYPOTHESES, REFERENCES)
    assert_same(ours["BLEU-lc"], theirs["BLEU"])
    assert "case:lc" in ours["BLEU-lc"].signature
    assert ours["BLEU-lc"].value > ours["BLEU"].value


def test_equal_to_the_command_line_with_intervals(tmp_path: Path) -> None:
    options = ("-m", "bleu", "chrf", "--confidence", "--confidence-n", "50")
    theirs = command_line(tmp_path, REFERENCES, HYPOTHESES, *options)
    ours = all_scores(HYPOTHESES, REFERENCES, bootstrap=50)
    for name in ("BLEU", "chrF2"):
        assert_same(ours[name], theirs[name])
        assert "bs:50" in ours[name].signature
        mean, half = theirs[name]["confidence_mean"], theirs[name]["confidence_var"]
        assert ours[name].interval == pytest.approx((mean - half, mean + half), abs=1e-5)


def test_chinese_is_split_as_on_the_command_line(tmp_path: Path) -> None:
    references, hypotheses = ["我今天去学校看朋友。", "他是一个老师"], ["我今天去学校看老师。", "他是老师"]
    theirs = command_line(tmp_path, references, hypotheses, "-m", "bleu", "-l", "de-zh")
    ours = all_scores(hypotheses, references, tgt_language="zh")["BLEU"]
    assert_same(ours, theirs["BLEU"])
    assert "tok:zh" in ours.signature
    assert bleu(hypotheses, references, "zh").value == pytest.approx(ours.value)
    assert bleu(hypotheses, references).value < ours.value  # a sentence is one word to 13a


def test_bleu_has_its_parts() -> None:
    score = bleu(["a b c d e", "f g h"], ["a b c d e", "f g h i j"])
    assert score.length_ratio == pytest.approx(8 / 10)
    assert score.brevity_penalty == pytest.approx(2.718281828 ** (1 - 10 / 8))
    assert score.value == pytest.approx(100 * score.brevity_penalty)  # nothing else is wrong
    perfect = bleu(REFERENCES, REFERENCES)
    assert perfect == pytest.approx((100, 1, 1))


def noisy_corpus(count: int = 60) -> tuple[list[str], list[str]]:
    rng = random.Random(0)
    references = [" ".join(rng.choices(["der", "Hund", "läuft", "im", "Wald", "rot"], k=10)) for _ in range(count)]
    hypotheses = [
        " ".join(word if rng.random() < 0.85 else "und" for word in line.split(" ")) for line in references
    ]
    return hypotheses, references


def test_the_interval_holds_the_score_and_shrinks_with_more_text() -> None:
    hypotheses, references = noisy_corpus()
    widths = []
    for count in (10, 60):
        scores = all_scores(hypotheses[:count], references[:count], bootstrap=100)
        for name in ("BLEU", "BLEU-lc", "chrF2"):
            assert scores[name].interval is not None
            low, high = scores[name].interval
            assert low < scores[name].value < high
        assert scores["TER"].interval is None
        low, high = scores["BLEU"].interval
        widths.append(high - low)
    assert widths[1] < 0.8 * widths[0]


def test_the_bootstrap_is_reproducible() -> None:
    hypotheses, references = noisy_corpus(20)
    first = all_scores(hypotheses, references, bootstrap=30)
    random.seed(3)
    assert all_scores(hypotheses, references, bootstrap=30) == first


def test_no_interval_if_it_cannot_be_computed() -> None:
    assert all_scores(["a b"], ["a b"], bootstrap=30)["BLEU"].interval is None  # one sentence
    scores = all_scores(["", ""], ["a", "b"], bootstrap=30)  # every resample is 0
    assert scores["BLEU"].value == 0.0
    assert scores["TER"].value == 100.0


def test_a_blank_resample_costs_only_the_interval(caplog: pytest.LogCaptureFixture) -> None:
    hypotheses, references = ["Ja .", "x", "Nein"], ["Ja.", "", "Nein."]
    plain, scores = all_scores(hypotheses, references), all_scores(hypotheses, references, bootstrap=1000)
    assert scores["chrF2"] == plain["chrF2"]  # the signature too
    assert [message.split(":")[0] for message in caplog.messages] == ["chrF2"]


@pytest.mark.parametrize(("language", "module"), [("ja", "tokenizer_ja_mecab"), ("ko", "tokenizer_ko_mecab")])
def test_a_missing_word_splitter_is_named(
    language: str, module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(f"sacrebleu.tokenizers.{module}.MeCab", None)
    expected = f'data.tgt={language}: BLEU needs a word splitter for it: pip install "seq2seq-nmt[{language}]"'
    with pytest.raises(ConfigError, match=re.escape(expected)):
        check_language(language)
    with pytest.raises(ConfigError, match=re.escape(expected)):  # before data is read, which there is none of
        new_trainer("data=files", f"data.tgt={language}", f"runs_dir={tmp_path}")


@pytest.mark.parametrize("language", ["zh", "de", "xx", "jpn", ""])
def test_other_languages_need_nothing(language: str) -> None:
    check_language(language)
    assert all_scores(["a b"], ["a b"], language)["chrF2"].value == 100
