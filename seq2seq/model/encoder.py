"""Bidirectional GRU encoder and the bridge to the decoder's first state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq.model.dropout import Dropout
from seq2seq.model.embedding import Embedding


class Encoder(nn.Module):
    """1 to N bidirectional GRU layers over packed sequences: nothing is computed for padding."""

    def __init__(
        self,
        embedding: Embedding,
        hidden_size: int,
        num_layers: int = 1,
        embedding_dropout: float = 0.0,
        layer_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.embedding_dropout = Dropout(embedding_dropout)
        self.gru = nn.GRU(
            embedding.embedding_dim,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=layer_dropout if num_layers > 1 else 0.0,
        )
        self.layer_dropout = Dropout(layer_dropout)
        self.memory_size = 2 * hidden_size

    def forward(self, src: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode ``src`` (B, S) token ids; ``mask`` (B, S) is True on real tokens, at least one a row.

        Returns:
            Encoder states H (B, S, M), zero on padding, with M = 2 × hidden size; and (B, M), the last forward and
            the last backward state of the top layer, from which the decoder starts.
        """
        embedded = self.embedding_dropout(self.embedding(src))  # (B, S, E)
        lengths = mask.sum(dim=1).cpu()  # where packing needs them
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        packed_states, last = self.gru(packed)  # last: (2L, B, H), forward and backward of each layer
        states, _ = pad_packed_sequence(packed_states, batch_first=True, total_length=src.size(1))
        return states, torch.cat([last[-2], last[-1]], dim=1)

    if TYPE_CHECKING:
        __call__ = forward


class Bridge(nn.Module):
    """First decoder state of each layer: tanh(W_init [→ ; ←])."""

    def __init__(self, memory_size: int, decoder_size: int, num_layers: int) -> None:
        super().__init__()
        self.linear = nn.Linear(memory_size, num_layers * decoder_size)
        self.shape = (num_layers, decoder_size)

    def forward(self, final_state: Tensor) -> Tensor:
        """(B, M) to (L, B, D)."""
        start: Tensor = torch.tanh(self.linear(final_state)).unflatten(1, self.shape)
        return start.transpose(0, 1).contiguous()


class ZeroBridge(nn.Module):
    """First decoder state of each layer: zeros."""

    def __init__(self, memory_size: int, decoder_size: int, num_layers: int) -> None:
        super().__init__()
        self.shape = (num_layers, decoder_size)

    def forward(self, final_state: Tensor) -> Tensor:
        """(B, M) to (L, B, D)."""
        num_layers, decoder_size = self.shape
        return final_state.new_zeros(num_layers, final_state.size(0), decoder_size)


BRIDGES: dict[str, type[Bridge | ZeroBridge]] = {"tanh": Bridge, "zeros": ZeroBridge}
