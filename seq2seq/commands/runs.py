"""`seq2seq runs [DIR ...]`: a table of runs, and their settings and scores in TensorBoard."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from seq2seq.commands.flags import TENSORBOARD
from seq2seq.errors import CheckpointError
from seq2seq.runs.table import Run, differing_choices, find_runs, read_run, table_of_runs, valid_heading
from seq2seq.tables import terminal_width

logger = logging.getLogger(__name__)


def main() -> None:
    """Run the command."""
    logging.basicConfig(format="%(message)s", force=True)
    watch = TENSORBOARD.name in sys.argv
    paths = [Path(argument) for argument in sys.argv[1:] if argument != TENSORBOARD.name] or [Path("runs")]
    if watch and len(paths) > 1:
        sys.exit(f"error: {TENSORBOARD.name} takes one directory, which may hold several runs")
    try:
        rows = read_runs(paths)
    except CheckpointError as error:
        sys.exit(f"error: {error}")
    print("\n".join(table_of_runs(rows, valid_heading("bleu"), terminal_width())), flush=True)
    if watch:
        if len(rows) > 1:
            from seq2seq.training.tracker import compare_in_tensorboard  # with torch

            compare_in_tensorboard(paths[0], differing_choices(rows), "bleu")
        os.execv(sys.executable, [sys.executable, "-m", "tensorboard.main", "--logdir", str(paths[0])])


def read_runs(paths: list[Path]) -> list[Run]:
    """The runs ``paths``, or the runs in them.

    Raises:
        CheckpointError: there is no such directory, or none of them holds a run.
    """
    rows = [row for path in paths for run in find_runs(path) if (row := _read(run))]
    if not rows:
        raise CheckpointError(f"{', '.join(map(str, paths))}: no run there; seq2seq train begins one")
    return rows


def _read(path: Path) -> Run | None:
    try:
        return read_run(path)._replace(name=str(path))
    except CheckpointError as error:
        logger.warning("%s", error)
        return None
