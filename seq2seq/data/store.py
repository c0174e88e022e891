"""A cache of tokenizers, tokens and their lexicon, with a key made of everything that they depend on."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from seq2seq.data.alignments import count_lexicon
from seq2seq.data.batch import TokenizedPairs
from seq2seq.errors import DataError, UserError
from seq2seq.storage.atomic import atomic_directory, write_text
from seq2seq.storage.integrity import identities
from seq2seq.text.lexicon import LEXICON, Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair, Train

logger = logging.getLogger(__name__)

CONTENTS, TOKENS = "contents.json", "tokens.safetensors"
VERSIONS = {"format": "4", **{library: version(library) for library in ("sentencepiece", "torchtext")}}
"""Of the cache's format and of the libraries; if one changes, the tokenizer is trained again."""


def train_or_cached(
    cache: Path, settings: Mapping[str, object], src: Sequence[str], tgt: Sequence[str], train: Train, joint: bool
) -> tuple[TokenizerPair, TokenizedPairs, Lexicon]:
    """Tokenizers trained on this text with ``settings``, its tokens and lexicon; from ``cache`` if it has them.

    A cache that can't be read or written gives a warning, and training takes longer to start.
    """
    digest = hashlib.sha256(json.dumps([VERSIONS, settings, joint], sort_keys=True).encode())
    for line in [*src, *tgt]:
        digest.update(line.encode() + b"\n")
    key = digest.hexdigest()
    directory = cache / f"tokenizer-{key[:16]}"
    if cached := _read(directory, key):
        logger.info("tokenizer: from the cache, %s", directory)
        return cached
    pair = TokenizerPair.train(src, tgt, train, joint)
    tokens = TokenizedPairs(pair.src.encode(src), pair.tgt.encode(tgt))
    lexicon = count_lexicon(tokens, len(pair.src), len(pair.tgt))
    try:
        with atomic_directory(directory) as temporary:
            pair.save(temporary)
            save_tokens(tokens, temporary / TOKENS)
            lexicon.save(temporary / LEXICON)
            write_text(temporary / CONTENTS, json.dumps(_contents(temporary, key), indent=2) + "\n")
    except OSError as error:
        if cached := _read(directory, key):  # another process was faster
            return cached
        logger.warning("%s: can't be written (%s); the next start trains again", directory, error.strerror)
    return pair, tokens, lexicon


def _read(directory: Path, key: str) -> tuple[TokenizerPair, TokenizedPairs, Lexicon] | None:
    """The contents of ``directory``, if they are those that were written under ``key``."""
    if not directory.is_dir():
        return None
    try:
        if json.loads((directory / CONTENTS).read_text(encoding="utf-8")) != _contents(directory, key):
            raise DataError(f"{directory}: damaged, or copied from elsewhere")
        pair = TokenizerPair.load(directory)
        lexicon = Lexicon.load(directory / LEXICON, len(pair.src), len(pair.tgt))
        return pair, load_tokens(directory / TOKENS), lexicon
    except (UserError, OSError, ValueError) as error:
        logger.warning("%s; the tokenizer is trained again", error)
        return None


def _contents(directory: Path, key: str) -> dict[str, Any]:
    """The contents of the file CONTENTS: the key, and the identities of the other files."""
    return {"key": key, "files": {name: file for name, file in identities(directory).items() if name != CONTENTS}}


def save_tokens(tokens: TokenizedPairs, path: Path) -> None:
    """Write, for each side, all token ids in one row and the lengths of the sentences."""
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
        raise DataError(f"{path}: not what was cached ({error})") from error


def _rows(ids: Tensor, lengths: Tensor) -> list[list[int]]:
    numbers, ends = ids.tolist(), [0, *lengths.cumsum(0).tolist()]
    if ends[-1] != len(numbers):
        raise ValueError(f"{len(numbers)} ids for lengths that add up to {ends[-1]}")
    return [numbers[first:last] for first, last in itertools.pairwise(ends)]
