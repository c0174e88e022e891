"""Look for what is odd in a corpus: python scripts/check_data.py [data=… KEY=VALUE ...] [fix=DIR]."""

import sys
from pathlib import Path

from seq2seq import cli
from seq2seq.config import CheckConfig


def main(settings: CheckConfig) -> None:
    """Status 1 if training would stop at something."""
    from seq2seq import checkup

    cli.log_to(sys.stderr)
    found = checkup.check_up(settings)
    print(checkup.report(found))
    if settings.fix:
        print("\n".join(checkup.fix(settings, found, Path(settings.fix))))
    if found.stops_training:
        sys.exit(1)


if __name__ == "__main__":
    cli.run(main, CheckConfig)
