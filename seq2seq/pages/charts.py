"""Figures as SVG in a page: text stays text, and the colours are those of the page, in light and dark."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, PALE = "#010203", "#040506"  # stand for the page's colours until the figure is text
SERIES = "#0a0001", "#0a0002", "#0a0003", "#0a0004"
COLOURS = {
    INK: "currentColor",
    PALE: "var(--line)",
    **{colour: f"var(--series-{i})" for i, colour in enumerate(SERIES, 1)},
}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.prop_cycle": cycler(color=SERIES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "legend.frameon": False,
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def style() -> Any:
    """The context in which a figure for a page is made and ``svg`` is called."""
    return mpl.rc_context(STYLE)


def figure(width: float = 6.4, height: float = 3.2) -> Figure:
    """An empty figure, in inches (72 pixels of the page), to be made within ``style()``."""
    made = Figure(figsize=(width, height), layout="constrained")
    made.patch.set_alpha(0.0)
    FigureCanvasSVG(made)
    return made


def svg(made: Figure, label: str) -> Markup:
    """``made`` as an ``<svg>`` whose ``label`` tells those who can't see it what it shows."""
    for axes in made.axes:
        axes.patch.set_alpha(0.0)
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": label}):  # equal figures give equal text; ids of two don't clash
        made.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"font: ([\d.]+)px[^;\"]*", r"font: \1px system-ui, sans-serif", drawn)
    for colour, ours in COLOURS.items():
        drawn = drawn.replace(colour, ours)
    return Markup(drawn.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1))
