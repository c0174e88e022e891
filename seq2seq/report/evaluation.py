"""The page of an evaluation: scores, charts, likely causes of errors, and the sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from seq2seq.evaluation.metrics import Score
from seq2seq.evaluation.saved import models
from seq2seq.pages import charts
from seq2seq.pages.template import data, page
from seq2seq.report.differences import marked
from seq2seq.report.sentences import Bucket, Cause, Sentence, by_length, by_rarity, causes, extremes, sentences_of
from seq2seq.report.words import TrainingWords

LARGEST = 1_000_000  # bytes of the page
SPARE = 1_000  # of them, for the sentence that counts what is left out
LONGEST = 1_000  # characters that the page shows of a line
MOST_CELLS = 2_500  # of a heatmap; a larger one can't be read
BIN = 5  # of the histogram of chrF


class Attention(NamedTuple):
    """Of a translation: ``weights[t][s]`` of target word t on source word s; each row sums to 1."""

    src: list[str]
    tgt: list[str]
    weights: list[list[float]]


class Lines(NamedTuple):
    """The lines of a test set, and what a model made of them."""

    src: Sequence[str]
    ref: Sequence[str]
    hyp: Sequence[str]
    attention: Callable[[int], Attention]  # of the line with this index; asked of the sentences that are shown


def evaluation_page(
    record: Mapping[str, Any],
    scores: Mapping[str, Score],
    measures: Sequence[tuple[str, str, str]],
    lines: Lines,
    training: TrainingWords | str,
    examples: int,
) -> str:
    """The text of report.html, at most ``LARGEST`` bytes.

    Args:
        record: how the evaluation was measured, as in scores.json.
        scores: of the whole test set.
        measures: name, value and meaning of what else was measured.
        lines: the sentences.
        training: the words of the training text, or why they are not known.
        examples: how many of the worst and of the best sentences are shown.
    """
    src_language, tgt_language = record["languages"]
    sentences = sentences_of(lines.src, lines.ref, lines.hyp)
    suspects = causes(training.src if isinstance(training, TrainingWords) else None)
    found = {
        sentence.number: [cause.name for cause in suspects if cause.applies(sentence)] for sentence in sentences
    }
    worst, best = extremes(sentences, examples)
    attention = {sentence.number: drawn for sentence in worst + best if (drawn := _drawn(sentence, lines))}
    lengths = by_length(sentences, tgt_language, record["bootstrap"])
    values = {
        "record": record,
        "models": models(record),
        "settings": list(_flat(record)),
        "scores": scores,
        "measures": measures,
        "number": len(sentences),
        "exact": sum(sentence.translation == sentence.reference for sentence in sentences),
        "unscored": sum(sentence.chrf is None for sentence in sentences),
        "lang": {"src": _code(src_language), "tgt": _code(tgt_language)},
        "chrf": _chrf_chart(sentences),
        "lengths": lengths,
        "length_chart": _bars(lengths, "BLEU by source length", "words of the source", "BLEU"),
        "training": training,
        **_rarity(sentences, training),
        "causes": [(cause, sum(cause.name in names for names in found.values())) for cause in suspects],
        "found": found,
        "groups": [
            ("Worst", [_shown(sentence) for sentence in worst]),
            ("Best", [_shown(sentence) for sentence in best]),
        ],
        "attention": attention,
    }
    rows = _fitting(sentences, found, suspects, LARGEST - SPARE - len(_rendered(values, []).encode()))
    return _rendered(values, rows)


def _rendered(values: Mapping[str, Any], rows: list[list[Any]]) -> str:
    return page("evaluation.html", **values, rows=rows, left_out=values["number"] - len(rows))


def _fitting(
    sentences: Sequence[Sentence], found: Mapping[int, list[str]], suspects: Sequence[Cause], room: int
) -> list[list[Any]]:
    """Rows of the table of sentences: if not all have ``room`` (in bytes), those with the lowest chrF."""
    names = [cause.name for cause in suspects]
    rows = []
    for s in sorted(sentences, key=lambda sentence: (sentence.chrf is None, sentence.chrf)):
        texts = map(_cut, (s.source, s.reference, s.translation))
        chrf = None if s.chrf is None else round(s.chrf, 1)
        row = [s.number, chrf, *texts, [names.index(name) for name in found[s.number]]]
        room -= len(data(row).encode()) + 1
        if room < 0:
            break
        rows.append(row)
    return sorted(rows)


class _Shown(NamedTuple):
    """A sentence of the best or the worst."""

    sentence: Sentence
    source: str
    reference: str
    parts: list[tuple[str, str]]


def _shown(sentence: Sentence) -> _Shown:
    source, reference, translation = map(_cut, (sentence.source, sentence.reference, sentence.translation))
    return _Shown(sentence, source, reference, marked(reference, translation))


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else line[:LONGEST] + " […]"


def _drawn(sentence: Sentence, lines: Lines) -> dict[str, Any] | None:
    """The attention of a sentence in whole percent, if it has any and is not too large."""
    if len(sentence.src) * len(sentence.hyp) > MOST_CELLS:
        return None
    src, tgt, weights = lines.attention(sentence.number - 1)
    if not 0 < len(src) * len(tgt) <= MOST_CELLS:
        return None
    return {"src": src, "tgt": tgt, "weights": [[round(100 * weight) for weight in row] for row in weights]}


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Key and value of all that ``record`` holds, as scores.json names them."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _code(language: str) -> str:
    """For an attribute ``lang``, if it can be the code of a language."""
    return language if re.fullmatch("[a-z]{2}", language) else ""


def _rarity(sentences: Sequence[Sentence], training: TrainingWords | str) -> dict[str, Any]:
    if isinstance(training, str):
        return {"rarities": [], "rarity_chart": ""}
    rarities = by_rarity(sentences, training.tgt)
    chart = _bars(rarities, "F1 of words by rarity", "times that the training text has the word", "F1 (%)")
    return {"rarities": rarities, "rarity_chart": chart}


def _chrf_chart(sentences: Sequence[Sentence]) -> Markup:
    """A histogram of the sentences' chrF."""
    counts = [0] * (100 // BIN)
    for sentence in sentences:
        if sentence.chrf is not None:
            counts[min(int(sentence.chrf // BIN), len(counts) - 1)] += 1
    with charts.style():
        figure = charts.figure()
        axes = figure.add_subplot(xlabel="chrF of a sentence", ylabel="sentences", xlim=(0, 100))
        axes.bar(range(0, 100, BIN), counts, width=BIN - 0.6, align="edge")
        axes.locator_params(axis="y", integer=True)
        axes.grid(visible=False, axis="x")
        return charts.svg(figure, "Histogram of the sentences' chrF")


def _bars(buckets: Sequence[Bucket], title: str, xlabel: str, ylabel: str) -> Markup:
    """A bar for each bucket, with its interval."""
    with charts.style():
        figure = charts.figure()
        axes = figure.add_subplot(xlabel=xlabel, ylabel=ylabel, ylim=(0, 100))
        axes.bar([bucket.name for bucket in buckets], [bucket.score for bucket in buckets], width=0.7)
        for place, bucket in enumerate(buckets):
            if bucket.interval:
                axes.vlines(place, *bucket.interval, color=charts.INK)
        axes.grid(visible=False, axis="x")
        return charts.svg(figure, title)
