"""A cache of tokenizers, tokens and their lexicon, with a key made of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2seq.data.alignments import count_lexicon
from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.corpus import CHUNK
from seq2seq.data.encoder import Encoder
from seq2seq.data.training_text import TrainingText
from seq2seq.errors import DataError, UserError
from seq2seq.machine import usable_cores
from seq2seq.storage.cache import opened_or_built, read_contents, write_contents
from seq2seq.storage.processes import mapped
from seq2seq.storage.rows import Rows, written_rows
from seq2seq.text.lexicon import LEXICON, Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair

logger = logging.getLogger(__name__)

VERSIONS = {"format": "5", **{library: version(library) for library in ("sentencepiece", "torchtext")}}
"""Of the cache's format and of the libraries; if one changes, the tokenizer is trained again."""
FEWEST = 100_000  # pairs for each process, from which on it repays the time that it takes to start


class Tokenized(NamedTuple):
    """What is made of the training text."""

    tokenizers: TokenizerPair
    tokens: TokenizedPairs  # of each pair of the text, memory-mapped
    lexicon: Lexicon


def tokenized(
    cache: Path,
    settings: Mapping[str, Any],
    text: TrainingText,
    make: Callable[[], TokenizerPair],
    verify: bool = False,
) -> Tokenized:
    """Tokenizers for ``text``, its tokens and lexicon; from ``cache`` if it has them.

    ``make`` makes the tokenizers; ``settings`` are all that they depend on besides ``text``.
    Large files of the cache are known by their size and time of change; with ``verify`` they are hashed again.
    """
    described = json.dumps([VERSIONS, settings, text.key], sort_keys=True)
    key = hashlib.sha256(described.encode()).hexdigest()

    def opened(directory: Path, fresh: bool) -> Tokenized | None:
        found = _opened(directory, key, verify and not fresh)
        if found and not fresh:
            logger.info("tokenizer: from the cache, %s", directory)
        return found

    def fill(directory: Path) -> None:
        pair = make()
        pair.save(directory)
        _write_tokens(directory, text, pair)
        count_lexicon(_tokens(directory), len(pair.src), len(pair.tgt)).save(directory / LEXICON)
        write_contents(directory, {"key": key})

    return opened_or_built(cache / f"tokenizer-{key[:16]}", opened, fill)


def _write_tokens(directory: Path, text: TrainingText, pair: TokenizerPair) -> None:
    """Encode the whole text, in as many processes as pay, and write the tokens in its order."""
    started = time.monotonic()
    dtype = np.uint16 if max(map(len, pair)) <= 2**16 else np.int32
    stretches = [(first, min(first + CHUNK, len(text))) for first in range(0, len(text), CHUNK)]
    processes = max(1, min(usable_cores(), len(text) // FEWEST)) if text.directory.is_dir() else 1
    with written_rows(directory, "src", dtype) as src, written_rows(directory, "tgt", dtype) as tgt:
        for src_rows, tgt_rows in mapped(Encoder(text, pair, directory, dtype), stretches, processes):
            src.append(src_rows)
            tgt.append(tgt_rows)
    if processes > 1:
        took = time.monotonic() - started
        logger.info("tokens: %s pairs by %d processes in %.0f s", f"{len(text):,}", processes, took)


def _opened(directory: Path, key: str, verify: bool) -> Tokenized | None:
    """The contents of ``directory``, if they are those that were written under ``key``."""
    if not directory.is_dir():
        return None
    try:
        if read_contents(directory, verify)["key"] != key:
            raise DataError(f"{directory}: damaged, or copied from elsewhere")
        pair = TokenizerPair.load(directory)
        lexicon = Lexicon.load(directory / LEXICON, len(pair.src), len(pair.tgt))
        return Tokenized(pair, _tokens(directory), lexicon)
    except (UserError, OSError, ValueError) as error:
        logger.warning("%s; the tokenizer is trained again", error)
        return None


def _tokens(directory: Path) -> TokenizedPairs:
    return TokenizedPairs(Rows.open(directory, "src"), Rows.open(directory, "tgt"))
