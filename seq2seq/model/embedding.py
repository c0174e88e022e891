"""Word embeddings at the scale that GRUs like, with a matrix at the scale that the output likes."""

from __future__ import annotations

import math

from torch import Tensor, nn


class Embedding(nn.Embedding):
    """√E times a row of the matrix (Vaswani et al., 2017, section 3.4).

    The matrix has entries of size 1/√E, so that, tied, it gives logits of order one; times √E its rows have
    entries of order one, which drive the gates of a GRU from the start.
    """

    def __init__(self, vocab_size: int, embedding_size: int) -> None:
        super().__init__(vocab_size, embedding_size)
        self.scale = math.sqrt(embedding_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (...) to vectors (..., E)."""
        return super().forward(tokens) * self.scale
