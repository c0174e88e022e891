"""`seq2seq runs [DIR ...]`: a table of runs."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

from seq2seq.errors import CheckpointError
from seq2seq.runs.table import Run, find_runs, read_run, table_of_runs, valid_heading

logger = logging.getLogger(__name__)


def main() -> None:
    """Run the command."""
    logging.basicConfig(format="%(message)s", force=True)
    try:
        print(runs(list(map(Path, sys.argv[1:])) or [Path("runs")]))
    except CheckpointError as error:
        sys.exit(f"error: {error}")


def runs(paths: list[Path]) -> str:
    """The table of the runs ``paths``, or of the runs in them.

    Raises:
        CheckpointError: there is no such directory, or none of them holds a run.
    """
    rows = [row for path in paths for run in find_runs(path) if (row := _read(run))]
    if not rows:
        raise CheckpointError(f"{', '.join(map(str, paths))}: no run there; seq2seq train begins one")
    return "\n".join(table_of_runs(rows, valid_heading("bleu"), terminal_width()))


def _read(path: Path) -> Run | None:
    try:
        return read_run(path)._replace(name=str(path))
    except CheckpointError as error:
        logger.warning("%s", error)
        return None


def terminal_width() -> int | None:
    """Characters of a line, if the output goes to a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
