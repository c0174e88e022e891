"""Stretches of the training text as tokens, in this process or in others. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from seq2seq.data.training_text import TrainingText, reopened
from seq2seq.storage.rows import Rows
from seq2seq.text.tokenizer_pair import TokenizerPair


class Encoder:
    """Encodes pairs of the text; pickled as the directories of both, from which another process opens them."""

    def __init__(self, text: TrainingText, pair: TokenizerPair, directory: Path, dtype: DTypeLike) -> None:
        """``directory`` has the tokenizers ``pair``; ids are of the type ``dtype``."""
        self._text, self._pair, self._directory, self._dtype = text, pair, directory, dtype

    def __call__(self, stretch: tuple[int, int]) -> tuple[Rows, Rows]:
        """Both sides of the pairs from the first number to before the second."""
        src, tgt = (
            Rows.of(tokenizer.encode(self._text.lines(side, *stretch)), self._dtype)
            for side, tokenizer in zip(("src", "tgt"), self._pair, strict=True)
        )
        self._text.release()
        return src, tgt

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._text.directory, self._text.key, self._directory, self._dtype)


def _reopened(text: Path, key: str, directory: Path, dtype: DTypeLike) -> Encoder:
    return Encoder(reopened(text, key), TokenizerPair.load(directory), directory, dtype)
