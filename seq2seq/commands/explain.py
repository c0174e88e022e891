"""Errors explained in one line, with the remedy."""

from __future__ import annotations

import difflib
import errno
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from seq2seq.errors import UserError, did_you_mean, lost_process, out_of_memory
from seq2seq.settings.reference import EXPERIMENT, kind, known_leaves, options
from seq2seq.settings.rules import GPUS
from seq2seq.settings.schema import COMMANDS, GROUPS, TrainConfig, training_keys, written

EXTRA = ("joblib", "submitit")  # launchers of Hydra that are packages of their own
OF_THE_MACHINE = {
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EMFILE", "ENFILE", "EIO"),
        *("ENOENT", "EEXIST", "ENOTDIR", "EISDIR"),
    )
    if hasattr(errno, name)
}
"""Disks that are full, read-only or broken, and files that can't be opened or made: a traceback would not help."""
HYDRAS_OWN = ("Config group override must be", "argument of type", "Exceeds the limit")
"""What Hydra stumbles over: groups given numbers or lists of numbers, and numbers too long to read."""
NAMELESS = r"(?i)null|true|false|[+-]?(inf|nan|[\d.].*)|\[.*\d.*\]"  # given to a group


def one_line(error: Exception, schema: type) -> str | None:
    """One line for an error that the user can put right; None for any other, which is a defect of the program."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException) or _full_key(error):
        return explain(error, schema)
    if isinstance(error, ValueError | TypeError) and str(error).startswith(HYDRAS_OWN):
        return _unreadable(schema)
    if isinstance(error, OSError) and (given := _of_hydra(error)):
        return f"{given}: {error.strerror}; leave it out"
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        return f"{error.filename or 'the output'}: {error.strerror}"
    if killed(error):
        return f"the system killed the process of a job, maybe for want of memory ({_first_line(error)[:120]})"
    if lost := lost_process(error):
        return f"another process of this training has ended or can't be reached ({lost})"
    if out_of_memory(error):
        training = issubclass(schema, TrainConfig)
        keys = "trainer.batch_tokens or model.*_size" if training else "decode.batch_tokens or decode.beam_size"
        return f"memory ran out: lower {keys}, or end other programs ({_first_line(error)[:120]})"
    return None


def killed(error: Exception) -> bool:
    """Whether a launcher says that the process of a job has died (joblib's and submitit's errors)."""
    return type(error).__name__ in ("TerminatedWorkerError", "UncompletedJobError", "FailedJobError")


def explain(error: Exception, schema: type) -> str:
    """One line for an error of the settings that Hydra or OmegaConf has raised."""
    if isinstance(error, MissingConfigException):
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return _unknown_option(group, name, [option for option in error.options or [] if option != "schema"])
    if isinstance(error, OverrideParseException):
        return _not_an_override(str(error.override), schema)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}: a value is needed; give {error.full_key}=…"
    if match := re.match(r"Ambiguous value for argument '(.*)'", str(error)):
        return f"{match[1]}: several values are a sweep, which needs -m; one value with a comma needs quotes"
    if "INTERVAL_SWEEP" in str(error) or re.match("Sweep parameters '.*' requires", str(error)):
        return "interval(LOW,HIGH) and the like are for seq2seq tune; train -m takes KEY=A,B"
    if match := re.match(r"Could not override '([^']*)'\. No match in the defaults list", str(error)):
        return _no_group(match[1], schema)
    cause = (isinstance(error, ConfigCompositionException) and (error.__cause__ or error.__context__)) or error
    key = _full_key(cause)
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        file = re.match(r"In '([^']*)'", str(error))
        key = key if file else _as_given(key)
        return f"{key}{f', set by {file[1]}' if file else ''}: no such setting{_nearest(key, schema)}"
    return _wrong_value(key, error, cause, schema) if key else _first_line(error)


def _full_key(error: BaseException) -> str:
    """The key that OmegaConf names, in errors of Python too; of a list, not of one of its items."""
    named = re.search(r"^    full_key: (.+?)(\[\d+\])?$", str(error), re.MULTILINE)
    return named[1] if named else ""


def _given(key: str) -> str:
    """The value of a key on the command line; "" if the key is not there but in a file."""
    values = [argument.partition("=")[2] for argument in sys.argv[1:] if argument.split("=")[0].strip("+~") == key]
    return values[-1] if values else ""


def _of_hydra(error: OSError) -> str:
    """The argument that set Hydra's own directory, if the error is about that."""
    return next((one for one in sys.argv[1:] if one.startswith("hydra.") and str(error.filename) in one), "")


def _as_given(key: str) -> str:
    """The whole key as on the command line; the error may name only its beginning, up to the unknown part."""
    given = [
        name for argument in sys.argv[1:] if (name := argument.split("=")[0].strip("+~")).startswith(f"{key}.")
    ]
    return given[0] if given else key


