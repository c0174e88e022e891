"""Evaluations compared with the first of them: scores, significance, sentences, settings. Imports no torch."""

from __future__ import annotations

import math
import shlex
import string
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seq2seq.data.corpus import ParallelText
from seq2seq.errors import CheckpointError, ConfigError, DataError
from seq2seq.evaluation.metrics import LIBRARY, sentence_chrf
from seq2seq.evaluation.saved import NUMBERS, SavedEvaluation, read_text
from seq2seq.evaluation.significance import RESAMPLES, TRIALS, Paired, PairedTests, paired_tests
from seq2seq.report.differences import marked
from seq2seq.runs.layout import TRANSLATIONS
from seq2seq.runs.table import Run, differing_choices, read_run
from seq2seq.tables import table

LABELS = string.ascii_uppercase
THRESHOLD = 0.05  # p-values below are marked
SHOWN = 3  # sentences in the terminal, for each direction
NAMES = dict(
    zip(NUMBERS, ("tok_bleu", "length ratio", "brevity penalty", "perplexity", "sentences/s"), strict=True)
)
DECIMALS = {"length_ratio": 3, "brevity_penalty": 3, "sentences_per_second": 1}
LOWER_IS_BETTER = ("TER", "teacher_forced_ppl")
RESCORED = 0.01  # most that a score may differ from the recorded one


class Sentence(NamedTuple):
    """A sentence as the baseline and another system translate it."""

    number: int  # in the files, from 1
    source: str
    reference: str
    translations: tuple[str, str]  # the baseline's, the other's
    chrf: tuple[float, float]

    @property
    def gain(self) -> float:
        """Sentence chrF2 of the other system minus that of the baseline."""
        return self.chrf[1] - self.chrf[0]


class Against(NamedTuple):
    """A system against the baseline, sentence by sentence."""

    label: str
    sentences: list[Sentence]  # by gain, the largest first
    wins: int
    losses: int
    same: int  # translations that are equal

    @property
    def ties(self) -> int:
        """Sentences with equal chrF2."""
        return len(self.sentences) - self.wins - self.losses

    def gains(self, most: int) -> list[Sentence]:
        """The sentences that it gains most on, best first."""
        return [sentence for sentence in self.sentences[:most] if sentence.gain > 0]

    def drops(self, most: int) -> list[Sentence]:
        """The sentences that it loses most on, worst first."""
        return [sentence for sentence in self.sentences[: -most - 1 : -1] if sentence.gain < 0]


class Comparison(NamedTuple):
    """Evaluations compared with the first of them."""

    evaluations: Sequence[SavedEvaluation]
    text: ParallelText
    tests: PairedTests
    others: list[Against]
    settings: dict[str, list[str | None]]  # full key → value of each evaluation, where they differ


def compare(evaluations: Sequence[SavedEvaluation]) -> Comparison:
    """Compare evaluations of one test set with the first of them.

    Raises:
        ConfigError: there are fewer than two or too many, or one is given twice.
        CheckpointError: translations or scores were changed, or the settings of a run can't be read.
        DataError: they are of different test sets, or the files of the test set were changed.
    """
    _check(evaluations)
    baseline, *others = evaluations
    text = read_text(baseline)
    systems = [evaluation.translations for evaluation in evaluations]
    tests = paired_tests(systems, text.tgt, baseline.languages[1])
    for evaluation, result in zip(evaluations, tests.systems, strict=True):
        _check_score(evaluation, result["BLEU"].score)
    chrf = [sentence_chrf(system, text.tgt) for system in systems]
    compared = [
        _against(label, text, systems[0], other.translations, chrf[0], scores)
        for label, other, scores in zip(LABELS[1:], others, chrf[1:], strict=False)
    ]
    return Comparison(evaluations, text, tests, compared, differing_choices([*map(_choices, evaluations)]))


