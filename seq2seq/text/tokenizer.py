"""What every tokenizer offers, and the special tokens that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

PAD, UNK, BOS, EOS = range(4)
SPECIAL_TOKENS = ["<pad>", "<unk>", "<s>", "</s>"]


class Sampling(NamedTuple):
    """One segmentation drawn at random, where there are several; the same ``seed`` draws the same."""

    seed: str
    alpha: float
    """Unigram: smoothing of the segmentation probabilities (Kudo, 2018). BPE: the rate at which merges are
    dropped (Provilkov et al., 2020)."""


class Tokenizer(Protocol):
    """Text to token ids and back. Ids 0 to 3 are ``SPECIAL_TOKENS``; ``encode`` adds none of them but <unk>."""

    def __len__(self) -> int:
        """Vocabulary size V."""

    def encode(self, lines: Sequence[str], sampling: Sampling | None = None) -> list[list[int]]:
        """Token ids of each line, of its best segmentation unless ``sampling`` is asked for."""

    def decode(self, ids: Sequence[int]) -> str:
        """Plain, detokenised text."""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The tokens as they are written in the vocabulary."""

    def save(self, path: Path) -> None:
        """Write all that ``load`` of the class needs into the file ``path``."""
