"""A comparison as a page: what the terminal has, more sentences, their differences, and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.evaluation.metrics import LIBRARY
from seq2seq.evaluation.significance import RESAMPLES, TRIALS
from seq2seq.pages import charts
from seq2seq.pages.template import page
from seq2seq.report.comparison import (
    LABELS,
    THRESHOLD,
    Against,
    Comparison,
    Sentence,
    commands,
    rows,
    sentence_counts,
)
from seq2seq.report.differences import marked
from seq2seq.runs.layout import ROWS
from seq2seq.runs.rows import read_rows

SHOWN = 10  # sentences, for each direction
CURVES = {"bleu": "BLEU", "loss": "loss, nats a token"}
LINES = ("-", "--", ":", "-.")  # for a further round of the page's colours


def comparison_page(comparison: Comparison) -> str:
    """The page, one file without outside resources.

    Raises:
        CheckpointError: the metrics.jsonl of a run is damaged.
    """
    first = comparison.evaluations[0]
    labelled = list(zip(LABELS, comparison.evaluations, strict=False))
    runs: dict[Path | None, str] = {}  # with the labels of their evaluations
    for label, one in labelled:
        runs[one.run] = f"{runs[one.run]}, {label}" if one.run in runs else label
    validations = {labels: found for run, labels in runs.items() if (found := _validations(run))}
    return page(
        "comparison.html",
        title=f"Comparison on {first.data}",
        languages=" → ".join(first.languages),
        num_sentences=f"{len(comparison.text):,}",
        systems=[(label, str(evaluation.path)) for label, evaluation in labelled],
        others=[_other(comparison, i) for i in range(1, len(comparison.evaluations))],
        curves=[_curves(name, said, validations) for name, said in CURVES.items()] if validations else [],
        without_curves=", ".join(labels for labels in runs.values() if labels not in validations),
        settings=comparison.settings,
        signatures=comparison.tests.signatures,
        commands=commands(comparison),
        library=LIBRARY,
        threshold=THRESHOLD,
        resamples=f"{RESAMPLES:,}",
        trials=f"{TRIALS:,}",
    )


def _other(comparison: Comparison, i: int) -> dict[str, Any]:
    """What the page says of evaluation ``i``."""
    against = comparison.others[i - 1]
    shown = (("gains", against.gains(SHOWN)), ("loses", against.drops(SHOWN)))
    return {
        "label": against.label,
        "rows": rows(comparison, i),
        "counts": sentence_counts(against),
        "same": against.same == len(against.sentences),
        "chart": _histogram(against),
        "shown": [
            (said, [_marked(sentence, against.label) for sentence in sentences])
            for said, sentences in shown
            if sentences
        ],
    }


def _marked(sentence: Sentence, label: str) -> dict[str, Any]:
    return {
        "number": f"{sentence.number:,}",
        "chrf": [f"{value:.1f}" for value in sentence.chrf],
        "source": sentence.source,
        "reference": sentence.reference,
        "translations": [
            (name, marked(sentence.reference, translation))
            for name, translation in zip(("A", label), sentence.translations, strict=True)
        ],
    }


def _histogram(against: Against) -> str:
    """How much the sentences gain, of those that differ; nothing if none do."""
    gains = [sentence.gain for sentence in against.sentences if sentence.gain]
    if not gains:
        return ""
    with charts.style():
        figure = charts.figure(height=2.6)
        axes = figure.add_subplot()
        axes.hist(gains, bins=range(-100, 101, 5))
        axes.axvline(0, color=charts.INK, linewidth=1)
        axes.set_xlabel(f"sentence chrF2, {against.label} minus A")
        axes.set_ylabel("sentences")
        return charts.svg(
            figure, f"Histogram of sentence chrF2, {against.label} minus A: {sentence_counts(against)}"
        )


def _validations(run: Path | None) -> list[dict[str, Any]]:
    """The rows of a run's validations; none if there is no run, or it has no metrics."""
    found = read_rows(run / ROWS) if run and (run / ROWS).exists() else []
    return [row for row in found if row["kind"] == "valid"]


def _curves(name: str, said: str, validations: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The values ``name`` of validations over updates, with a line for each run."""
    with charts.style():
        figure = charts.figure()
        axes = figure.add_subplot()
        for i, (labels, found) in enumerate(validations.items()):
            points = [(row["step"], float(row[name])) for row in found if name in row]
            finite = [point for point in points if math.isfinite(point[1])]
            line = LINES[i // len(charts.SERIES) % len(LINES)]
            axes.plot(*zip(*finite, strict=True), f"o{line}", markersize=4, label=labels)
        axes.set_xlabel("updates")
        axes.set_ylabel(f"validation {said}")
        axes.legend()
        return charts.svg(figure, f"Validation {said} over updates, of {'; '.join(validations)}")
