"""`seq2seq COMMAND …`: every command, a module each."""

from __future__ import annotations

import sys

from seq2seq import __version__
from seq2seq.errors import did_you_mean

COMMANDS = {
    "train": "train a translation model",
    "evaluate": "score a trained model on a test set",
    "translate": "translate text with a trained model",
    "check-data": "look for what is odd in a corpus",
    "runs": "compare runs in a table",
}


def usage() -> str:
    """The commands, a line each."""
    lines = [f"  {name:<12}{what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: seq2seq COMMAND [GROUP=OPTION ...] [KEY=VALUE ...]",
            "",
            "Recurrent neural machine translation with Luong or Bahdanau attention.",
            "",
            *lines,
            "",
            "seq2seq COMMAND --help explains a command and all of its settings.",
            "Begin with: seq2seq train experiment=phrasebook",
        ]
    )


def main() -> None:
    """Run the command that the first argument names."""
    arguments = sys.argv[1:]
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h", "help"):
        print(usage())
    elif name == "--version":
        print(f"seq2seq {__version__}")
    elif name in COMMANDS or name.replace("_", "-") in COMMANDS:
        sys.argv = [f"seq2seq {name}", *arguments[1:]]
        _run(name.replace("_", "-"))
    else:
        sys.exit(f"error: {name}: no such command{did_you_mean(name, COMMANDS)} (seq2seq --help lists them)")


def _run(name: str) -> None:
    """Import the one command: each needs what the others don't."""
    if name == "train":
        from seq2seq.commands import train as command
    elif name == "evaluate":
        from seq2seq.commands import evaluate as command  # type: ignore[no-redef]
    elif name == "translate":
        from seq2seq.commands import translate as command  # type: ignore[no-redef]
    elif name == "check-data":
        from seq2seq.commands import check_data as command  # type: ignore[no-redef]
    else:
        from seq2seq.commands import runs as command  # type: ignore[no-redef]
    command.main()
