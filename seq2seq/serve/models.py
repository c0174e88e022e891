"""The models that are served, and what is said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seq2seq.build.inference import BUILT_IN, LoadedRun, TrainedModel, load_run
from seq2seq.decoding.translator import Translator
from seq2seq.report.card import attention
from seq2seq.runs.layout import run_of
from seq2seq.settings.schema import ServeConfig, directories


@dataclass(frozen=True, eq=False)
class Served:
    """A model under the name by which requests ask for it."""

    name: str
    src: str  # language code
    tgt: str
    about: str  # a line on what it is
    translator: Translator


def load_served(settings: ServeConfig) -> list[Served]:
    """The models of the runs, each by the name of its directory, or by its whole path if two have one name.

    An ensemble has the names of its members, joined by "+".

    Raises:
        CheckpointError, ConfigError: as of ``load_run``.
    """
    decode = replace(settings.decode, workers="1")  # a process with threads should not fork
    loaded = [load_run(run, settings.checkpoint, decode, settings.machine) for run in settings.runs]
    return [
        Served(name, run.config.data.src, run.config.data.tgt, about(run), run.translator)
        for name, run in zip(names_of(settings.runs, loaded), loaded, strict=True)
    ]


def names_of(given: Sequence[Any], loaded: Sequence[LoadedRun]) -> list[str]:
    """A name for each run, no name twice."""
    names = ["+".join(map(_name, run.members)) for run in loaded]
    times = Counter(names)
    return [
        name if run is None or times[name] == 1 else "+".join(Path(path).as_posix() for path in directories(run))
        for name, run in zip(names, given, strict=True)
    ]


def _name(member: TrainedModel) -> str:
    return "built-in" if member.path == BUILT_IN else run_of(member.path.resolve()).name


def about(run: LoadedRun) -> str:
    """What the model is, in a line, besides its languages."""
    members = run.members
    said = [f"ensemble of {len(members)} models"] if len(members) > 1 else []
    said += [
        f"{' and '.join(dict.fromkeys(attention(member.config) for member in members))} attention",
        f"{sum(member.model.num_parameters() for member in members) / 1e6:.1f} million weights",
        f"update {' and '.join(f'{member.info.step:,}' for member in members)}",
    ]
    scores = [member.info.metrics["bleu"] for member in members if "bleu" in member.info.metrics]
    if scores:
        said.append(f"BLEU {' and '.join(f'{bleu:.1f}' for bleu in scores)} in validation")
    if run.path == BUILT_IN:
        said.append("knows only the phrasebook: short everyday sentences of 1,400 words")
    return ", ".join(said)
