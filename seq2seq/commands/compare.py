"""`seq2seq compare DIR DIR ...`: evaluations compared with the first, in the terminal and as a page."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from seq2seq.commands.flags import HTML, SPLIT, value_of
from seq2seq.errors import ConfigError, UserError
from seq2seq.evaluation.saved import find_evaluation, read_evaluation
from seq2seq.report.comparison import compare, report
from seq2seq.storage.atomic import write_text
from seq2seq.tables import terminal_width


def main() -> None:
    """Run the command."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    given = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("--")]
    *_, name = ["test", *value_of(SPLIT.name, sys.argv)]
    *_, page = [None, *map(Path, value_of(HTML.name, sys.argv))]
    try:
        _compare(given, name, page)
    except UserError as error:
        sys.exit(f"error: {error}")
    except MemoryError:
        sys.exit("error: memory ran out: the paired tests hold every resample of all sentences; compare fewer")


def _compare(given: list[Path], name: str, page: Path | None) -> None:
    if page and not page.parent.is_dir():
        raise ConfigError(f"{HTML.name} {page}: no such directory: {page.parent}")
    comparison = compare([read_evaluation(find_evaluation(path, name)) for path in given])
    print("\n".join(report(comparison, terminal_width())), flush=True)
    if page:
        from seq2seq.report.comparison_page import comparison_page  # with matplotlib

        html = comparison_page(comparison)
        try:
            write_text(page, html)
        except OSError as error:
            raise ConfigError(f"{HTML.name} {page}: {error.strerror}") from None
        print(f"written to {page}")
