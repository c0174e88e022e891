"""The page on a training: report.html in the run's directory, made from what the run has written there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from seq2seq.data.corpus import SplitReport, report_rows
from seq2seq.pages.template import page
from seq2seq.report.card import architecture, best_scores, parent_runs, vocabulary, weights_of
from seq2seq.report.curves import figures
from seq2seq.runs.layout import CONFIG, NO_CHOICES, REPORT, ROWS, SAMPLES
from seq2seq.runs.rows import read_rows
from seq2seq.runs.sources import read_corpus
from seq2seq.runs.table import duration, validations
from seq2seq.settings.compose import read_train_config
from seq2seq.settings.reference import changes
from seq2seq.settings.schema import TrainConfig, written
from seq2seq.storage.atomic import write_text

SPENT = {
    "training": "making batches, and updates",
    "validation": "validation: loss and search",
    "saving": "saving checkpoints",
    "reports": "TensorBoard, samples and curves",
    "other": "everything else",
}
MOST_SENTENCES = 10
MOST_CELLS = 100_000  # of all heatmaps together: half a megabyte


def write(run: Path, result: Mapping[str, Any]) -> None:
    """Write the page on the training in ``run``, which has ended with ``result``."""
    write_text(run / REPORT, page("training.html", **contents(run, result)))


def contents(run: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows, as plain values.

    Raises:
        CheckpointError: a file of the run can't be read.
    """
    config, corpus = read_train_config(run / CONFIG), read_corpus(run)
    rows = read_rows(run / SAMPLES)
    kept = thinned(rows)
    shown, left_out = validations(run, result["best"], result["best_step"])
    return {
        "name": run.name,
        "src": config.data.src,
        "tgt": config.data.tgt,
        "version": corpus["version"],
        "facts": facts(config, corpus, result) | started_from(config, run),
        "figures": figures(read_rows(run / ROWS)) if result["steps"] else [],
        "validations": shown,
        "left_out": left_out,
        "samples": samples(kept),
        "thinned": f" ({len(kept)} of the {len(rows)} validations)" if len(kept) < len(rows) else "",
        "spent": shares(result["spent"]),
        "changes": changed(config),
        "splits": report_rows([_split(split) for split in corpus["splits"]]),
        "files": corpus["files"],
    }


def facts(config: TrainConfig, corpus: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, str]:
    """The training in a few lines."""
    return {
        "ended": result["stopped"],
        "updates": f"{result['steps']:,} in {duration(result['seconds'])}; epochs completed: {result['epochs']:,}",
        "best validation": f"{best_scores(result['best'])}, at update {result['best_step']:,}",
        "model": f"{architecture(config)}; {result['parameters']:,} parameters",
        "vocabulary": vocabulary(config, corpus),
    }


def started_from(config: TrainConfig, run: Path) -> dict[str, str]:
    """The runs whose weights the one in ``run`` started from, if any, with links to their pages."""
    parents = [_linked(parent, run) for parent in parent_runs(config)]
    if not parents:
        return {}
    return {"started from": Markup("{} of {}").format(weights_of(parents), Markup(", ").join(parents))}


def _linked(parent: Path, run: Path) -> str:
    """The name of ``parent``, a link if it has a page."""
    if not (parent / REPORT).exists():
        return parent.name
    path = Path(os.path.relpath(parent.resolve() / REPORT, run.resolve()))
    return Markup('<a href="{}">{}</a>').format(quote(path.as_posix()), parent.name)


def changed(config: TrainConfig) -> list[dict[str, str]]:
    """The settings that differ from the defaults, without paths and names."""
    return [
        {
            "key": leaf.key.removesuffix(".name"),
            "value": written(leaf.value),
            "default": written(default),
            "doc": leaf.metadata["doc"],
        }
        for leaf, default in changes(config)
        if not leaf.key.startswith(NO_CHOICES)
    ]


def shares(spent: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """What the time was spent on, how long that took, and its share."""
    total = sum(spent.values()) or 1.0
    known = [what for what in SPENT if what in spent]
    return [(SPENT[what], duration(spent[what]), f"{spent[what] / total:.1%}") for what in known]


def thinned(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The ``rows`` of samples.jsonl or, if that is too much for a page, every second, fourth … and the last."""
    kept = list(rows)
    while len(kept) > 2 and sum(map(_cells, kept)) > MOST_CELLS:
        kept = [*kept[:-1:2], kept[-1]]
    return kept


def _cells(row: Mapping[str, Any]) -> int:
    """How much a validation's samples take, in cells of a heatmap."""
    sizes = [
        len(sample["translation"]) + sum(map(len, (sample["attention"] or {"weights": []})["weights"]))
        for sample in row["samples"][:MOST_SENTENCES]
    ]
    return sum(sizes)


def samples(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each sentence with its translation and attention at each validation, oldest first."""
    number = min(MOST_SENTENCES, max((len(row["samples"]) for row in rows), default=0))
    return [_over_time([row for row in rows if len(row["samples"]) > i], i) for i in range(number)]


def _over_time(rows: Sequence[Mapping[str, Any]], i: int) -> dict[str, Any]:
    texts = rows[-1]["samples"][i]
    shown = [
        {"label": _label(row), **{name: row["samples"][i][name] for name in ("translation", "attention")}}
        for row in rows
    ]
    return {"source": texts["source"], "reference": texts["reference"], "shown": shown}


def _label(row: Mapping[str, Any]) -> str:
    mean = ", mean of checkpoints" if row["kind"] == "average" else ""
    return f"update {row['step']:,}{mean}"


def _split(fields: Mapping[str, Any]) -> SplitReport:
    return SplitReport(**{name: value for name, value in fields.items() if name != "used"})
