"""What the processes of one training do together. A process alone is the trivial case, and imports no torch here.

Rank r of n processes computes the rows r, r + n, r + 2n, … of whatever is shared out. Rank 0 alone writes files
and to the terminal, and decides whatever is decided once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

T = TypeVar("T")
R = TypeVar("R")


class Group:
    """A process alone: it agrees with itself, and nothing is sent."""

    rank = 0
    size = 1
    local_size = 1  # processes on this host
    restarts = 0  # times that a launcher would start all again after a failure

    @property
    def first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Those of ``items`` that are this process's to do."""
        return items[self.rank :: self.size]

    def device(self, device: torch.device) -> torch.device:
        """The device of this process, when ``device`` was asked for."""
        return device

    def seed(self, seed: int) -> None:
        """From now on, random numbers in training come from ``seed``; a process alone has one stream of them."""

    def begin_update(self, step: int) -> None:
        """Begin the update after update ``step``."""

    def parallel(self, module: nn.Module, all_reduce: str) -> nn.Module:
        """``module``, whose backward gives each process the mean gradient, exchanged in ``all_reduce``."""
        return module

    def exchanging(self, module: nn.Module, now: bool) -> AbstractContextManager[None]:
        """In this block, gradients of ``module``, which ``parallel`` gave, are exchanged or, not ``now``, kept."""
        return nullcontext()

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of the processes' tensors of this shape."""
        return tensor

    def agreed(self, tensor: Tensor) -> Tensor:
        """The tensor of rank 0, of the same shape."""
        return tensor

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        return number

    def once(self, function: Callable[[], T]) -> T:
        """What ``function`` returns on rank 0, where alone it is called."""
        return function()

    def shared_out(self, items: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]]) -> list[R]:
        """``work`` on each process's share of ``items``; rank 0 gets all results in order, the others none."""
        return [*work(items)]

    def wait(self) -> None:
        """Wait until all processes have come here."""

    def first_goes_first(self) -> AbstractContextManager[None]:
        """In this block rank 0 is alone; then come the others, however long that takes."""
        return nullcontext()

    def require_same(self, what: str, value: object) -> None:
        """Raise ``ConfigError`` where ``value`` is not as on rank 0; ``what`` says what it is."""


ALONE = Group()


@contextmanager
def joined() -> Iterator[Group]:
    """The group of processes that torchrun has started this one in, for the block; or this process alone."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    from seq2seq.distributed.processes import joined_processes  # with torch

    with joined_processes() as group:
        yield group
