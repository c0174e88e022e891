"""The corpus, its tokenizers and its batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from seq2seq.data import corpus, multi30k, store
from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.corpus import ParallelText, SplitReport
from seq2seq.data.loader import WHOLE, BatchLoader, Share, Window
from seq2seq.data.training_text import TrainingText, digest_of, training_text
from seq2seq.data.windows import Windows, drawn_of, stretches
from seq2seq.errors import ConfigError, DataError
from seq2seq.resources import shipped
from seq2seq.runs.layout import TOKENIZER
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
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import Sampling, Tokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair, tokenizer_files
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
    return corpus.read_parallel(*split_paths(data, split))


def training_corpora(data: DataConfig) -> list[tuple[Path, ...]]:
    """The files of each corpus that training reads: those of the training split, then those mixed into it."""
    mix = zip(map(Path, data.mix.src), map(Path, data.mix.tgt), strict=True)
    return [split_paths(data, "train"), *mix]


def read_training_text(data: DataConfig) -> TrainingText:
    """The cleaned text of the training split, from the cache if its files have not changed.

    Raises:
        DataError: a file is missing or malformed.
    """
    return training_text(Path(data.cache_dir), training_corpora(data), data.verify)


def read_sources(config: TrainConfig) -> tuple[TrainingText, ParallelText, dict[str, Source]]:
    """The training and the validation split, and with their hashes and files all that a run is made from.

    The hash of text is that of its lines as they are read, so that a compressed copy is the same.

    Raises:
        DataError: a file is missing or malformed.
    """
    train, valid = read_training_text(config.data), read_split(config.data, "valid")
    sources = {}
    for number, (files, digests) in enumerate(zip(training_corpora(config.data), train.digests, strict=True)):
        for side, file in (("src", files[0]), ("tgt", files[-1])):
            key = f"data.mix.{side}[{number - 1}]" if number else f"data.train.{side}"
            sources[key] = Source(str(file), digests[side])
    files = split_paths(config.data, "valid")
    for side, file, lines in (("src", files[0], valid.src), ("tgt", files[-1], valid.tgt)):
        sources[f"data.valid.{side}"] = Source(str(file), digest_of(lines).hexdigest())
    if isinstance(config.tokenizer, WordConfig):
        for key in ("src_vectors", "tgt_vectors"):
            if (vectors := getattr(config.tokenizer, key)) and Path(vectors).is_file():
                sources[f"tokenizer.{key}"] = Source(vectors, sha256(Path(vectors)))
    return train, valid, sources


def tokenizers(config: TrainConfig, train: TrainingText, origin: Path | None = None) -> store.Tokenized:
    """The tokenizers, the tokens of the training split and their lexicon; cached.

    The tokenizers are those of the checkpoint ``origin`` or, without it, trained on the training split.
    """
    settings = config.tokenizer
    if origin:
        files = tokenizer_files(origin / TOKENIZER)
        described: dict[str, Any] = {side: sha256(file) for side, file in files.items()}
        make = partial(TokenizerPair.load, origin / TOKENIZER)
    else:
        described = {**dataclasses.asdict(settings), "src_vectors": None, "tgt_vectors": None, "sample": None}
        make = partial(_trained_on, train, settings)
    return store.tokenized(Path(config.data.cache_dir), described, train, make, config.data.verify)


def _trained_on(text: TrainingText, settings: TokenizerConfig) -> TokenizerPair:
    train_one = partial(train_tokenizer, settings=settings)
    return TokenizerPair.train(*text.sample(settings.sample_lines), train_one, settings.joint)


def train_tokenizer(lines: list[str], settings: TokenizerConfig) -> Tokenizer:
    """One tokenizer, of the kind that ``settings`` ask for."""
    if isinstance(settings, WordConfig):
        return WordTokenizer.train(lines, settings.min_frequency, settings.max_size)
    assert isinstance(settings, SubwordConfig)
    with not_returning():
        return SubwordTokenizer.train(lines, settings)


def batches(
    config: TrainConfig, text: TrainingText, pair: TokenizerPair, tokens: TokenizedPairs, share: Share = WHOLE
) -> tuple[BatchLoader, list[SplitReport]]:
    """Batches of the training split, whose tokens are ``tokens``, and what is used of each of its corpora.

    Raises:
        DataError: all pairs are over-long.
    """
    data, settings, mix = config.data, config.tokenizer, config.data.mix
    most, dropped = data.max_length, data.over_length == "drop"
    drawn = drawn_of(text.sizes, mix.weights, mix.temperature)
    samples = isinstance(settings, SubwordConfig) and settings.sample
    windows = Windows(text.sizes, drawn, config.seed, samples)
    reports = _used(text, tokens, most, dropped, drawn)
    if not sum(report.used for report in reports):
        raise DataError(f"train: all {len(text):,} pairs are longer than data.max_length={most} tokens")

    def fixed(epoch: int, number: int) -> Window:
        indices = windows.members(number)
        if dropped:
            indices = indices[~tokens.over_length(indices, most)]
        return Window(tokens.take(indices, most), indices)

    def sampled(epoch: int, number: int) -> Window:
        assert isinstance(settings, SubwordConfig)
        plain, indices = fixed(epoch, number)
        seed = f"{config.seed}/{epoch}" + f"/{number}" * (len(windows) > 1)
        src, tgt = (
            tokenizer.encode(lines, Sampling(f"{seed}/{side}", settings.sampling_alpha))
            for side, tokenizer, lines in zip(("src", "tgt"), pair, text.sides(indices), strict=True)
        )
        return Window(TokenizedPairs.of(src, tgt).unless_over_length(most, plain), indices)

    window_of = sampled if samples else fixed
    most_tokens = config.trainer.batch_tokens
    return BatchLoader(window_of, len(windows), text.places, most_tokens, config.seed, share), reports


def _used(
    text: TrainingText, tokens: TokenizedPairs, max_length: int, dropped: bool, drawn: Sequence[int]
) -> list[SplitReport]:
    """The counts of ``text``, with over-long pairs and, of several corpora, how often an epoch has each pair."""
    over = [
        sum(int(tokens.over_length(indices, max_length).sum()) for indices in stretches(end - size, end))
        for size, end in zip(text.sizes, accumulate(text.sizes), strict=True)
    ]
    reports = [dataclasses.replace(report, over_length_dropped=dropped) for report in text.reports]
    for report, count, size, number in zip(reports, over, text.sizes, drawn, strict=False):
        report.over_length, report.times = count, number / size
    if len(over) > 1:
        reports[-1].over_length, reports[-1].times = sum(over), sum(drawn) / len(text)
    return reports
