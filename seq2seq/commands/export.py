"""`seq2seq export`: a directory that translates without PyTorch, or in a browser."""

from __future__ import annotations

import sys

from seq2seq.commands import frame
from seq2seq.settings.schema import ExportConfig
from seq2seq.signals import importing


def main() -> None:
    """Run the command."""
    frame.run("export", export, ExportConfig)


def export(settings: ExportConfig) -> None:
    """Build the graphs, verify them, write the directory and say what is in it."""
    with importing():
        from seq2seq.export import bundle  # torch takes seconds to import: settings are checked first

    frame.log_to(sys.stderr)
    bundle.check_destination(settings)
    print(bundle.write(bundle.load(settings), settings))
