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


class Spelled(NamedTuple):
    """A text and the tokens that it is made of, those that are not in the vocabulary too.

    Attributes:
        text: a line that was split, or what was joined.
        pieces: the tokens. Of a line, subwords are as they stand there, with the spaces around them removed.
        starts: where in ``text`` each begins, or what it stands for: a space, or the letter that bytes spell.
    """

    text: str
    pieces: list[str]
    starts: list[int]


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

    def split(self, line: str) -> Spelled:
        """The tokens of ``line``, one for each id that ``encode`` gives."""

    def join(self, pieces: Sequence[str]) -> Spelled:
        """The text of ``pieces``, as ``decode`` gives it; those not in the vocabulary stay as they are."""

    def save(self, path: Path) -> None:
        """Write the file ``path``, from which the class can ``load`` it."""
