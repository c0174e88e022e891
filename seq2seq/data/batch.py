"""Tokenized pairs, and padded batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2seq.storage.rows import Integers, Rows
from seq2seq.text.tokenizer import BOS, EOS, PAD


class TokenizedPairs(NamedTuple):
    """Token ids of sentence pairs, without sentence start and end."""

    src: Rows
    tgt: Rows

    @classmethod
    def of(cls, src: Sequence[Sequence[int]], tgt: Sequence[Sequence[int]]) -> TokenizedPairs:
        """Those of these sentences."""
        return cls(Rows.of(src), Rows.of(tgt))

    def __len__(self) -> int:
        return len(self.src)

    def take(self, indices: Integers, max_length: int | None = None) -> TokenizedPairs:
        """The pairs with these indices, in memory; of each side, no more than ``max_length`` tokens."""
        return TokenizedPairs(self.src.take(indices, max_length), self.tgt.take(indices, max_length))

    def over_length(self, indices: Integers, max_length: int) -> NDArray[np.bool_]:
        """For each of the pairs with these indices, whether a side has more than ``max_length`` tokens."""
        over: NDArray[np.bool_] = np.maximum(self.src.lengths(indices), self.tgt.lengths(indices)) > max_length
        return over

    def unless_over_length(self, max_length: int, other: TokenizedPairs) -> TokenizedPairs:
        """The same, but a pair of more than ``max_length`` tokens on a side is replaced by that of ``other``."""
        numbers = np.arange(len(self))
        chosen = numbers + len(self) * self.over_length(numbers, max_length)
        src, tgt = (one.followed_by(two).take(chosen) for one, two in zip(self, other, strict=True))
        return TokenizedPairs(src, tgt)


class Counts(NamedTuple):
    """Tokens of a whole batch, also of those rows that other processes compute; sentence ends included."""

    tgt: int  # real, of the target
    real: int  # of both sides
    padded: int  # of both sides, with the padding

    @classmethod
    def of(cls, src_lengths: Integers, tgt_lengths: Integers) -> Counts:
        """Those of sentences of these lengths, without their ends, padded to the longest."""
        src, tgt = src_lengths + 1, tgt_lengths + 1
        return cls(int(tgt.sum()), int((src + tgt).sum()), len(src) * int(src.max() + tgt.max()))


class Batch(NamedTuple):
    """Padded token ids; B sentences, S and T the longest source and target with their end or start."""

    src: Tensor  # (B, S) words, then </s>
    src_mask: Tensor  # (B, S) True on real tokens
    tgt_in: Tensor  # (B, T) <s>, then words
    tgt_out: Tensor  # (B, T) words, then </s>
    places: Tensor  # (N,) positions of the real target tokens among all B·T, row after row
    counts: Counts  # of the whole batch

    @property
    def targets(self) -> Tensor:
        """(N,) the real target tokens."""
        return self.tgt_out.flatten().index_select(0, self.places)

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        src, src_mask, tgt_in, tgt_out, places = (to_device(part, device) for part in self[:5])
        return Batch(src, src_mask, tgt_in, tgt_out, places, self.counts)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The same tensor on ``device``; a copy to a CUDA GPU runs in the background."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def collate(src: Rows, tgt: Rows) -> Batch:
    """Pad sentence pairs to a batch; every source ends in </s>, so none is of length 0."""
    src_ids, src_mask = pad(src)
    tgt_out, tgt_mask = pad(tgt)
    tgt_in = torch.full_like(tgt_out, BOS)
    tgt_in[:, 1:] = torch.where(tgt_mask[:, 1:], tgt_out[:, :-1], PAD)
    places = tgt_mask.flatten().nonzero().squeeze(1)  # on the CPU: on a GPU this would wait for it
    return Batch(src_ids, src_mask, tgt_in, tgt_out, places, Counts.of(src.all_lengths(), tgt.all_lengths()))


def pad(rows: Rows) -> tuple[Tensor, Tensor]:
    """Ids (B, longest + 1), each row with </s> and then <pad>, and a mask that is True on all but <pad>."""
    lengths = rows.all_lengths()[:, None]
    columns = np.arange(int(lengths.max()) + 1)
    ids = np.full((len(rows), len(columns)), PAD)
    ids[columns < lengths] = rows.values
    ids[columns == lengths] = EOS
    return torch.from_numpy(ids), torch.from_numpy(columns <= lengths)
