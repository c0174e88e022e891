"""Comparisons: the numbers are those of sacreBLEU's own commands; wins, losses and the page are known."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import saved_evaluations
from browser import browsing, needs_chromium
from saved_evaluations import REF, save, settle

from seq2seq.evaluation import significance
from seq2seq.evaluation.saved import read_evaluation
from seq2seq.report.comparison import Comparison, commands, compare, report, rows
from seq2seq.report.comparison_page import comparison_page

BASELINE = ["The dog sleeps.", "A cat eat.", "A house burns.", "It snows."]
OTHER = ["The dog sleeps.", "The cat eats.", "House.", "It rains."]


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fiftieth of the resamples, where the p-values don't matter."""
    monkeypatch.setattr(significance, "RESAMPLES", 20)
    monkeypatch.setattr(significance, "TRIALS", 20)


def compared(directory: Path, *systems: list[str]) -> Comparison:
    """The systems are runs a, b, … in ``directory``."""
    paths = []
    for name, translations in zip("abcdefgh", systems, strict=False):
        paths.append(save(directory / name, translations))
        settle(directory / name, name=name, optimizer={"lr": 1}, attention={"name": name})
    return compare([read_evaluation(path) for path in paths])


SACREBLEU = "import sacrebleu.sacrebleu as command; command.main()"
SACREBLEU_WITH_JSON = (
    f"import functools, json; json.dumps = functools.partial(json.dumps, default=float); {SACREBLEU}"
)
"""sacreBLEU 2.6 can't write numpy's numbers as JSON, which has all of their digits."""


def by_sacrebleu(command: str, code: str = SACREBLEU) -> str:
    """What sacreBLEU's own command prints."""
    program, *arguments = shlex.split(command)
    assert program == "sacrebleu"
    ended = subprocess.run([sys.executable, "-c", code, *arguments, "-q"], capture_output=True, check=True)
    return ended.stdout.decode()


def test_the_numbers_are_those_of_the_commands_that_it_names(tmp_path: Path) -> None:
    """To the last digit, with spaces at the ends of lines, an empty line and Unicode."""
    third = ["Dog sleeps.  ", "", "\u2028 A house burns .", "It is raining hard. "]
    comparison = compared(tmp_path, BASELINE, OTHER, third)
    bootstrap, randomisation = (
        json.loads(by_sacrebleu(command.replace("-f text", "-f json"), SACREBLEU_WITH_JSON))
        for command in commands(comparison)
    )
    assert "Baseline" in bootstrap[0]["system"]
    for i, results in enumerate(comparison.tests.systems):
        assert [*results] == ["BLEU", "chrF2", "TER"]
        for metric, ours in results.items():
            by_bootstrap, randomised = bootstrap[i][metric], randomisation[i][metric]
            assert ours.score == by_bootstrap["score"] == randomised["score"]
            assert (ours.mean, ours.half_width) == (by_bootstrap["mean"], by_bootstrap["ci"])
            assert (ours.p_bootstrap, ours.p_randomisation) == (by_bootstrap["p_value"], randomised["p_value"])
    printed = by_sacrebleu(commands(comparison)[0])
    for row in rows(comparison, 2)[:6:2]:
        assert f"(p = {row.p_bootstrap[:-1]}){row.p_bootstrap[-1]}" in printed
    assert "|bs:1000|seed:12345|" in comparison.tests.signatures["BLEU"][0]
    assert "|ar:10000|seed:12345|" in comparison.tests.signatures["chrF2"][1]


@pytest.mark.usefixtures("_quick")
def test_wins_and_losses_by_sentence(tmp_path: Path) -> None:
    comparison = compared(tmp_path, BASELINE, OTHER)
    (against,) = comparison.others
    assert (against.wins, against.losses, against.ties, against.same) == (2, 1, 1, 1)
    assert {sentence.number for sentence in against.gains(5)} == {2, 4}
    assert [sentence.number for sentence in against.gains(1)] == [against.sentences[0].number]
    (worse,) = against.drops(5)
    assert (worse.number, worse.chrf[0], worse.translations) == (3, 100.0, ("A house burns.", "House."))
    lines = report(comparison)
    assert "sentences of B by chrF2: 2 better, 1 worse, 1 equal (1 the same text)" in lines
    assert "    A          [-The-] {+A+} cat [-eats-] {+eat+}." in lines
    assert max(map(len, lines)) <= max(80, *(len(str(one.path)) + 15 for one in comparison.evaluations))


