"""The curves of a run as one picture, drawn from its metrics.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq.storage.atomic import write_bytes

PANELS = {
    "loss, nats a token": [("train", "loss"), ("valid", "loss")],
    "score": [("valid", "bleu"), ("valid", "chrf")],
    "learning rate": [("train", "lr")],
}
NAMES = {"valid": "validation", "bleu": "BLEU", "chrf": "chrF"}


def draw_curves(rows: Path, picture: Path, title: str) -> None:
    """Draw the metrics in ``rows``, a metrics.jsonl, into the PNG file ``picture``."""
    points = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    png = BytesIO()
    curves(points, title).savefig(png, format="png")
    write_bytes(picture, png.getvalue())


def curves(points: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Panels one below the other, over updates: loss of train and valid; BLEU and chrF; learning rate."""
    figure = Figure(figsize=(8, 8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(PANELS), sharex=True, squeeze=False)[:, 0]
    for axes, (label, shown) in zip(panels, PANELS.items(), strict=True):
        for kind, name in shown:
            curve = [(p["step"], _finite(p[name])) for p in points if p["kind"] == kind and name in p]
            style = "o-" if kind == "valid" else "-"
            label_of = kind if name == "loss" else name
            if curve:
                axes.plot(*zip(*curve, strict=True), style, markersize=4, label=NAMES.get(label_of, label_of))
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if len(shown) > 1 and axes.lines:
            axes.legend()
    panels[0].set_title(title, parse_math=False)
    panels[-1].set_xlabel("updates")
    return figure


def _finite(value: float | str) -> float:
    """The value, or NaN, which is a gap in the curve, if it is not finite."""
    return float(value) if math.isfinite(float(value)) else math.nan
