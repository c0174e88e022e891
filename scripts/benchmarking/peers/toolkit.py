"""What differs between the toolkits: the names of attentions, the settings and the files of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from benchmarking.settings import BenchmarkConfig


class Job(NamedTuple):
    """A training by a toolkit, in a directory of its own: train.src, train.tgt, vocab.src and vocab.tgt."""

    directory: Path
    sentences: int  # of a batch
    in_order: bool  # whether each batch is the next ``sentences`` lines; else batches are drawn from all lines
    updates: int

    def file(self, name: str) -> str:
        """The absolute path of a file in the job's directory."""
        return str(self.directory.resolve() / name)


class Toolkit(Protocol):
    """A toolkit that trains the model of the benchmark and searches with it; ``driver.py`` knows its modules."""

    key: ClassVar[str]  # in settings and file names
    name: ClassVar[str]  # in tables
    scores: ClassVar[Mapping[str, str]]  # our attentions → its own, with input feeding
    vocabulary: ClassVar[str]  # a line of its vocabulary files, with {} for the piece
    train: ClassVar[tuple[str, ...]]  # the module whose main() trains, and words before the settings' path

    def settings(self, config: BenchmarkConfig, job: Job) -> dict[str, Any]:
        """The content of its settings file."""

    def model(self, job: Job) -> str:
        """The path of the model that ``job`` has trained, as its own search takes it."""
