"""Attention weights as a picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

FONTS = [
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
    "DejaVu Sans",
    "Last Resort High-Efficiency",  # comes with matplotlib 3.11 and later: has a box for any letter
]
# Earlier versions draw a box of their own for each missing letter, with a warning.
warnings.filterwarnings("ignore", message="Glyph .* missing from font|Matplotlib currently does not support")


def attention_heatmap(
    weights: Tensor, src_pieces: Sequence[str], tgt_pieces: Sequence[str], title: str = ""
) -> Figure:
    """A picture of ``weights`` (T, S): a row for each target word, summing to 1; a column for each source word."""
    installed = set(font_manager.get_font_names())
    src_labels, tgt_labels = (
        [_shortened(piece) for piece in src_pieces],
        [_shortened(piece) for piece in tgt_pieces],
    )
    width = 0.34 * len(src_labels) + 0.12 * max(map(len, tgt_labels)) + 1.6  # inches: cells, letters, colour bar
    height = 0.3 * len(tgt_labels) + 0.12 * max(map(len, src_labels)) + 0.8
    figure = Figure(figsize=(min(max(width, 3.0), 24), min(max(height, 2.5), 24)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    edges = [np.arange(size + 1) - 0.5 for size in (len(src_labels), len(tgt_labels))]  # cells have whole numbers
    cells = axes.pcolormesh(*edges, weights.numpy(), cmap="Blues", vmin=0.0, vmax=1.0)
    axes.invert_yaxis()  # the first row is on top
    family = [font for font in FONTS if font in installed]  # each letter comes from the first font that has it
    axes.set_xticks(range(len(src_labels)), src_labels, rotation=60, ha="right", family=family, parse_math=False)
    axes.set_yticks(range(len(tgt_labels)), tgt_labels, family=family, parse_math=False)
    axes.tick_params(labelsize=12)
    axes.set_title(title, parse_math=False)
    axes.set_xlabel("source")
    axes.set_ylabel("translation")
    figure.colorbar(cells, ax=axes, label="attention weight")
    return figure


def write_heatmap(path: Path, weights: Tensor, src_words: Sequence[str], tgt_words: Sequence[str]) -> None:
    """Write the picture as .png or .svg, as its name ends. In an SVG, text is text; equal pictures are equal."""
    figure = attention_heatmap(weights, src_words, tgt_words)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "heatmap"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _shortened(piece: str, longest: int = 40) -> str:
    return piece if len(piece) <= longest else piece[: longest - 1] + "…"
