"""The two tokenizers of a translation model: trained, saved and loaded together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from seq2seq.errors import CheckpointError
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import Tokenizer

KINDS = ".subwords", ".words"
Train = Callable[[Sequence[str]], Tokenizer]


class TokenizerPair(NamedTuple):
    """Source and target tokenizer; the same object twice if the vocabulary is joint."""

    src: Tokenizer
    tgt: Tokenizer

    @property
    def joint(self) -> bool:
        """Whether both sides share a vocabulary."""
        return self.src is self.tgt

    @classmethod
    def train(cls, src: Sequence[str], tgt: Sequence[str], train: Train, joint: bool) -> TokenizerPair:
        """Train on the two sides of the training split, together if ``joint``."""
        if joint:
            return cls(*[train([*src, *tgt])] * 2)
        return cls(train(src), train(tgt))

    def save(self, directory: Path) -> None:
        """Write ``joint`` or ``src`` and ``tgt`` into ``directory``."""
        for side, tokenizer in [("joint", self.src)] if self.joint else [("src", self.src), ("tgt", self.tgt)]:
            kind = "subwords" if isinstance(tokenizer, SubwordTokenizer) else "words"
            tokenizer.save(directory / f"{side}.{kind}")

    @classmethod
    def load(cls, directory: Path) -> TokenizerPair:
        """Read what ``save`` wrote."""
        files = tokenizer_files(directory)
        if set(files) == {"joint"}:
            return cls(*[_load(files["joint"])] * 2)
        if set(files) == {"src", "tgt"}:
            return cls(_load(files["src"]), _load(files["tgt"]))
        raise CheckpointError(
            f"{directory}: expected a tokenizer, joint.* or src.* and tgt.*; found {sorted(files)}"
        )

    def fingerprint(self) -> str:
        """SHA-256 over both vocabularies, piece by piece."""
        digest = hashlib.sha256()
        for tokenizer in self:
            digest.update(json.dumps(tokenizer.pieces(range(len(tokenizer)))).encode())
        return digest.hexdigest()


def tokenizer_files(directory: Path) -> dict[str, Path]:
    """The files that ``TokenizerPair.save`` wrote, by their side: joint, or src and tgt."""
    return {path.stem: path for path in sorted(directory.glob("*.*")) if path.suffix in KINDS}


def _load(path: Path) -> Tokenizer:
    if path.suffix == ".subwords":
        return SubwordTokenizer.load(path)
    from seq2seq.text.words import WordTokenizer  # with torchtext, which subwords don't need

    return WordTokenizer.load(path)
