"""The precision of matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from seq2seq.model.fused.products import packing


class Precision(NamedTuple):
    """The precision of matrix products; weights, states, softmax and loss stay in fp32."""

    name: str  # fp32, bf16, fp16 or, in search, int8
    reason: str = "as asked for"
    packed: bool = False  # whether oneDNN makes the fp32 products of training's steps, with packed matrices
    beside: str = "fp32"  # with int8: fp32 or bf16, for the products that are not in 8 bits

    @property
    def dtype(self) -> torch.dtype:
        """Torch's type; with int8, that of the products beside those in 8 bits."""
        name = self.beside if self.name == "int8" else self.name
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name, torch.float32)

    @contextmanager
    def products(self, device: torch.device) -> Iterator[None]:
        """In this block, products are computed in this precision."""
        low = torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32)
        with low, packing(self.packed):
            yield

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Keeps gradients within the range of fp16; does nothing for the others."""
        return torch.amp.GradScaler(device.type, enabled=self.name == "fp16")

    def state_dict(self) -> dict[str, str | bool]:
        """What a run that is resumed, on whatever machine, goes on with."""
        return {"name": self.name, "packed": self.packed}


FP32 = Precision("fp32")
