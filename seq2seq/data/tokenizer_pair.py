"""The two tokenizers of a translation model: trained, cached, saved and loaded together."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seq2seq.atomic import atomic_directory
from seq2seq.data.subwords import SubwordTokenizer
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.data.words import WordTokenizer
from seq2seq.errors import CheckpointError

logger = logging.getLogger(__name__)

LOADERS: dict[str, Callable[[Path], Tokenizer]] = {
    "subwords": SubwordTokenizer.load,
    "words": WordTokenizer.load,
}
Train = Callable[[Sequence[str]], Tokenizer]


class TokenizerPair(NamedTuple):
    """Source and target tokenizer; one and the same object if the vocabulary is joint."""

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

    @classmethod
    def train_or_cached(
        cls,
        cache: Path,
        settings: Mapping[str, object],
        src: Sequence[str],
        tgt: Sequence[str],
        train: Train,
        joint: bool,
    ) -> TokenizerPair:
        """``train``, unless ``cache`` holds what the same text and ``settings`` gave before."""
        digest = hashlib.sha256(json.dumps([settings, joint], sort_keys=True).encode())
        for line in [*src, *tgt]:
            digest.update(line.encode() + b"\n")
        directory = cache / f"tokenizer-{digest.hexdigest()[:16]}"
        if directory.is_dir():
            logger.info("tokenizer: from the cache, %s", directory)
            return cls.load(directory)
        pair = cls.train(src, tgt, train, joint)
        with atomic_directory(directory) as temporary:
            pair.save(temporary)
        return pair

    def save(self, directory: Path) -> None:
        """Write ``joint`` or ``src`` and ``tgt`` into ``directory``."""
        for side, tokenizer in [("joint", self.src)] if self.joint else [("src", self.src), ("tgt", self.tgt)]:
            kind = "subwords" if isinstance(tokenizer, SubwordTokenizer) else "words"
            tokenizer.save(directory / f"{side}.{kind}")

    @classmethod
    def load(cls, directory: Path) -> TokenizerPair:
        """Read what ``save`` wrote."""
        files = {path.stem: path for path in directory.glob("*.*") if path.suffix[1:] in LOADERS}
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


def _load(path: Path) -> Tokenizer:
    return LOADERS[path.suffix[1:]](path)
