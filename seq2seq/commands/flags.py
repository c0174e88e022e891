"""The options that begin with a dash: our own and the useful ones of Hydra, checked before Hydra is imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seq2seq.errors import ConfigError, did_you_mean


class Flag(NamedTuple):
    """An option that begins with a dash."""

    name: str
    short: str
    doc: str
    value: str = ""  # what follows it, as in the help
    choices: tuple[str, ...] = ()
    default: str = ""  # the value if it is left out; "" if it must be given


HELP = Flag("--help", "-h", "this text")
VERSION = Flag("--version", "", "the version of seq2seq")
COMPLETION = Flag("--shell-completion", "-sc", 'completion for bash and zsh: eval "$(seq2seq --shell-completion)"')
COMMON = (HELP, VERSION, COMPLETION)
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
MULTIRUN = Flag("--multirun", "-m", "a sweep: KEY=A,B makes two runs; several such keys make all combinations")
CONFIG_DIR = Flag("--config-dir", "-cd", "directory with your own experiment/NAME.yaml or GROUP/NAME.yaml", "DIR")
HYDRA = (
    Flag("--cfg", "-c", "print all settings instead of running", "job", ("job", "hydra", "all")),
    Flag("--info", "-i", "print where the settings come from", "[TOPIC]", INFO, "all"),
    Flag("--hydra-help", "", "Hydra's own help"),
)
TENSORBOARD = Flag("--tensorboard", "", "then start TensorBoard there; its tab HPARAMS compares the runs")
SPLIT = Flag("--split", "", "name of the evaluation, as in runs/x/evaluation/NAME; test if left out", "NAME")
HTML = Flag("--html", "", "also write a page: the same, with more sentences and with curves", "FILE")
WITHOUT_HYDRA = {"runs": (TENSORBOARD,), "compare": (SPLIT, HTML)}
ONE_OF = {"--multirun", "--cfg", "--info"}


def arranged(arguments: Sequence[str], command: str) -> list[str]:
    """``arguments`` checked, with the flags first, where Hydra expects them.

    Raises:
        ConfigError: a flag is unknown, its value is missing or wrong, or it excludes another one.
    """
    flags, others = [], []
    known = {name: flag for flag in flags_of(command) for name in (flag.name, flag.short) if name}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("-"):
            others.append(f"{name}{equals}{value}")
            continue
        if name not in known:
            hint = did_you_mean(name, known) or f"; seq2seq {command} --help lists the options"
            raise ConfigError(f"{name}: no such option{hint}")
        flag = known[name]
        if flag.value and not equals:
            value = rest.pop(0) if rest and (not flag.default or rest[0] in flag.choices) else flag.default
        if flag.value and not value:
            raise ConfigError(f"{name}: a value is needed; give {name} {flag.value}")
        if flag.choices and value not in flag.choices:
            raise ConfigError(f"{name} {value}: unknown; valid: {', '.join(flag.choices)}")
        flags.append(f"{flag.name}={value}" if flag.value else flag.name)
    instead = sorted({flag.partition("=")[0] for flag in flags} & ONE_OF)
    if len(instead) > 1:
        raise ConfigError(f"{' and '.join(instead)}: give only one of them")
    return flags + others


def flags_of(command: str) -> tuple[Flag, ...]:
    """The flags that a command takes."""
    sweep = (MULTIRUN,) if command in ("train", "evaluate") else ()
    own = (CONFIG_DIR,) if command in ("train", "tune", "diversify", "check-data") else ()
    return (*sweep, *own, *WITHOUT_HYDRA.get(command, HYDRA), *COMMON)


def value_of(name: str, arguments: Sequence[str]) -> list[str]:
    """The values given to a flag in ``arranged`` arguments."""
    return [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{name}=")]
