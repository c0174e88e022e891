"""The models that are served, and what is said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seq2seq.build.inference import BUILT_IN, LoadedRun, load_run
from seq2seq.decoding.translator import Translator
from seq2seq.report.card import attention
from seq2seq.runs.layout import run_of
from seq2seq.settings.schema import ServeConfig


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

    Raises:
        CheckpointError, ConfigError: as of ``load_run``.
    """
    decode = replace(settings.decode, workers="1")  # a process with threads should not fork
    loaded = [load_run(run, settings.checkpoint, decode, settings.machine) for run in settings.runs]
    return [
        Served(name, run.config.data.src, run.config.data.tgt, about(run), run.translator)
        for name, run in zip(names_of(settings.runs, loaded), loaded, strict=True)
    ]


def names_of(given: Sequence[str | None], loaded: Sequence[LoadedRun]) -> list[str]:
    """A name for each run, no name twice."""
    names = ["built-in" if run.path == BUILT_IN else run_of(run.path.resolve()).name for run in loaded]
    times = Counter(names)
    return [
        name if path is None or times[name] == 1 else Path(path).as_posix()
        for name, path in zip(names, given, strict=True)
    ]


def about(run: LoadedRun) -> str:
    """What the model is, in a line, besides its languages."""
    said = [
        f"{attention(run.config)} attention",
        f"{run.translator.model.num_parameters() / 1e6:.1f} million weights",
        f"update {run.info.step:,}",
    ]
    if (bleu := run.info.metrics.get("bleu")) is not None:
        said.append(f"BLEU {bleu:.1f} in validation")
    if run.path == BUILT_IN:
        said.append("knows only the phrasebook: short everyday sentences of 1,400 words")
    return ", ".join(said)
