"""The rows of a run's metrics.jsonl. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seq2seq.errors import CheckpointError


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows in the order in which they were written; numbers that are not finite are texts, as in the file.

    Raises:
        CheckpointError: the file can't be read, or a line of it is no row (with ``path:line``).
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: can't be read ({error})") from None
    return [_row(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _row(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not {"kind", "step"} <= row.keys():
        raise CheckpointError(f"{place}: not a row of metrics; remove the line, or the file")
    return row
