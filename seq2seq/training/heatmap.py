"""Attention weights as a picture."""

from __future__ import annotations

from collections.abc import Sequence

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
    "Last Resort High-Efficiency",  # comes with matplotlib: a box for any letter, so that none is missing
]


def attention_heatmap(weights: Tensor, src_pieces: Sequence[str], tgt_pieces: Sequence[str]) -> Figure:
    """``weights`` (T, S): a row for each target word, which sums to 1, and a column for each source word."""
    installed = set(font_manager.get_font_names())
    width, height = 0.34 * len(src_pieces) + 2.4, 0.3 * len(tgt_pieces) + 1.6
    figure = Figure(figsize=(min(width, 24), min(height, 24)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(weights.numpy(), cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    family = [font for font in FONTS if font in installed]  # the first that has a letter draws it
    axes.set_xticks(
        range(len(src_pieces)), list(src_pieces), rotation=60, ha="right", family=family, parse_math=False
    )
    axes.set_yticks(range(len(tgt_pieces)), list(tgt_pieces), family=family, parse_math=False)
    axes.tick_params(labelsize=12)
    axes.set_xlabel("source")
    axes.set_ylabel("translation")
    figure.colorbar(image, ax=axes, label="attention weight")
    return figure
