"""From the command line, configs/ and saved files to checked settings. Only this module composes with Hydra."""

from __future__ import annotations

import atexit
import dataclasses
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.settings.rules import check
from seq2seq.settings.schema import COMMANDS, GROUPS, DecodeConfig, DecodeConfigOverrides, TrainConfig, written

Settings = TypeVar("Settings")
UNREADABLE = (
    *(OmegaConfBaseException, YAMLError, ConfigError, OSError),
    *(AssertionError, KeyError, ValueError, OverflowError),
)


def register_schemas(**more: type) -> None:
    """Make the schemas known to Hydra, so that it refuses wrong keys and types when it composes.

    Each option of a group has one, and each command has schema/COMMAND; ``more`` are those of other commands.
    """
    from hydra.core.config_store import ConfigStore  # slow to import, and not every command composes

    OmegaConf.register_new_resolver("scratch", _scratch, replace=True)
    store = ConfigStore.instance()
    for command, schema in {**COMMANDS, **more}.items():
        store.store(group="schema", name=command, node=schema, package="_global_")
    for group, options in GROUPS.items():
        for option, schema in options.items():
            store.store(group=group, name=option, node=schema)


def load_settings(config: DictConfig, schema: type[Settings]) -> Settings:
    """The composed ``config`` as a checked ``schema`` dataclass.

    Raises:
        ConfigError: a value is missing or not valid.
    """
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, schema)
    check(settings)
    return settings


@cache
def _scratch() -> str:
    """A directory for files that nobody reads, removed when the process ends."""
    path = tempfile.mkdtemp(prefix="seq2seq-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


class SweepJob(NamedTuple):
    """One job of a sweep (-m)."""

    swept: dict[str, str]  # full key or group → its value in this job, for everything that the sweep varies
    name: str  # of the run, as given, before interpolation; "" if there is none


def sweep_job(config: DictConfig) -> SweepJob | None:
    """The job of a sweep that ``config`` was composed for; None if the command is not a sweep."""
    from hydra._internal.utils import get_args
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    job = HydraConfig.get()
    if job.mode != RunMode.MULTIRUN:
        return None
    given = [f"{key}={value}" for key, value in (job.sweeper.get("params") or {}).items()] + get_args().overrides
    overrides = OverridesParser.create().parse_overrides(given)
    keys = [item.key_or_group for item in overrides if item.is_sweep_override() and not item.is_hydra_override()]
    choices = job.runtime.choices
    swept = {key: written(choices[key] if key in choices else OmegaConf.select(config, key)) for key in keys}
    name = OmegaConf.to_container(config).get("name")  # type: ignore[union-attr]  # not resolved
    return SweepJob(swept, name or "") if swept else None


def override_value(value: str) -> str:
    """``value`` as Hydra reads it in KEY=VALUE: in quotes if it has anything special in it."""
    if re.fullmatch("[a-zA-Z0-9_/.+~-]+", value):
        return value
    escaped = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + '\\"' * bool(match[2]), value)
    return f'"{escaped}"'


def to_yaml(settings: Any) -> str:
    """All settings, resolved, as YAML of plain values."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(settings)))


def read_train_config(path: Path) -> TrainConfig:
    """The settings that ``to_yaml`` wrote, against today's schema.

    Raises:
        CheckpointError: the file is missing, unreadable or not of this schema.
    """
    try:
        saved = OmegaConf.load(path)
        assert isinstance(saved, DictConfig)
        schema = {group: OmegaConf.structured(_schema_of(group, saved[group])) for group in GROUPS}
        merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), schema, saved)
        assert isinstance(merged, DictConfig)
        return load_settings(merged, TrainConfig)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; is {path.parent} a run or a copy of its best/?") from None
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not OmegaConf's own
            raise CheckpointError(f"{path}: can't be read ({error.strerror})") from None
        reason = " ".join(str(error).split()) or "not a table of settings"
        raise CheckpointError(f"{path}: not a config of this version ({reason[:200]})") from error


def _schema_of(group: str, saved: DictConfig) -> type:
    options = GROUPS[group]
    return options[saved.name] if "name" in saved else next(iter(options.values()))


def overridden(decode: DecodeConfig, overrides: DecodeConfigOverrides) -> DecodeConfig:
    """``decode`` with what is given in ``overrides``."""
    given = {key: value for key, value in vars(overrides).items() if value is not None}
    return dataclasses.replace(decode, **given)
