"""The alignment error rate: where attention looks, compared with words that people have aligned.

For sure links S, possible links P ⊇ S and the links A of the model (Och and Ney, 2003):

    precision = |A ∩ P| / |A|        recall = |A ∩ S| / |S|        AER = 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|)

The gold links are between a source and its reference, so A comes from the attention while the model is fed the
reference: for a translation of its own nobody has aligned any words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.lines import decoded_chunks, in_memory
from seq2seq.decoding.translator import Translator
from seq2seq.decoding.word_attention import Link, links, word_attention
from seq2seq.errors import DataError
from seq2seq.evaluation.teacher_forcing import teacher_forced_weights

LINK = re.compile(r"(\d{1,9})([-?p])(\d{1,9})")


class Gold(NamedTuple):
    """The links of a sentence pair that people have found."""

    sure: set[Link]
    possible: set[Link]  # the sure ones too


class AlignmentScores(NamedTuple):
    """How well links agree with gold ones, all from 0 to 1."""

    error_rate: float
    precision: float
    recall: float


def read_gold(path: Path, src: Sequence[str], ref: Sequence[str], first: int = 0) -> list[Gold]:
    """The gold links of each sentence: "0-1" is sure, "0?1" or "0p1" is possible.

    Args:
        path: a file with a line for each sentence, blank if none of its words is aligned.
        src: the source lines, whose words are what stands between spaces.
        ref: their references.
        first: the number of the first word of a sentence, 0 or 1.

    Raises:
        DataError: it is missing or malformed, has not a line for each sentence, a link of words that a sentence
            does not have, or no sure link.
    """
    with in_memory(path):
        lines = list(chain.from_iterable(decoded_chunks(path, 1000)))
    if len(lines) != len(src):
        raise DataError(f"{path}: {len(lines):,} lines for {len(src):,} sentences; give it a line for each")
    pairs = zip(lines, src, ref, strict=True)
    gold = [_gold(f"{path}:{number}", *pair, first) for number, pair in enumerate(pairs, 1)]
    if not any(sentence.sure for sentence in gold):
        raise DataError(f"{path}: no sure link, such as 0-1, in any line; the recall is of sure links")
    return gold


def _gold(place: str, line: str, src: str, ref: str, first: int) -> Gold:
    found: dict[str, set[Link]] = {"-": set(), "?": set(), "p": set()}
    sizes = {"source": len(src.split()), "reference": len(ref.split())}
    for text in line.split():
        if not (link := LINK.fullmatch(text)):
            raise DataError(f"{place}: {text[:40]} is no link; write 0-1 for a sure one, 0?1 for a possible one")
        numbers = int(link[1]) - first, int(link[3]) - first
        for number, (side, size) in zip(numbers, sizes.items(), strict=True):
            if not 0 <= number < size:
                other = f"if the file counts from {1 - first}, give gold_first_word={1 - first}"
                has = f"{size:,} words, counted from {first}" if size else "no words"
                raise DataError(f"{place}: {text}: the {side} has {has}; {other}")
        found[link[2]].add(numbers)
    sure = found["-"]
    return Gold(sure, sure | found["?"] | found["p"])


def forced_links(
    translator: Translator, pairs: TokenizedPairs, src: Sequence[str], ref: Sequence[str]
) -> Iterator[tuple[int, list[Link]]]:
    """Numbers of sentences, in any order, and the links of their attention when the reference is fed.

    ``pairs`` are the tokens of ``src`` and ``ref``, as ``Translator.encode_pairs`` gives them.
    """
    tokenizers = translator.tokenizers
    for i, weights in teacher_forced_weights(translator.models, pairs, translator.decode.batch_tokens):
        yield i, links(word_attention(weights, tokenizers.src.split(src[i]), tokenizers.tgt.split(ref[i])))


def alignment_scores(found: Iterator[tuple[int, list[Link]]], gold: Sequence[Gold]) -> AlignmentScores:
    """Scores of the links ``found`` of all sentences together."""
    links, in_sure, in_possible = 0, 0, 0
    for i, of_sentence in found:
        links += len(of_sentence)
        in_sure += len(gold[i].sure.intersection(of_sentence))
        in_possible += len(gold[i].possible.intersection(of_sentence))
    sure = sum(len(sentence.sure) for sentence in gold)
    return AlignmentScores(
        error_rate=1 - (in_sure + in_possible) / (links + sure),
        precision=in_possible / links if links else math.nan,
        recall=in_sure / sure,
    )