def _check(evaluations: Sequence[SavedEvaluation]) -> None:
    if not 2 <= len(evaluations) <= len(LABELS):
        raise ConfigError(
            f"give 2 to {len(LABELS)} runs or evaluations: the baseline, then what to compare with it"
        )
    first, seen = evaluations[0], set()
    for one in evaluations:
        if (place := one.path.resolve()) in seen:
            raise ConfigError(f"{one.path}: given twice")
        seen.add(place)
        if [*one.files.values()] != [*first.files.values()] or one.languages != first.languages:
            sets = [f"{e.path} ({e.data}, {' → '.join(e.languages)})" for e in (first, one)]
            raise DataError(
                f"{' and '.join(sets)} are of different test sets; compare evaluations of the same one"
            )


def _check_score(evaluation: SavedEvaluation, bleu: float) -> None:
    recorded = evaluation.scores.get("BLEU", math.nan)
    if not abs(recorded - bleu) <= RESCORED:
        said = f"have a BLEU of {bleu:.2f} with {LIBRARY}, but scores.json tells of {recorded:.2f}"
        raise CheckpointError(f"{evaluation.path / TRANSLATIONS}: {said}; evaluate again")


def _against(
    label: str,
    text: ParallelText,
    baseline: Sequence[str],
    other: Sequence[str],
    baseline_chrf: Sequence[float],
    other_chrf: Sequence[float],
) -> Against:
    numbered = enumerate(zip(text.src, text.tgt, baseline, other, baseline_chrf, other_chrf, strict=True), 1)
    sentences = [Sentence(i, src, ref, (a, b), (score, new)) for i, (src, ref, a, b, score, new) in numbered]
    return Against(
        label,
        sorted(sentences, key=lambda sentence: -sentence.gain),
        wins=sum(sentence.gain > 0 for sentence in sentences),
        losses=sum(sentence.gain < 0 for sentence in sentences),
        same=sum(map(str.__eq__, baseline, other)),
    )


def _choices(evaluation: SavedEvaluation) -> Run:
    """The settings of the run, if there is one, and how the evaluation was made, which has its own decode.*."""
    settings = read_run(evaluation.run).choices if evaluation.run else {}
    return Run(str(evaluation.path), {**settings, **evaluation.how})


class Row(NamedTuple):
    """A line of the table of scores."""

    name: str
    baseline: str
    other: str
    difference: str = ""
    p_bootstrap: str = ""
    p_randomisation: str = ""
    better: bool | None = None  # the other system; None if neither is


def rows(comparison: Comparison, i: int) -> list[Row]:
    """The scores of evaluation ``i`` beside those of the baseline."""
    first, other = comparison.tests.systems[0], comparison.tests.systems[i]
    recorded = [comparison.evaluations[number].scores for number in (0, i)]
    lines = [row for name in first for row in _tested_rows(name, first[name], other[name])]
    for name in recorded[0]:
        if name not in first and name in recorded[1]:
            lines.append(_row(name, recorded[0][name], recorded[1][name]))
    return lines


def _tested_rows(name: str, first: Paired, other: Paired) -> Iterator[Row]:
    row = _row(name, first.score, other.score)
    yield row._replace(
        p_bootstrap=_p(other.p_bootstrap, row.better), p_randomisation=_p(other.p_randomisation, row.better)
    )
    old, new = (f"{one.mean:.2f} ± {one.half_width:.2f}" for one in (first, other))
    yield Row("  resampled", old, new)


def _row(name: str, first: float, other: float) -> Row:
    decimals = DECIMALS.get(name, 2)
    scored = name not in NUMBERS or name in LOWER_IS_BETTER  # of the others, no value is good by itself
    better = (other < first) == (name in LOWER_IS_BETTER) if scored and other != first else None
    numbers = f"{first:.{decimals}f}", f"{other:.{decimals}f}", f"{other - first:+.{decimals}f}"
    return Row(NAMES.get(name, name), *numbers, better=better)


