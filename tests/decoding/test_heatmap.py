"""The picture has the right rows, columns and words, whatever the words are. Warnings are errors here."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seq2seq.decoding.heatmap import FONTS, attention_heatmap, write_heatmap

NO_LAST_RESORT = FONTS[-1] not in font_manager.get_font_names()  # matplotlib before 3.11
pytestmark = [
    pytest.mark.filterwarnings("ignore:Glyph .* missing from font"),
    pytest.mark.filterwarnings("ignore:Matplotlib currently does not support"),
] * NO_LAST_RESORT


def draw(src: Sequence[str], tgt: Sequence[str]) -> tuple[Figure, Axes, torch.Tensor]:
    torch.manual_seed(0)
    weights = torch.randn(len(tgt), len(src)).softmax(dim=1)
    figure = attention_heatmap(weights, src, tgt)
    figure.canvas.draw()
    return figure, figure.axes[0], weights


def labels(axes: Axes) -> tuple[list[str], list[str]]:
    return (
        [label.get_text() for label in axes.get_xticklabels()],
        [label.get_text() for label in axes.get_yticklabels()],
    )


@pytest.mark.parametrize(
    ("src", "tgt"),
    [
        (["▁Ein", "▁Hund", "."], ["▁A", "▁dog"]),
        (["$", "$$", "$x_1$", "a$b$c"], [r"\$", r"\frac{1}{2}", "$\\alpha", "x_1^2", "{", "}"]),  # no formulas
        (["日本", "語", "中文", "한국어"], ["ไทย", "हिन्दी", "עברית", "😀"]),  # whatever fonts there are
        (["￭,", "<unk>", "</s>"], ["\ue000", "\u200b", "e\u0301", "<0xE2>"]),
        (["same", "same"], ["same", "same"]),
        (["one"], ["one"]),
    ],
)
def test_any_pieces_can_be_shown(src: list[str], tgt: list[str]) -> None:
    _, axes, _ = draw(src, tgt)
    assert labels(axes) == (src, tgt)


def test_dollars_do_not_make_a_formula() -> None:
    widths = []
    for piece in ("$WWWW_{WWWW}$", "WWWW_{WWWW}"):  # as a formula: no dollars, smaller letters
        figure, axes, _ = draw(["a"], [piece])
        widths.append(axes.get_yticklabels()[0].get_window_extent(figure.canvas.get_renderer()).width)
    assert widths[0] > widths[1]


def test_a_row_for_each_target_and_a_column_for_each_source() -> None:
    _, axes, weights = draw(["a", "b", "c"], ["x", "y"])
    (cells,) = axes.collections
    assert torch.equal(torch.tensor(cells.get_array()), weights)  # (T, S)
    assert list(axes.get_xticks()) == [0, 1, 2]
    assert list(axes.get_yticks()) == [0, 1]
    assert axes.yaxis_inverted()  # the first row is on top
    assert cells.get_clim() == (0.0, 1.0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("source", "translation")


def test_a_title_is_no_formula() -> None:
    figure = attention_heatmap(torch.ones(1, 1), ["a"], ["x"], "sentence 1, update $1$")
    title = figure.axes[0].title
    assert title.get_text() == "sentence 1, update $1$"
    assert not title.get_parse_math()


def test_many_pieces_fit_a_picture_of_bounded_size() -> None:
    figure, axes, _ = draw([f"s{i}" for i in range(70)], [f"t{i}" for i in range(80)])
    assert tuple(figure.get_size_inches()) == (24, 24)
    assert labels(axes) == ([f"s{i}" for i in range(70)], [f"t{i}" for i in range(80)])
    small, _, _ = draw(["a"], ["b"])
    assert tuple(small.get_size_inches()) == (3, 2.5)


def test_long_pieces_are_shortened_and_leave_room() -> None:
    _, axes, _ = draw(["x" * 300], ["y" * 300])  # a figure without room for its axes would warn
    assert labels(axes) == (["x" * 39 + "…"], ["y" * 39 + "…"])


def test_an_svg_has_a_cell_for_each_weight_and_words_as_text(tmp_path: Path) -> None:
    src, tgt = ["Der", "Hund", "</s>"], ["The", "<b>", "$x$", "日本"]
    weights = torch.randn(len(tgt), len(src)).softmax(dim=1)
    for name in ("one.svg", "two.svg"):
        write_heatmap(tmp_path / name, weights, src, tgt)
    drawn = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "two.svg").read_text(encoding="utf-8")
    texts = [element.text for element in ElementTree.fromstring(drawn).iter() if element.tag.endswith("}text")]
    assert [text for text in texts if text in {*src, *tgt}] == [*src, *tgt]
    mesh = re.search(r'<g id="QuadMesh_1">(.*?)</g>', drawn, re.DOTALL)
    assert mesh
    assert mesh[1].count("<path") == len(src) * len(tgt)
    write_heatmap(tmp_path / "one.png", weights, src, tgt)
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
