"""`seq2seq check-data`: check a corpus before training on it."""

from __future__ import annotations

import sys
from pathlib import Path

from seq2seq.commands import frame
from seq2seq.settings.schema import CheckConfig
from seq2seq.signals import importing


def main() -> None:
    """Run the command."""
    frame.run("check_data", check_data, CheckConfig)


def check_data(settings: CheckConfig) -> None:
    """Print the oddities of the corpus; the exit status is 1 if training would stop with an error."""
    with importing():
        from seq2seq.build.data import SPLITS, has_split, read_training_text, split_paths, tokenizers  # with torch
        from seq2seq.build.parent import parents_of
        from seq2seq.data import checkup

    frame.log_to(sys.stderr)
    data, parent = settings.data, next(iter(parents_of(settings)), None)
    paths = {name: split_paths(data, name) for name in SPLITS if has_split(data, name)}
    splits = {name: checkup.read(files) for name, files in paths.items()}
    examined = checkup.check_up(
        splits, data, lambda: tokenizers(settings, read_training_text(data), parent).tokenizers
    )
    print(checkup.report(examined))
    if settings.fix:
        originals = [path for files in paths.values() for path in files]
        print("\n".join(checkup.write_cleaned(examined, data, originals, Path(settings.fix))))
    if examined.stops_training:
        sys.exit(1)