@pytest.mark.usefixtures("_quick")
def test_the_table_has_every_score_and_says_what_is_better(tmp_path: Path) -> None:
    comparison = compared(tmp_path, BASELINE, REF)
    table = {row.name: row for row in rows(comparison, 1)}
    assert {"BLEU", "BLEU-lc", "chrF2", "TER", "perplexity", "length ratio"} <= table.keys()
    first, other = comparison.tests.systems
    assert other["TER"].score < first["TER"].score
    assert table["TER"].better
    assert table["TER"].difference.startswith("-")
    assert (table["perplexity"].baseline, table["perplexity"].better) == ("2.50", None)
    assert table["BLEU"].better
    assert not {row.name: row for row in rows(compared(tmp_path, REF, BASELINE), 1)}["TER"].better


@pytest.mark.usefixtures("_quick")
def test_equal_translations_are_not_significantly_different(tmp_path: Path) -> None:
    """sacreBLEU gives them a p-value of almost 0 (see its _compute_p_value)."""
    comparison = compared(tmp_path, BASELINE, BASELINE)
    assert comparison.tests.systems[1]["BLEU"].p_randomisation == 1 / 21
    assert not any("*" in row.p_randomisation + row.p_bootstrap for row in rows(comparison, 1))
    assert comparison.others[0].gains(3) == comparison.others[0].drops(3) == []
    page = comparison_page(comparison)
    assert "All translations are the same, so the p-values mean nothing." in page
    assert "Histogram" not in page


@pytest.mark.usefixtures("_quick")
def test_settings_that_differ_are_those_of_runs_and_evaluations(tmp_path: Path) -> None:
    """A run's own decode.* is not what the evaluation was made with."""
    one = save(tmp_path / "a", BASELINE, decode={"beam_size": 1})
    other = save(tmp_path / "b", OTHER, update=200)
    settle(tmp_path / "a", name="a", seed=1, model={"layers": 1}, decode={"beam_size": 7})
    settle(tmp_path / "b", name="b", seed=1, model={"layers": 2}, decode={"beam_size": 7})
    comparison = compare([read_evaluation(one), read_evaluation(other)])
    assert comparison.settings == {
        "model.layers": ["1", "2"],
        "decode.beam_size": ["1", "5"],
        "update": ["100", "200"],
    }
    assert [line.split() for line in report(comparison) if line.startswith("model.layers")] == [
        ["model.layers", "1", "2"]
    ]


@pytest.mark.usefixtures("_quick")
def test_an_evaluation_without_a_run_has_no_curves_and_the_page_says_so(tmp_path: Path) -> None:
    alone = save(tmp_path / "a", BASELINE)
    other = save(tmp_path / "b", OTHER)
    settle(tmp_path / "b", seed=1)
    page = comparison_page(compare([read_evaluation(alone), read_evaluation(other)]))
    assert "There are no curves of A:" in page
    assert "Validation BLEU over updates, of B" in page


HOSTILE = "</script><script>document.title = 'hacked'</script><img src=x onerror=alert(1)> & <b>bold</b>"


@needs_chromium
@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_in_a_browser_shows_markup_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dark: bool
) -> None:
    """Of sentences, translations, settings and the names of the evaluations; nothing runs off a phone's screen."""
    monkeypatch.setattr(saved_evaluations, "SRC", [HOSTILE, *saved_evaluations.SRC[1:]])
    monkeypatch.setattr(saved_evaluations, "REF", [HOSTILE, *REF[1:]])
    one = save(tmp_path / "a", BASELINE)
    other = save(tmp_path / "b", [f"{HOSTILE} {HOSTILE}", *OTHER[1:]], name="<i>test", data="<i>test")
    settle(tmp_path / "a", attention={"name": "luong"})
    settle(tmp_path / "b", attention={"name": HOSTILE})
    path = tmp_path / "comparison.html"
    path.write_text(comparison_page(compare([read_evaluation(one), read_evaluation(other)])), encoding="utf-8")
    with browsing(width=390, dark=dark) as page:
        page.goto(path.as_uri())
        assert page.title() == "Comparison on test"
        assert page.locator("script, img, b, i").count() == 0
        assert page.get_by_text(HOSTILE, exact=True).count() >= 2  # source and reference
        assert page.locator("ins").first.inner_text() == "So"
        assert page.locator("ins", has_text=HOSTILE).count() == 1
        assert page.locator("figure svg").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        lost = page.get_by_text("Line 3", exact=False)
        assert lost.is_visible()
        page.get_by_text("B loses most on").click()
        assert not lost.is_visible()
    assert path.stat().st_size < 1_000_000
