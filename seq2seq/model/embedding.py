"""Word embeddings at the scale that GRUs like, with a matrix at the scale that the output likes."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seq2seq.model.dropout import Dropout


class Embedding(nn.Embedding):
    """√E times a row of the matrix (Vaswani et al., 2017, section 3.4).

    The matrix has entries of size 1/√E, so that, tied, it gives logits of order one; times √E its rows have
    entries of order one, which drive the gates of a GRU from the start. In training ``word_dropout`` of the words
    become zeros as a whole (Gal and Ghahramani, 2016, section 4.2; drawn for each occurrence, not each type).
    """

    def __init__(self, vocab_size: int, embedding_size: int, word_dropout: float = 0.0) -> None:
        super().__init__(vocab_size, embedding_size)
        self.scale = math.sqrt(embedding_size)
        self.word_dropout = Dropout(word_dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (...) to vectors (..., E)."""
        scale = self.word_dropout(self.weight.new_full((*tokens.shape, 1), self.scale))
        vectors: Tensor = super().forward(tokens) * scale
        return vectors
