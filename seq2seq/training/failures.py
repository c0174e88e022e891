"""The errors of a training that can't begin or can't continue."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from seq2seq.data.batch import Batch
from seq2seq.errors import ConfigError, TrainingError, out_of_memory

SHOWN = 8  # line numbers of a batch


@contextmanager
def fitting_in_memory(batch: Batch) -> Iterator[None]:
    """Raise ``ConfigError`` if memory runs out in the block, which computes ``batch``, the corpus' largest."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        sentences, src, tgt = *batch.src.shape, batch.tgt_in.size(1)
        raise ConfigError(
            f"trainer.batch_tokens: memory is too small for the largest batch ({sentences} sentences, "
            f"{src} × {tgt} tokens): lower trainer.batch_tokens, and raise trainer.accumulate in proportion"
        ) from error


def diverged(
    model: nn.Module, skipped: int, step: int, lines: Sequence[object], lr: float, saved: str
) -> TrainingError:
    """No gradient is finite any more: ``skipped`` updates in a row, up to ``step``; ``saved`` is whole."""
    norms = {name: float(weight.detach().norm()) for name, weight in model.named_parameters()}
    largest = max(norms, key=lambda name: norms[name] if math.isfinite(norms[name]) else math.inf)
    shown = ", ".join(map(str, lines[:SHOWN])) + (" …" if len(lines) > SHOWN else "")
    return TrainingError(
        f"no finite gradient in {skipped} updates in a row, up to {step:,}; lines of the last batch: {shown}; "
        f"largest norm {norms[largest]:.3g} ({largest}); {saved} is whole; lower optimizer.lr={lr:g} and start "
        "again with overwrite=true"
    )
