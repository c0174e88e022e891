"""The interface of every tokenizer, and the special tokens that they share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

PAD, UNK, BOS, EOS = range(4)
SPECIAL_TOKENS = ["<pad>", "<unk>", "<s>", "</s>"]


class Sampling(NamedTuple):
    """Draw one of several segmentations at random; the same ``seed`` draws the same one."""

    seed: str
    alpha: float
    """Unigram: smoothing of the segmentation probabilities (Kudo, 2018). BPE: the rate at which merges are
    dropped (Provilkov et al., 2020)."""


class Tokenizer(Protocol):
    """Text to token ids and back. Ids 0 to 3 are ``SPECIAL_TOKENS``; ``encode`` adds none of them but <unk>."""

    def __len__(self) -> int:
        """Vocabulary size V."""

    def encode(self, lines: Sequence[str], sampling: Sampling | None = None) -> list[list[int]]:
        """Token ids of each line: of its best segmentation, or with ``sampling`` of one drawn at random."""

    def decode(self, ids: Sequence[int]) -> str:
        """Plain, detokenised text."""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The tokens as they are written in the vocabulary."""

    def save(self, path: Path) -> None:
        """Write the file ``path``, from which the class can ``load`` it."""
