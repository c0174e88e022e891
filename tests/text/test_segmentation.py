"""Segmentations drawn at random: held against every segmentation of a word written out with its probability."""

import itertools
import json
import math
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.settings.schema import SubwordConfig
from seq2seq.text.segmentation import BpeDropout, Unigram
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import UNK, Sampling

DRAWS = 20_000
PROBABILITIES = {"a": 0.2, "b": 0.1, "ab": 0.3, "ba": 0.05, "aba": 0.1, "bab": 0.2, "bc": 0.05}
LOGS = {piece: math.log(p) for piece, p in PROBABILITIES.items()}
RANKS = {"ab": 0.0, "ba": -1.0, "aba": -2.0, "abab": -3.0, "a": -4.0, "b": -5.0}


def frequencies(segmentation: Unigram | BpeDropout, word: str) -> dict[tuple[str, ...], float]:
    rng = random.Random(1)
    return {x: n / DRAWS for x, n in Counter(tuple(segmentation.draw(word, rng)) for _ in range(DRAWS)).items()}


def segmentations(word: str) -> Iterator[tuple[str, ...]]:
    """All ways to cut ``word`` into known pieces and single characters."""
    if not word:
        yield ()
    for end in range(1, len(word) + 1):
        if end == 1 or word[:end] in PROBABILITIES:
            yield from ((word[:end], *rest) for rest in segmentations(word[end:]))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("word", ["a", "ababab", "abcab"])
def test_unigram_draws_in_proportion_to_the_probability(word: str, alpha: float) -> None:
    unknown = min(PROBABILITIES.values()) * math.exp(-10)
    weight = {x: math.prod(PROBABILITIES.get(piece, unknown) ** alpha for piece in x) for x in segmentations(word)}
    total = sum(weight.values())
    drawn = frequencies(Unigram(LOGS, alpha), word)
    assert set(drawn) <= set(weight)
    for x, w in weight.items():  # five standard errors
        assert drawn.get(x, 0) == pytest.approx(w / total, abs=5 * math.sqrt(w / total / DRAWS) + 1e-9)


def merging(pieces: tuple[str, ...], rate: float) -> dict[tuple[str, ...], float]:
    """What algorithm 1 makes of ``pieces``, with which probability: every choice of merges left out, in turn."""
    merges = [(i, a + b) for i, (a, b) in enumerate(itertools.pairwise(pieces)) if a + b in RANKS]
    outcome: Counter[tuple[str, ...]] = Counter()
    for kept in itertools.product([True, False], repeat=len(merges)):
        chance = math.prod(1 - rate if keep else rate for keep in kept)
        left = list(itertools.compress(merges, kept))
        if not left:
            outcome[pieces] += chance
            continue
        i, both = max(left, key=lambda merge: (RANKS[merge[1]], -merge[0]))
        for result, p in merging((*pieces[:i], both, *pieces[i + 2 :]), rate).items():
            outcome[result] += chance * p
    return outcome


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("word", ["a", "abab", "babab", "abcab"])
def test_bpe_dropout_draws_as_its_algorithm_does(word: str, rate: float) -> None:
    expected = {x: p for x, p in merging(tuple(word), rate).items() if p}
    drawn = frequencies(BpeDropout(RANKS, rate), word)
    assert set(drawn) <= set(expected)
    for x, p in expected.items():
        assert drawn.get(x, 0) == pytest.approx(p, abs=5 * math.sqrt(p / DRAWS) + 1e-9)


def lines() -> list[str]:
    path = Path(__file__).parents[2] / "data" / "phrasebook" / "train.de"
    return path.read_text(encoding="utf-8").splitlines()[:1500]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def model_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[True, False], ids=["bytes", "unk"])
def tokenizer(request: pytest.FixtureRequest, model_type: str) -> SubwordTokenizer:
    options = SubwordConfig(model_type, vocab_size=700, byte_fallback=request.param)
    return SubwordTokenizer.train(lines(), options)


CERTAIN = {"unigram": 1000.0, "bpe": 0.0}


def test_without_chance_it_is_the_segmentation_of_sentencepiece(
    tokenizer: SubwordTokenizer, model_type: str
) -> None:
    best = tokenizer.encode(lines())
    drawn = tokenizer.encode(lines(), Sampling("1", CERTAIN[model_type]))
    different = [i for i, (a, b) in enumerate(zip(best, drawn, strict=True)) if a != b]
    # Equally probable segmentations ("0 00", "00 0") are drawn by lot, and their probability is all they share.
    assert len(different) <= {"unigram": 15, "bpe": 0}[model_type]
    assert all(sorted(best[i]) == sorted(drawn[i]) for i in different)


@settings(max_examples=150, deadline=None)
@given(line=st.text(st.characters(exclude_categories=["Cs"])), alpha=st.sampled_from([0.0, 0.1, 1.0]))
def test_whatever_is_drawn_says_the_same(tokenizer: SubwordTokenizer, line: str, alpha: float) -> None:
    best, drawn = tokenizer.encode([line]), tokenizer.encode([line], Sampling(line, alpha))
    assert tokenizer.decode(drawn[0]) == tokenizer.decode(best[0])
    assert drawn[0].count(UNK) == best[0].count(UNK)


@pytest.mark.parametrize("line", ["<s> </s> <unk> <0x41>", "ab▁c", "日本語 Дом 😀😀"])
def test_text_that_looks_special_is_text(tokenizer: SubwordTokenizer, model_type: str, line: str) -> None:
    assert tokenizer.encode([line], Sampling("1", CERTAIN[model_type])) == tokenizer.encode([line])


def test_a_word_of_a_hundred_thousand_characters(tokenizer: SubwordTokenizer) -> None:
    word = "Hund" * 25_000
    (ids,) = tokenizer.encode([word], Sampling("1", 0.1))
    assert tokenizer.decode(ids) == word


def test_one_seed_draws_the_same_in_every_process(
    tokenizer: SubwordTokenizer, tmp_path: Path, model_type: str
) -> None:
    tokenizer.save(tmp_path / "model")
    program = (
        "import json, pathlib, sys; from seq2seq.text.subwords import *; from seq2seq.text.tokenizer import *;"
        "tokenizer = SubwordTokenizer.load(pathlib.Path(sys.argv[1]));"
        "print(json.dumps(tokenizer.encode(json.load(sys.stdin), Sampling('7/0/src', 0.1))))"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model"],
        input=json.dumps(lines()[:50]),
        capture_output=True,
        text=True,
        check=True,
    )
    here = tokenizer.encode(lines()[:50], Sampling("7/0/src", 0.1))
    assert json.loads(elsewhere.stdout) == here
    assert here != tokenizer.encode(lines()[:50], Sampling("7/1/src", 0.1))
