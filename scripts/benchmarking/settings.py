"""The settings of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seq2seq.errors import ConfigError, did_you_mean
from seq2seq.settings.reference import kind
from seq2seq.settings.schema import TrainConfig, count, leaves, section, setting, written

PEERS = ("opennmt", "eole", "joeynmt")


@dataclass
class BenchmarkOptions:
    """How much to measure, and what to compare with."""

    quick: bool = setting(False, "only one line of figures, in less than a minute; also as --quick")
    sentences: list[int] = count([128, 40], "sentences of a batch: all is measured for each")
    batches: int = count(12, "updates of a round")
    rounds: int = count(3, "rounds, in which the contenders take turns")
    run: str | None = setting(None, "a trained run, to time search with; null: training only")
    peers: list[str] = setting([], f"toolkits to measure beside seq2seq: [{','.join(PEERS)}] or some of them")
    peers_dir: str = setting("benchmark/peers", "directory of their environments, made by `make peers`")
    peer_updates: int = count(480, "updates that train the model with which a peer searches")
    scaling: bool = setting(False, "tables of speed against sizes")
    output: str = setting("benchmark", "directory for the results")


@dataclass
class BenchmarkConfig(TrainConfig):
    """Measure speed and memory. Takes the settings of a training run."""

    benchmark: BenchmarkOptions = section(BenchmarkOptions)


def check_benchmark(settings: BenchmarkConfig) -> None:
    """Raise ``ConfigError`` if a list is empty, names something twice, or has an unknown peer."""
    options = settings.benchmark
    for key, given in (("sentences", options.sentences), ("peers", options.peers)):
        if len(set(given)) < len(given) or (key == "sentences" and not given):
            raise ConfigError(f"benchmark.{key}={given}: expected a list without duplicates")
    for peer in options.peers:
        if peer not in PEERS:
            hint = did_you_mean(peer, PEERS)
            raise ConfigError(f"benchmark.peers={peer}: unknown; valid: {', '.join(PEERS)}{hint}")


def help_text() -> Iterator[str]:
    """The benchmark's own settings, for --help."""
    for leaf in leaves(BenchmarkOptions(), "benchmark."):
        yield f"  {leaf.key}={written(leaf.value)}"
        yield f"      {leaf.metadata['doc']} ({kind(leaf)})"
