"""The page of an evaluation: its size, what is left out, hostile text, and its use in a real browser."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from browser import browsing, needs_chromium
from sacrebleu.metrics.chrf import CHRF

from seq2seq.evaluation.metrics import all_scores
from seq2seq.report import evaluation
from seq2seq.report.evaluation import LARGEST, LONGEST, Attention, Lines, evaluation_page
from seq2seq.report.sentences import sentences_of
from seq2seq.report.words import TrainingWords, counted

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
RECORD = {
    "run": "runs/mine",
    "update": 1200,
    "data": "test",
    "files": {"test.de": "0" * 64},
    "languages": ["de", "en"],
    "decode": {"beam_size": 5},
    "bootstrap": 0,
    "versions": ["seq2seq 1", "torch 2"],
}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} & \u2028 <ins>"


def attention_of(src: Sequence[str], hyp: Sequence[str], i: int) -> Attention:
    """All of it on the source word with the same place."""
    columns, rows = src[i].split(), hyp[i].split()
    weights = [[float(s == t % len(columns)) for s in range(len(columns))] for t in range(len(rows))]
    return Attention(columns, rows, weights)


def made(
    src: list[str], ref: list[str], hyp: list[str], training: TrainingWords | str = "gone", examples: int = 3
) -> str:
    """The page of these lines."""
    lines = Lines(src, ref, hyp, lambda i: attention_of(src, hyp, i))
    measures = [("perplexity", "2.50", "teacher-forced")]
    return evaluation_page(RECORD, all_scores(hyp, ref, "en", 0), measures, lines, training, examples)


def embedded(page: str) -> dict[str, Any]:
    """The data of the page's script."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return dict(json.loads(text))


def sentences(number: int, words: int = 12) -> tuple[list[str], list[str], list[str]]:
    """Lines of random words, and translations that are wrong here and there."""
    rng = random.Random(1)
    src, ref, hyp = [], [], []
    for _ in range(number):
        picked = rng.choices(WORDS, k=words)
        src.append(" ".join(word.upper() for word in picked))
        ref.append(" ".join(picked) + ".")
        hyp.append(" ".join(word if rng.random() < 0.8 else "iota" for word in picked) + ".")
    return src, ref, hyp


def test_a_page_says_what_was_measured_and_how() -> None:
    src, ref, hyp = ["der Hund", "die Katze"], ["the dog", "the cat"], ["the dog", "the hat"]
    page = made(src, ref, hyp, TrainingWords(counted(src), counted(ref), "2 pairs of train.en"))
    for text in ("Update 1,200 of runs/mine", "de → en", "decode.beam_size", "tok:13a", "2 pairs of train.en"):
        assert text in page
    assert "1 of 2 translations are the reference" in page
    assert "<del>cat</del> <ins>hat</ins>" in page
    assert embedded(page)["rows"] == [
        [1, 100.0, "der Hund", "the dog", "the dog", []],
        [2, round(CHRF().sentence_score("the hat", ["the cat"]).score, 1), "die Katze", "the cat", "the hat", []],
    ]
    assert embedded(page)["attention"]["1"]["weights"] == [[100, 0], [0, 100]]


def test_without_its_training_text_the_page_says_so() -> None:
    page = made(["a"], ["b"], ["b"], "train.de: no such file")
    assert "the training text can't be read: train.de: no such file" in page
    assert "F1" not in page


@pytest.mark.parametrize(
    ("src", "ref", "hyp"),
    [
        (["a"], ["b"], ["c"]),
        ([""], [""], [""]),
        (["a", "", "b"], ["", "x", "y z"], ["", "", ""]),
        (["…"], ["…"], ["…"]),
        (["مرحبا"], ["שלום עולם"], ["שלום"]),
    ],
)
def test_few_and_blank_lines_have_a_page(src: list[str], ref: list[str], hyp: list[str]) -> None:
    page = made(src, ref, hyp, TrainingWords(counted(src), counted(ref), "these"))
    assert [row[0] for row in embedded(page)["rows"]] == [*range(1, len(src) + 1)]
    assert "None" not in page


def test_a_thousand_sentences_fit() -> None:
    page = made(*sentences(1000), examples=10)
    assert len(page.encode()) <= LARGEST
    assert len(embedded(page)["rows"]) == 1000
    assert len(embedded(page)["attention"]) == 20
    assert "left out" not in page


