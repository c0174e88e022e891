"""The corpus, its tokenizers and its batches."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from seq2seq.data import corpus, multi30k, store
from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.corpus import ParallelText
from seq2seq.data.loader import BatchLoader
from seq2seq.errors import ConfigError, DataError
from seq2seq.resources import shipped
from seq2seq.runs.sources import Source
from seq2seq.settings.schema import (
    DataConfig,
    FilesConfig,
    Multi30kConfig,
    PhrasebookConfig,
    SplitFiles,
    SubwordConfig,
    TokenizerConfig,
    TrainConfig,
    WordConfig,
)
from seq2seq.signals import not_returning
from seq2seq.storage.integrity import sha256
from seq2seq.text.lexicon import Lexicon
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import Sampling, Tokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer

SPLITS = ("train", "valid", "test")


def split_paths(data: DataConfig, split: str) -> tuple[Path, ...]:
    """The files of a split: source and target, or one with both.

    Raises:
        DataError: a file is missing and can't be downloaded.
        ConfigError: the data has no such split.
    """
    if isinstance(data, Multi30kConfig):
        root = Path(data.root) if data.root else None
        return multi30k.locate(split, data.src, data.tgt, root=root, cache=Path(data.download_dir))
    if split not in SPLITS:
        raise ConfigError(f"split={split}: data={data.name} has train, valid and test")
    if isinstance(data, PhrasebookConfig):
        directory = shipped("data/phrasebook")
        return directory / f"{split}.{data.src}", directory / f"{split}.{data.tgt}"
    assert isinstance(data, FilesConfig)
    files: SplitFiles = getattr(data, split)
    if files.tsv and not (files.src or files.tgt):
        return (Path(files.tsv),)
    if files.src and files.tgt and not files.tsv:
        return Path(files.src), Path(files.tgt)
    raise ConfigError(f"data.{split}: give data.{split}.src and data.{split}.tgt, or data.{split}.tsv alone")


def has_split(data: DataConfig, split: str) -> bool:
    """Whether the data has this split: only the user's own files may lack a test split."""
    return split != "test" or not isinstance(data, FilesConfig) or data.test != SplitFiles()


def read_split(data: DataConfig, split: str) -> ParallelText:
    """The sentence pairs of a split as they are in its files.

    Raises:
        DataError: a file is missing or malformed.
        ConfigError: the data has no such split.
    """
    paths = split_paths(data, split)
    return corpus.read_tsv(*paths) if len(paths) == 1 else corpus.read_parallel(*paths)


def read_sources(config: TrainConfig) -> tuple[ParallelText, ParallelText, dict[str, Source]]:
    """The training and the validation split, and with their hashes and files all that a run is made from.

    The hash of text is that of its lines as they are read, so that a compressed copy is the same.

    Raises:
        DataError: a file is missing or malformed.
    """
    texts = [read_split(config.data, split) for split in SPLITS[:2]]
    sources = {}
    for split, text in zip(SPLITS, texts, strict=False):
        files = split_paths(config.data, split)
        for side, file, lines in (("src", files[0], text.src), ("tgt", files[-1], text.tgt)):
            sources[f"data.{split}.{side}"] = Source(str(file), _hash_of(lines))
    if isinstance(config.tokenizer, WordConfig):
        for key in ("src_vectors", "tgt_vectors"):
            if (vectors := getattr(config.tokenizer, key)) and Path(vectors).is_file():
                sources[f"tokenizer.{key}"] = Source(vectors, sha256(Path(vectors)))
    return texts[0], texts[1], sources


def _hash_of(lines: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def tokenizers(config: TrainConfig, train: ParallelText) -> tuple[TokenizerPair, TokenizedPairs, Lexicon]:
    """The tokenizers trained on the training split, its tokens and their lexicon; cached."""
    settings = config.tokenizer
    described = {**dataclasses.asdict(settings), "src_vectors": None, "tgt_vectors": None, "sample": None}
    train_one = partial(train_tokenizer, settings=settings)
    return store.train_or_cached(
        Path(config.data.cache_dir), described, train.src, train.tgt, train_one, settings.joint
    )


def train_tokenizer(lines: list[str], settings: TokenizerConfig) -> Tokenizer:
    """One tokenizer, of the kind that ``settings`` ask for."""
    if isinstance(settings, WordConfig):
        return WordTokenizer.train(lines, settings.min_frequency, settings.max_size)
    assert isinstance(settings, SubwordConfig)
    with not_returning():
        return SubwordTokenizer.train(lines, settings)


def batches(
    config: TrainConfig, text: ParallelText, pair: TokenizerPair, plain: TokenizedPairs
) -> tuple[BatchLoader, int]:
    """Batches of the training split, whose tokens are ``plain``, and how many of its pairs are over-long.

    Raises:
        DataError: all pairs are over-long.
    """
    data, settings = config.data, config.tokenizer
    over = plain.over_length(data.max_length)
    fixed = plain.numbered(text.line_numbers).limited(data.max_length, data.over_length)
    if not fixed:
        raise DataError(f"train: all {len(text):,} pairs are longer than data.max_length={data.max_length} tokens")

    used = text.keep([not out for out in over]) if data.over_length == "drop" else text

    def sampled(epoch: int) -> TokenizedPairs:
        assert isinstance(settings, SubwordConfig)
        src, tgt = (
            tokenizer.encode(lines, Sampling(f"{config.seed}/{epoch}/{side}", settings.sampling_alpha))
            for side, tokenizer, lines in [("src", pair.src, used.src), ("tgt", pair.tgt, used.tgt)]
        )
        return TokenizedPairs(src, tgt, used.line_numbers).unless_over_length(data.max_length, fixed)

    samples = isinstance(settings, SubwordConfig) and settings.sample
    pairs_of = sampled if samples else lambda _: fixed
    return BatchLoader(pairs_of, config.trainer.batch_tokens, config.seed), sum(over)