def _meant(names: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(filter(None, (', '.join(names[:-1]), names[-1])))}?"


def _groups_with(name: str) -> list[str]:
    groups = (*GROUPS, EXPERIMENT)
    return [f"{group}={name}" for group in groups if name in [option.name for option in options(group)]]


def _unknown_option(group: str, name: str, valid: Sequence[str]) -> str:
    if not group:
        return f"{name}: no such config"
    if group.startswith("hydra/") and name.startswith(EXTRA):
        return f"{group}={name} needs an extra: pip install 'seq2seq-nmt[sweeps]'"
    valid = valid or [option.name for option in options(group)]
    hint = did_you_mean(name, valid)
    if group == "attention" and name in ("dot", "general", "concat"):
        hint = _meant([f"attention=luong attention.score={name}"])
    elif elsewhere := _groups_with(name):
        hint = _meant(elsewhere)
    return f"{group}={name}: unknown; valid: {', '.join(valid)}{hint}"


def _unreadable(schema: type) -> str | None:
    """For the argument that Hydra stumbles over; None if there is none."""
    known = known_leaves(schema)
    for argument in sys.argv[1:]:
        key, sign, value = argument.partition("=")
        if re.search(r"\d{1000}", value):
            return f"{key}={value[:20]}…: too many digits"
        if sign and "." not in key and key not in known and re.fullmatch(NAMELESS, value):
            names = key in (*GROUPS, EXPERIMENT)
            return _unknown_option(key, value, ()) if names else f"{argument}: a group takes the name of an option"
    return None


def _not_an_override(given: str, schema: type) -> str:
    line = f"{given}: not an override; write KEY=VALUE, with quotes around spaces and special characters"
    known = known_leaves(schema)
    if given in known:
        return line + _meant([f"{given}={'true' if known[given].type is bool else '…'}"])
    if issubclass(schema, TrainConfig):
        return line + (_meant(homes) if (homes := _groups_with(given)) else "")
    runs = [path for path in (Path(given), Path(TrainConfig.runs_dir) / given) if path.is_dir()]
    return line + (_meant([f"run={runs[0]}"]) if runs else "")


def _no_group(group: str, schema: type) -> str:
    """The line for a group of a training run that was given to a command without groups."""
    value = _given(group)
    if group not in (*GROUPS, EXPERIMENT):
        return f"{group}: no such setting{_nearest(group, schema)}"
    if not hasattr(schema(), group):
        return f"{group}={value}: a run keeps the {group} that it was trained with"
    sets = next((option.values() for option in options(group) if option.name == value), {})
    remedy = " ".join(f"{group}.{key}={written(what)}" for key, what in sets.items())
    return f"{group}={value}: not a group here{_meant([remedy]) if remedy else _keys_below(group, schema)}"


def _keys_below(section: str, schema: type) -> str:
    keys = [key for key in known_leaves(schema) if key.startswith(f"{section}.")]
    return f"; its keys are {', '.join(keys)}" if keys else ""


def _wrong_value(key: str, error: Exception, cause: BaseException, schema: type) -> str:
    if keys := _keys_below(key, schema):
        return f"{key}{f'={_given(key)}' if _given(key) else ''}: a section, not a value{keys}"
    if key not in (known := known_leaves(schema)):
        return f"{key}: {_first_line(cause)}"
    override = re.match("Error merging override [^=]*=(.*)", str(error))
    value = override or re.search("[Vv]alue '(.*?)'(?: of type|$)", _first_line(cause))
    return f"{key}={value[1] if value else _given(key)}: expected {kind(known[key])}"


def _nearest(given: str, schema: type) -> str:
    """A hint: where the key does exist, or the nearest key."""
    keys = dict.fromkeys(known_leaves(schema), "")
    if issubclass(schema, TrainConfig):
        keys.update(training_keys())
    if given in keys:
        return f" here; {keys[given]} has it"
    last = given.rpartition(".")[2]
    if last == "device" and _given(given).lower() in GPUS:
        return _meant(["machine.device=cuda"])
    meant = [key for key in keys if key.rpartition(".")[2] == last] or [
        key for key in keys if f".{last}." in f".{key}"
    ]
    if not meant and issubclass(schema, TrainConfig):
        meant = _groups_with(last) or _nearest_group(given)
    if meant:
        return _meant(meant)
    for command, other in COMMANDS.items():
        if any(f"{key}.".startswith(f"{given}.") for key in known_leaves(other)):
            return f"; seq2seq {command.replace('_', '-')} has it"
    return did_you_mean(given, keys) or "; --help lists them"


def _nearest_group(given: str) -> list[str]:
    """The group with the nearest name, with the option given or, if it has no such option, with each option."""
    for group in difflib.get_close_matches(given, [*GROUPS, EXPERIMENT], n=1, cutoff=0.7):
        names = [option.name for option in options(group)]
        return [f"{group}={name}" for name in ([_given(given)] if _given(given) in names else names)]
    return []


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