def _p(value: float | None, better: bool | None) -> str:
    """A p-value, with sacreBLEU's mark; without a difference, it has no meaning and no mark."""
    marked_by = "*" if value is not None and value < THRESHOLD and better is not None else " "
    return f"{value:.4f}{marked_by}"


def commands(comparison: Comparison) -> list[str]:
    """The commands of sacreBLEU that give the same numbers."""
    first = comparison.evaluations[0]
    reference = [*first.files][-1] if len(first.files) == 2 else "REFERENCES"  # the second column of a TSV
    systems = [str(evaluation.path / TRANSLATIONS) for evaluation in comparison.evaluations]
    languages = "-".join(first.languages)
    given = (
        f"sacrebleu {shlex.quote(reference)} -l {languages} -i {shlex.join(systems)} -m bleu chrf ter -f text -w 2"
    )
    return [f"{given} --paired-bs --paired-bs-n {RESAMPLES}", f"{given} --paired-ar --paired-ar-n {TRIALS}"]


def sentence_counts(against: Against) -> str:
    """How many sentences are better, worse and equal."""
    return (
        f"{against.wins:,} better, {against.losses:,} worse, {against.ties:,} equal "
        f"({against.same:,} the same text)"
    )


def report(comparison: Comparison, width: int | None = None) -> list[str]:
    """The comparison for the terminal, in lines of at most ``width`` where that is possible."""
    first, *_ = comparison.evaluations
    labelled = zip(LABELS, comparison.evaluations, strict=False)
    lines = [f"{label}  {one.path}{' (baseline)' * (one is first)}" for label, one in labelled]
    lines.append(f"{len(comparison.text):,} sentences of {first.data}, {' → '.join(first.languages)}")
    for i, against in enumerate(comparison.others, 1):
        label = against.label
        heading = Row("", "A", label, f"{label} - A", "p (bs) ", "p (ar) ")
        lines += ["", *table([row[:-1] for row in (heading, *rows(comparison, i))], "<>")]
        lines += ["", f"sentences of {label} by chrF2: {sentence_counts(against)}"]
        for said, shown in (("gains", against.gains(SHOWN)), ("loses", against.drops(SHOWN))):
            if shown:
                lines += ["", f"{label} {said} most on"]
                lines += [line for sentence in shown for line in _sentence(sentence, label, width or 80)]
    if comparison.settings:
        settings = [(key, *(value or "" for value in values)) for key, values in comparison.settings.items()]
        labels = LABELS[: len(comparison.evaluations)]
        lines += ["", *table([("settings that differ", *labels), *settings])]
    return [*lines, "", *_legend()]


def _sentence(sentence: Sentence, label: str, width: int) -> Iterator[str]:
    yield f"  {sentence.number:,}: chrF2 {sentence.chrf[0]:.1f} → {sentence.chrf[1]:.1f}"
    texts = {
        "source": sentence.source,
        "reference": sentence.reference,
        "A": _in_brackets(sentence.reference, sentence.translations[0]),
        label: _in_brackets(sentence.reference, sentence.translations[1]),
    }
    for name, said in texts.items():
        yield from textwrap.wrap(
            said or "(empty)", width, initial_indent=f"    {name:<11}", subsequent_indent=" " * 15
        )


def _in_brackets(reference: str, translation: str) -> str:
    """The differences as wdiff writes them."""
    brackets = {"same": "{}", "ins": "{{+{}+}}", "del": "[-{}-]"}
    parts = [
        " " * text.startswith(" ") + brackets[kind].format(text.strip())
        for kind, text in marked(reference, translation)
    ]
    return "".join(parts)


def _legend() -> list[str]:
    return [
        f"resampled: mean and half of the 95% interval of {RESAMPLES:,} bootstrap resamples",
        f"p: by paired bootstrap (bs) and approximate randomisation (ar, {TRIALS:,} trials);",
        f"* below {THRESHOLD}, which is more than chance; of TER and perplexity, lower is better",
        "[-words-] of the reference are missing, {+words+} are not in it",
    ]
