"""Word embeddings: vectors at a scale that suits a GRU, from a matrix at a scale that suits the output."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seq2seq.model.dropout import Dropout


class Embedding(nn.Embedding):
    """√E times a row of the matrix (Vaswani et al., 2017, section 3.4).

    The matrix has entries of size 1/√E, so that as a tied output matrix it gives logits of order one. Times √E,
    its rows have entries of order one, which drive the gates of a GRU from the start. In training, the whole
    vector of a word becomes zero with probability ``word_dropout`` (Gal and Ghahramani, 2016, section 4.2; drawn
    for each occurrence, not for each type).
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
