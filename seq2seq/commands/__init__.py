"""`seq2seq COMMAND …`: each command has a module of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from seq2seq import __version__
from seq2seq.commands import flags
from seq2seq.commands.output import process, say
from seq2seq.errors import ConfigError, did_you_mean
from seq2seq.signals import importing

COMMANDS = {
    "train": "train a translation model",
    "evaluate": "score a trained model on a test set",
    "translate": "translate text with a trained model",
    "serve": "translate on a page in the browser, and over HTTP",
    "export": "take a trained model along, without PyTorch",
    "diversify": "train on a corpus and on translations of it by other models",
    "tune": "search for good settings",
    "check-data": "check a corpus before training on it",
    "runs": "compare runs in a table",
    "compare": "compare evaluations sentence by sentence, with tests of significance",
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
            'eval "$(seq2seq --shell-completion)" completes them in bash and zsh.',
            "Begin with: seq2seq translate (a small model is built in), seq2seq train experiment=phrasebook",
        ]
    )


def main() -> None:
    """Run the command that the first argument names."""
    with process():
        _main(sys.argv[1:])


def _main(arguments: list[str]) -> None:
    name = arguments[0].replace("_", "-") if arguments else "--help"
    if name in ("--help", "-h", "help"):
        say(usage())
    elif name in ("--version", "--shell-completion", "-sc"):
        _answer(name)
    elif name in COMMANDS:
        sys.argv = [f"seq2seq {name}", *arguments[1:]]
        _run(name)
    else:
        sys.exit(f"error: {name}: no such command{did_you_mean(name, COMMANDS)} (seq2seq --help lists them)")


def run(name: str) -> None:
    """Run a command with the arguments of this process, or answer --help, --version and the like."""
    with process():
        _run(name)


def _run(name: str) -> None:
    try:
        arguments = flags.arranged(sys.argv[1:], name)
    except ConfigError as error:
        sys.exit(f"error: {error}")
    if "--help" in arguments:
        from seq2seq.commands import help as help_texts

        say(help_texts.text(name, *map(Path, flags.value_of("--config-dir", arguments))))
    elif asked := {"--version", "--shell-completion"}.intersection(arguments):
        _answer(*asked)
    else:
        sys.argv[1:] = arguments
        with importing():
            command = _imported(name)
        command()


def _answer(*asked: str) -> None:
    if "--version" in asked:
        print(f"seq2seq {__version__}")
    else:
        from seq2seq.commands import completion

        say(completion.script(tuple(COMMANDS)))


def _imported(name: str) -> Callable[[], None]:
    """Import only this command, since each has imports that the others don't need."""
    if name == "train":
        from seq2seq.commands import train as command
    elif name == "evaluate":
        from seq2seq.commands import evaluate as command  # type: ignore[no-redef]
    elif name == "translate":
        from seq2seq.commands import translate as command  # type: ignore[no-redef]
    elif name == "serve":
        from seq2seq.commands import serve as command  # type: ignore[no-redef]
    elif name == "export":
        from seq2seq.commands import export as command  # type: ignore[no-redef]
    elif name == "tune":
        from seq2seq.commands import tune as command  # type: ignore[no-redef]
    elif name == "diversify":
        from seq2seq.commands import diversify as command  # type: ignore[no-redef]
    elif name == "check-data":
        from seq2seq.commands import check_data as command  # type: ignore[no-redef]
    elif name == "compare":
        from seq2seq.commands import compare as command  # type: ignore[no-redef]
    else:
        from seq2seq.commands import runs as command  # type: ignore[no-redef]
    return command.main
