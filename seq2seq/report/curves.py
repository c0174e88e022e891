"""The curves of a run, drawn from the rows of its metrics.jsonl: as one picture, and as figures of a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq.pages import charts
from seq2seq.runs.rows import read_rows
from seq2seq.storage.atomic import write_bytes

Points = Sequence[Mapping[str, Any]]
"""Rows of metrics.jsonl."""
PANELS = {
    "loss, nats a token": [("train", "loss"), ("valid", "loss")],
    "score": [("valid", "bleu"), ("valid", "chrf")],
    "learning rate": [("train", "lr")],
    "target tokens a second": [("train", "tokens_per_second")],
}
"""What is on the vertical axis → its curves, each by kind of row and name of value."""
NAMES = {"train": "training", "valid": "validation", "bleu": "BLEU", "chrf": "chrF"}
MOST_MARKED = 50  # validations in a curve; more points would hide each other


def draw_curves(rows: Path, picture: Path, title: str) -> None:
    """Draw the metrics in ``rows``, a metrics.jsonl, into the PNG file ``picture``."""
    png = BytesIO()
    curves(read_rows(rows), title).savefig(png, format="png")
    write_bytes(picture, png.getvalue())


def curves(points: Points, title: str) -> Figure:
    """The panels that have a point in one picture, one below the other, over updates; before any has, all."""
    labels = [label for label in PANELS if _has_points(points, label)] or [*PANELS]
    figure = Figure(figsize=(8, 2.5 * len(labels)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(labels), sharex=True, squeeze=False)[:, 0]
    for axes, label in zip(panels, labels, strict=True):
        draw_panel(axes, points, label)
        axes.grid(alpha=0.3)
    panels[0].set_title(title, parse_math=False)
    panels[-1].set_xlabel("updates")
    return figure


def figures(points: Points) -> list[Markup]:
    """Each panel as an SVG, whose label has the first and last value of each curve."""
    drawn = []
    for label in PANELS:
        with charts.style():
            figure = charts.figure(4.8, 3.0)
            axes = figure.add_subplot()
            draw_panel(axes, points, label)
            axes.set_xlabel("updates")
            drawn.append(charts.svg(figure, described(points, label)))
    return drawn


def draw_panel(axes: Axes, points: Points, label: str) -> None:
    """Draw the curves of the panel ``label``, over updates."""
    for kind, name in PANELS[label]:
        if curve := curve_of(points, kind, name):
            style = "o-" if kind == "valid" and len(curve) <= MOST_MARKED else "-"
            axes.plot(*zip(*curve, strict=True), style, markersize=4, label=_named(kind, name))
    axes.set_ylabel(label)
    if len(axes.lines) > 1:
        axes.legend()


def curve_of(points: Points, kind: str, name: str) -> list[tuple[int, float]]:
    """(update, value) of each row of a ``kind`` that has this value; NaN, a gap, where it is not finite."""
    return [(row["step"], _finite(row[name])) for row in points if row["kind"] == kind and name in row]


def _has_points(points: Points, label: str) -> bool:
    return any(curve_of(points, kind, name) for kind, name in PANELS[label])


def described(points: Points, label: str) -> str:
    """What a panel shows, in words: "score over updates: BLEU from 71.8 to 93.7; chrF from 83.2 to 97.3"."""
    shown = {_named(kind, name): curve_of(points, kind, name) for kind, name in PANELS[label]}
    ends = [f"{name} from {curve[0][1]:.4g} to {curve[-1][1]:.4g}" for name, curve in shown.items() if curve]
    return f"{label}, over updates: {'; '.join(ends) or 'no point yet'}"


def _named(kind: str, name: str) -> str:
    named = kind if name == "loss" else name
    return NAMES.get(named, named.replace("_", " "))


def _finite(value: float | str) -> float:
    return float(value) if math.isfinite(float(value)) else math.nan
