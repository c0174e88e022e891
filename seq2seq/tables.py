"""Tables of plain text, for the terminal and the log; and text in tables of Markdown."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], align: str = "<") -> list[str]:
    """The lines of a table: columns side by side, two spaces apart, as wide as their widest cells.

    ``align`` has "<" (left) or ">" (right) for each column; the last one applies to all further columns.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = align.ljust(len(widths), align[-1])
    columns = [f"{{:{side}{width}}}" for side, width in zip(aligns, widths, strict=True)]
    return ["  ".join(columns).format(*row).rstrip() for row in rows]


def markdown(text: str) -> str:
    """``text`` on one line of Markdown, where no character of it means anything."""
    return "".join("\\" + c if c in r"\`*_{}[]<>#+-!|~&" else c for c in " ".join(text.split()))


def terminal_width() -> int | None:
    """Characters of a line, if the output goes to a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
