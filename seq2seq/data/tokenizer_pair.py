"""The two tokenizers of a translation model: trained, cached, saved and loaded together."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from seq2seq.atomic import atomic_directory
from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.subwords import SubwordTokenizer
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.data.words import WordTokenizer
from seq2seq.errors import CheckpointError, DataError

logger = logging.getLogger(__name__)

LOADERS: dict[str, Callable[[Path], Tokenizer]] = {
    "subwords": SubwordTokenizer.load,
    "words": WordTokenizer.load,
}
TOKENS = "tokens.safetensors"
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
    ) -> tuple[TokenizerPair, TokenizedPairs]:
        """``train``, and the text as tokens; from ``cache`` if it has both for this text and ``settings``."""
        digest = hashlib.sha256(json.dumps([settings, joint], sort_keys=True).encode())
        for line in [*src, *tgt]:
            digest.update(line.encode() + b"\n")
        directory = cache / f"tokenizer-{digest.hexdigest()[:16]}"
        if (directory / TOKENS).is_file():
            logger.info("tokenizer: from the cache, %s", directory)
            return cls.load(directory), load_tokens(directory / TOKENS)
        pair = cls.train(src, tgt, train, joint)
        tokens = TokenizedPairs(pair.src.encode(src), pair.tgt.encode(tgt))
        with atomic_directory(directory) as temporary:
            pair.save(temporary)
            save_tokens(tokens, temporary / TOKENS)
        return pair, tokens

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


def save_tokens(tokens: TokenizedPairs, path: Path) -> None:
    """Write token ids as one row of numbers and the lengths to cut it by, for each side."""
    tensors = {}
    for side, rows in tokens._asdict().items():
        tensors[f"{side}.ids"] = torch.tensor([i for row in rows for i in row], dtype=torch.int32)
        tensors[f"{side}.lengths"] = torch.tensor([len(row) for row in rows], dtype=torch.int32)
    path.write_bytes(save(tensors))


def load_tokens(path: Path) -> TokenizedPairs:
    """Read what ``save_tokens`` wrote.

    Raises:
        DataError: the file is damaged.
    """
    try:
        tensors = load(path.read_bytes())
        src, tgt = (_rows(tensors[f"{side}.ids"], tensors[f"{side}.lengths"]) for side in ("src", "tgt"))
        return TokenizedPairs(src, tgt)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not what was cached ({error}); remove {path.parent}") from error


def _rows(ids: Tensor, lengths: Tensor) -> list[list[int]]:
    numbers, ends = ids.tolist(), [0, *lengths.cumsum(0).tolist()]
    if ends[-1] != len(numbers):
        raise ValueError(f"{len(numbers)} ids for lengths that add up to {ends[-1]}")
    return [numbers[first:last] for first, last in itertools.pairwise(ends)]


def _load(path: Path) -> Tokenizer:
    return LOADERS[path.suffix[1:]](path)
