"""The settings of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq.errors import ConfigError
from seq2seq.settings.schema import TrainConfig, choice, count, section, setting


@dataclass
class BenchmarkOptions:
    """How much to measure, and what to compare with."""

    sentences: int = count(128, "sentences of a batch")
    batches: int = count(12, "updates of a round")
    rounds: int = count(3, "rounds, in which the contenders take turns")
    run: str | None = setting(None, "a trained run, to time search with; null: training only")
    peer: str = choice("another toolkit to measure beside seq2seq", "none", "opennmt")
    peer_bin: str = setting("", "directory of the peer's commands")
    peer_model: str | None = setting(None, "a checkpoint of the peer, to time its search beside that of run")
    scaling: bool = setting(False, "tables of speed against sizes")
    output: str = setting("benchmark", "directory for the results")


@dataclass
class BenchmarkConfig(TrainConfig):
    """Measure speed and memory. Takes the settings of a training run."""

    benchmark: BenchmarkOptions = section(BenchmarkOptions)


def check_benchmark(settings: BenchmarkConfig) -> None:
    """Raise ``ConfigError`` if a peer's model has nothing to be compared with."""
    if settings.benchmark.peer_model and not settings.benchmark.run:
        raise ConfigError(
            f"benchmark.peer_model={settings.benchmark.peer_model}: needs benchmark.run, a run of ours to compare"
        )
