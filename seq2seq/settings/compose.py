"""From the command line, configs/ and saved files to checked settings. Only this module composes with Hydra."""

from __future__ import annotations

import atexit
import dataclasses
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
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
Launch = Callable[[list[list[str]], int], Any]
"""Runs jobs, each given by its overrides, numbered from the second argument on; returns when all have ended."""
UNREADABLE = (
    *(OmegaConfBaseException, YAMLError, ConfigError, OSError),
    *(AssertionError, KeyError, ValueError, OverflowError),
)


def register_schemas(**more: type) -> None:
    """Make the schemas known to Hydra, so that it refuses wrong keys and types when it composes.

    Each option of a group has one, and each command has schema/COMMAND; ``more`` are those of other commands.
    """
    from hydra.core.config_store import ConfigStore  # slow to import, and not every command composes

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
    """A directory for files that nobody reads later, removed when the process ends."""
    path = tempfile.mkdtemp(prefix="seq2seq-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


# At import and cached in the config, so that a process that runs a job of a sweep has the directory of the sweep.
OmegaConf.register_new_resolver("scratch", _scratch, replace=True, use_cache=True)


def sweep_directory(overrides: Sequence[str]) -> Path:
    """The directory of a sweep: hydra.sweep.dir of the ``overrides``, else one until this process ends.

    Raises:
        ConfigError: none is given for jobs on other machines.
    """
    given = [one.partition("=")[2] for one in overrides if one.startswith("hydra.sweep.dir=")]
    if not given and "hydra/launcher=submitit_slurm" in overrides:
        raise ConfigError("hydra/launcher=submitit_slurm: give hydra.sweep.dir=DIR, on a disk that all nodes see")
    directory = Path(given[-1] if given else _scratch())
    directory.mkdir(parents=True, exist_ok=True)
    return directory


class SweepJob(NamedTuple):
    """One job of a sweep (-m)."""

    swept: dict[str, str]  # full key or group → its value in this job, for everything that the sweep varies
    name: str  # of the run, as given, before interpolation; "" if there is none
    number: int = 0
    beside: int = 0  # how many jobs run side by side on this machine; 0 if this process launches and runs all


def sweep_job(config: DictConfig, overrides: Sequence[str]) -> SweepJob | None:
    """The job that ``config`` was composed for, of the sweep over ``overrides``; None if it is not a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return None
    given = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()] + [*overrides]
    keys = [item.key_or_group for item in _parsed(given) if item.is_sweep_override()]
    choices = hydra.runtime.choices
    swept = {key: written(choices[key] if key in choices else OmegaConf.select(config, key)) for key in keys}
    name = OmegaConf.to_container(config).get("name")  # type: ignore[union-attr]  # not resolved
    beside = hydra.launcher.n_jobs if choices["hydra/launcher"] == "joblib" else 0
    return SweepJob(swept, name or "", hydra.job.num, beside) if swept else None


def _parsed(overrides: Sequence[str]) -> list[Any]:
    """The overrides that are not Hydra's own."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return [one for one in OverridesParser.create().parse_overrides([*overrides]) if not one.is_hydra_override()]


class Dimension(NamedTuple):
    """What an override with several values, KEY=A,B or KEY=interval(LOW,HIGH), searches over."""

    values: list[str]  # as in an override; of an interval, its lower bound
    bounds: tuple[float, float] | None = None
    is_log: bool = False


def search_space(overrides: Sequence[str]) -> dict[str, Dimension]:
    """Key or group → what is searched over, for the overrides that give more than one value."""
    return {one.get_key_element(): _dimension(one) for one in _parsed(overrides) if one.is_sweep_override()}


def _dimension(override: Any) -> Dimension:
    value = override.value()
    if override.is_interval_sweep():
        low = int(value.start) if float(value.start).is_integer() else value.start
        return Dimension([str(low)], (value.start, value.end), "log" in value.tags)
    if not hasattr(value, "shuffle"):
        raise ConfigError(f"{override.input_line}: name the options, separated by commas")
    return Dimension([*override.sweep_string_iterator()])


def launcher(
    command: str, overrides: Sequence[str], task: Callable[[DictConfig], Any], samples: list[list[str]]
) -> Launch:
    """Hydra's launcher that the ``overrides`` choose, for jobs of ``command``; only within a command of Hydra.

    Jobs such as ``samples`` are composed once, so that mistakes show before any job runs.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    config = hydra.compose_config(command, [*overrides, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
    given = [*config.hydra.overrides.task]
    for sample in samples:
        hydra.config_loader.load_sweep_config(config, [*given, *sample])
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
    plugin = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
    return lambda jobs, first: plugin.launch([[*given, *job] for job in jobs], first)


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