def test_of_more_than_fit_the_worst_are_kept_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "LARGEST", 250_000)
    lines = sentences(400, 40)
    page = made(*lines, examples=2)
    rows = embedded(page)["rows"]
    assert 0.9 * evaluation.LARGEST < len(page.encode()) <= evaluation.LARGEST
    assert f"{400 - len(rows):,} of 400 sentences, those with the highest chrF, are left out" in page
    by_chrf = sorted(sentences_of(*lines), key=lambda sentence: sentence.chrf or 0)
    assert [row[0] for row in rows] == sorted(sentence.number for sentence in by_chrf[: len(rows)])


def test_huge_lines_are_cut_and_have_no_heatmap() -> None:
    rng = random.Random(2)
    huge = ["".join(rng.choices("一二三四五六七八九十", k=3_000)) for _ in range(24)]
    page = made(huge[:8], huge[8:16], huge[16:], examples=4)
    assert len(page.encode()) <= LARGEST
    assert embedded(page)["attention"] == {}
    assert {len(row[2]) for row in embedded(page)["rows"]} == {LONGEST + len(" […]")}


def test_nothing_in_a_line_becomes_markup() -> None:
    page = made([HOSTILE], [HOSTILE + " x"], [HOSTILE + " y"], HOSTILE)
    assert len(re.findall(r"<script", page)) == 2
    assert "<img" not in page
    assert embedded(page)["rows"][0][2] == HOSTILE


def test_a_report_loads_no_torch() -> None:
    code = "import sys, seq2seq.report.evaluation; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split() == [
        b"False"
    ]


@needs_chromium
def test_hostile_text_stays_text_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(made([HOSTILE], [HOSTILE], [HOSTILE + " y"], HOSTILE), encoding="utf-8")
    with browsing() as page:
        page.on("dialog", lambda dialog: pytest.fail("a script ran"))
        page.goto((tmp_path / "report.html").as_uri())
        assert HOSTILE.split(" ")[0] in page.locator("#table tbody td").nth(1).inner_text()
        page.locator("details[data-line] summary").click()
        page.locator(".attention button").first.focus()
        assert page.locator("img").count() == 0
        assert page.locator("#table ins").count() == 0


@needs_chromium
def test_sentences_are_searched_sorted_and_filtered(tmp_path: Path) -> None:
    src = [f"Wort{i} da" for i in range(250)]
    ref = [f"word{i} there" for i in range(250)]
    hyp = [*ref[:247], "", "word248 word248 there", "WORD249 there"]
    (tmp_path / "report.html").write_text(made(src, ref, hyp), encoding="utf-8")
    with browsing() as page:
        page.goto((tmp_path / "report.html").as_uri())
        rows, count = page.locator("#table tbody tr"), page.locator("#count")
        assert (rows.count(), count.inner_text()) == (100, "250 of 250 sentences")
        page.get_by_role("button", name="Show 100 more").click()
        assert rows.count() == 200
        page.get_by_role("button", name="Show 100 more").click()
        assert rows.count() == 250
        assert page.get_by_role("button", name="Show 100 more").count() == 0
        page.get_by_role("searchbox", name="Search").fill("WORT24")
        assert count.inner_text() == "11 of 250 sentences"
        page.get_by_role("searchbox", name="Search").fill("nowhere")
        assert rows.count() == 0
        page.get_by_role("button", name="show: repeated").click()
        assert rows.locator("th").all_inner_texts() == ["249"]
        page.get_by_label("Cause").select_option("")
        page.get_by_role("button", name="chrF").click()
        assert rows.locator("th").first.inner_text() == "248"  # the empty one
        assert page.get_by_role("columnheader", name="chrF").get_attribute("aria-sort") == "ascending"
        page.get_by_role("button", name="chrF").click()
        assert rows.locator("th").first.inner_text() == "1"
        assert page.get_by_role("columnheader", name="chrF").get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="Source").click()
        assert rows.locator("th").nth(1).inner_text() == "2"
        assert rows.locator("th").nth(2).inner_text() == "11"  # Wort10 after Wort1


@needs_chromium
def test_a_heatmap_is_opened_and_read_by_keyboard(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(made(["der Hund"], ["the dog"], ["the hound"]), encoding="utf-8")
    with browsing(width=390) as page:
        page.goto((tmp_path / "report.html").as_uri())
        assert page.locator(".attention").count() == 0
        page.locator("details[data-line] summary").focus()
        page.keyboard.press("Enter")
        page.locator(".attention table").wait_for()
        page.keyboard.press("Tab")  # to the heatmap, which scrolls, or to its first word
        if page.evaluate("document.activeElement.tagName") != "BUTTON":
            page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.locator(".attention output").inner_text() == "hound: Hund 100%"
        assert page.evaluate("document.documentElement.scrollWidth") == 390
