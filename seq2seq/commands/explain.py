"""What went wrong, in one line with the remedy."""

from __future__ import annotations

import errno

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from seq2seq.errors import UserError, did_you_mean, out_of_memory
from seq2seq.settings.schema import TrainConfig, keys_of, training_keys

OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EMFILE", "ENFILE", "EIO")
    if hasattr(errno, name)
}
"""Disks that are full, read-only or broken, and files that can't be opened: nothing that a traceback explains."""


def one_line(error: Exception, schema: type) -> str | None:
    """One line for what its reader can put right; None for anything else, which is a defect of the program."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain(error, schema)
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        return f"{error.filename or 'the output'}: {error.strerror}"
    if out_of_memory(error):
        key = "trainer.batch_tokens" if issubclass(schema, TrainConfig) else "decode.batch_tokens"
        return f"memory ran out: lower {key}, or end other programs ({_first_line(error)[:120]})"
    return None


def explain(error: Exception, schema: type) -> str:
    """One line for what Hydra or OmegaConf found wrong with the settings."""
    if isinstance(error, MissingConfigException):
        return _unknown_name(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not an override; write KEY=VALUE, with quotes around spaces and special signs"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}: a value is needed; give {error.full_key}=…"
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) and error.__cause__ else error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return f"{cause.full_key}: no such setting{_nearest_key(str(cause.full_key), schema)}"
    if isinstance(cause, OmegaConfBaseException):
        return f"{cause.full_key}: {_first_line(cause)}"
    return _first_line(error)


def _unknown_name(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    options = [option for option in error.options or [] if option != "schema"]
    if not group:
        return f"{name}: no such config"
    hint = did_you_mean(name, options)
    if group == "attention" and name in ("dot", "general", "concat"):
        hint = f"; did you mean attention=luong attention.score={name}?"
    return f"{group}={name}: unknown; valid are {', '.join(options)}{hint}"


def _nearest_key(given: str, schema: type) -> str:
    """Where else the key is, or which is nearest to it."""
    keys = dict.fromkeys(keys_of(schema), "")
    if issubclass(schema, TrainConfig):
        keys.update(training_keys())
    if given in keys:
        return f" here; {keys[given]} has it"
    last = given.rpartition(".")[2]
    homes = [key for key in keys if key.rpartition(".")[2] == last]
    return f"; did you mean {' or '.join(homes)}?" if homes else did_you_mean(given, keys)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
