"""The report of an evaluation: what its page needs of the run, the test set and the training text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq.build.data import training_corpora
from seq2seq.build.evaluation import EvaluationSet
from seq2seq.data import multi30k
from seq2seq.data.corpus import stream
from seq2seq.decoding.word_attention import WordAttention
from seq2seq.errors import ConfigError, DataError
from seq2seq.evaluation.evaluate import Evaluation, measures
from seq2seq.report.evaluation import Attention, Lines, evaluation_page
from seq2seq.report.words import TrainingWords, counted
from seq2seq.settings.schema import DataConfig, Multi30kConfig

MOST_PAIRS = 500_000  # of a corpus, that words are counted in: some seconds


def report(
    record: Mapping[str, Any], result: Evaluation, data: EvaluationSet, training: DataConfig, examples: int
) -> str:
    """The text of an evaluation's report.html; words are counted in the text of ``training`` if it is there."""
    hyp = [translation.text for translation in result.translations]
    lines = Lines(data.text.src, data.text.tgt, hyp, lambda i: _attention(result.attention[i]))
    return evaluation_page(record, result.scores, measures(result), lines, _words(training), examples)


def _attention(words: WordAttention) -> Attention:
    return Attention(words.src, words.tgt, words.weights.tolist())


def _words(data: DataConfig) -> TrainingWords | str:
    """How often the training text has each word, or why it can't be read."""
    try:
        return training_words(data)
    except (DataError, ConfigError, OSError) as error:
        return str(error)


def training_words(data: DataConfig) -> TrainingWords:
    """How often the training text has each word, as its files are now; nothing is downloaded.

    Raises:
        DataError: a file is missing or malformed.
    """
    if isinstance(data, Multi30kConfig) and not data.root:
        cache = Path(data.download_dir)
        if not multi30k.is_downloaded("train", data.src, data.tgt, cache):
            raise DataError(f"{cache}: no download of Multi30k's training split is there")
    src: Counter[str] = Counter()
    tgt: Counter[str] = Counter()
    files: list[str] = []
    pairs = 0
    for paths in training_corpora(data):
        for path in paths:
            if not path.is_file():  # a pipe would wait for its writer
                raise DataError(f"{path}: no such file")
        read = 0
        for text in stream(paths):
            src.update(counted(text.src))
            tgt.update(counted(text.tgt))
            read += len(text)
            if read >= MOST_PAIRS:
                break
        pairs += read
        files += map(str, paths)
    return TrainingWords(src, tgt, f"{pairs:,} pairs of {', '.join(files)}")
