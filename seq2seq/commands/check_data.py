"""`seq2seq check-data`: look for what is odd in a corpus."""

from __future__ import annotations

import sys
from pathlib import Path

from seq2seq.commands import frame
from seq2seq.settings.schema import CheckConfig


def main() -> None:
    """Run the command."""
    frame.run("check_data", check_data, CheckConfig)


def check_data(settings: CheckConfig) -> None:
    """Print what is odd; status 1 if training would stop at something."""
    from seq2seq.commands import checkup

    frame.log_to(sys.stderr)
    found = checkup.check_up(settings)
    print(checkup.report(found))
    if settings.fix:
        print("\n".join(checkup.fix(settings, found, Path(settings.fix))))
    if found.stops_training:
        sys.exit(1)
