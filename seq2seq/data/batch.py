"""Tokenized pairs, and padded batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.text.tokenizer import BOS, EOS, PAD


class TokenizedPairs(NamedTuple):
    """Token ids of sentence pairs, without sentence start and end."""

    src: list[list[int]]
    tgt: list[list[int]]
    lines: Sequence[int] = ()  # the line of each pair in its file, if known

    def __len__(self) -> int:
        return len(self.src)

    def numbered(self, lines: Sequence[int]) -> TokenizedPairs:
        """The same, with the line of each pair in its file."""
        return TokenizedPairs(self.src, self.tgt, lines)

    def over_length(self, max_length: int) -> list[bool]:
        """For each pair, whether a side has more than ``max_length`` tokens."""
        return [max(len(src), len(tgt)) > max_length for src, tgt in zip(self.src, self.tgt, strict=True)]

    def unless_over_length(self, max_length: int, other: TokenizedPairs) -> TokenizedPairs:
        """The same, but a pair of more than ``max_length`` tokens on a side is replaced by that of ``other``."""
        out = self.over_length(max_length)
        src, tgt = (
            [rows[i] if over else ids for i, (ids, over) in enumerate(zip(side, out, strict=True))]
            for side, rows in zip(self[:2], other[:2], strict=True)
        )
        return TokenizedPairs(src, tgt, self.lines)

    def limited(self, max_length: int, over_length: str) -> TokenizedPairs:
        """Pairs of at most ``max_length`` tokens a side: longer ones dropped or truncated (``over_length``)."""
        if over_length == "truncate":
            src, tgt = ([ids[:max_length] for ids in side] for side in (self.src, self.tgt))
            return TokenizedPairs(src, tgt, self.lines)
        keep = [not out for out in self.over_length(max_length)]
        src, tgt = (list(compress(side, keep)) for side in (self.src, self.tgt))
        return TokenizedPairs(src, tgt, tuple(compress(self.lines, keep)))


class Batch(NamedTuple):
    """Padded token ids; B sentences, S and T the longest source and target with their end or start."""

    src: Tensor  # (B, S) words, then </s>
    src_mask: Tensor  # (B, S) True on real tokens
    tgt_in: Tensor  # (B, T) <s>, then words
    tgt_out: Tensor  # (B, T) words, then </s>
    places: Tensor  # (N,) positions of the real target tokens among all B·T, row after row

    @property
    def targets(self) -> Tensor:
        """(N,) the real target tokens."""
        return self.tgt_out.flatten().index_select(0, self.places)

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return Batch(*(to_device(part, device) for part in self))


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The same tensor on ``device``; a copy to a CUDA GPU runs in the background."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def collate(src: Sequence[Sequence[int]], tgt: Sequence[Sequence[int]]) -> Batch:
    """Pad sentence pairs to a batch; every source ends in </s>, so none is of length 0."""
    src_ids, src_mask = pad([[*ids, EOS] for ids in src])
    tgt_in, _ = pad([[BOS, *ids] for ids in tgt])
    tgt_out, _ = pad([[*ids, EOS] for ids in tgt])
    places = (tgt_out != PAD).flatten().nonzero().squeeze(1)  # on the CPU: on a GPU this would wait for it
    return Batch(src_ids, src_mask, tgt_in, tgt_out, places)


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids (B, longest) padded with <pad>, and a mask (B, longest) that is True on real tokens."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(width) < lengths.unsqueeze(1)
