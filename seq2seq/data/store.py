"""The tokens of a corpus, kept beside the tokenizers trained on it, by what they were made of."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from seq2seq.data.batch import TokenizedPairs
from seq2seq.errors import DataError
from seq2seq.storage.atomic import atomic_directory
from seq2seq.text import subwords, words
from seq2seq.text.tokenizer_pair import TokenizerPair, Train

logger = logging.getLogger(__name__)

TOKENS = "tokens.safetensors"
MADE_BY = ["format 2", subwords.LIBRARY, words.LIBRARY]
"""The format of what is kept, and the libraries that make it: another one of either makes it anew."""


def train_or_cached(
    cache: Path, settings: Mapping[str, object], src: Sequence[str], tgt: Sequence[str], train: Train, joint: bool
) -> tuple[TokenizerPair, TokenizedPairs]:
    """Tokenizers trained on this text, and its tokens; from ``cache`` if it has them, made with ``settings``."""
    digest = hashlib.sha256(json.dumps([MADE_BY, settings, joint], sort_keys=True).encode())
    for line in [*src, *tgt]:
        digest.update(line.encode() + b"\n")
    directory = cache / f"tokenizer-{digest.hexdigest()[:16]}"
    if (directory / TOKENS).is_file():
        logger.info("tokenizer: from the cache, %s", directory)
        return TokenizerPair.load(directory), load_tokens(directory / TOKENS)
    pair = TokenizerPair.train(src, tgt, train, joint)
    tokens = TokenizedPairs(pair.src.encode(src), pair.tgt.encode(tgt))
    with atomic_directory(directory) as temporary:
        pair.save(temporary)
        save_tokens(tokens, temporary / TOKENS)
    return pair, tokens


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
