"""Search against brute force and plain loops, on models and on hand-made steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from seq2seq.decoding.search import (
    Hypothesis,
    SpecialTokens,
    beam_search,
    greedy_search,
    max_length,
    search,
    top_k,
)
from seq2seq.errors import DecodingError
from seq2seq.model import Seq2Seq
from seq2seq.settings.schema import DecodeConfig

NewModel = Callable[..., Seq2Seq]
PAD, UNK, BOS, EOS = range(4)


SPECIAL = SpecialTokens(bos=BOS, eos=EOS, forbidden=(PAD, UNK, BOS))


def options(**more: object) -> DecodeConfig:
    return DecodeConfig(**{"beam_size": 1, **more})  # type: ignore[arg-type]


class Prefixes(NamedTuple):
    """A state that remembers the words so far."""

    words: Tensor  # (B, t)

    def repeat(self, times: int) -> Prefixes:
        return Prefixes(self.words.repeat_interleave(times, dim=0))

    def select(self, rows: Tensor) -> Prefixes:
        return Prefixes(self.words[rows])


Step = Callable[[Tensor, Prefixes], tuple[Tensor, Tensor, Prefixes]]


def table_step(table: dict[tuple[int, ...], dict[int, float]], vocab_size: int = 7) -> Step:
    """A step that looks next-word probabilities up by the words so far; attention: half on each of 2 words."""

    def step(tokens: Tensor, state: Prefixes) -> tuple[Tensor, Tensor, Prefixes]:
        words = torch.cat([state.words, tokens.unsqueeze(1)], dim=1)
        logits = torch.full((len(tokens), vocab_size), -1e9, dtype=torch.float64)
        for row, prefix in enumerate(words[:, 1:].tolist()):
            for word, probability in table.get(tuple(prefix), {EOS: 1.0}).items():
                logits[row, word] = math.log(probability)
        return logits, torch.tensor([[0.5, 0.5, 0.0]]).expand(len(tokens), 3), Prefixes(words)

    return step


def start(num: int) -> Prefixes:
    return Prefixes(torch.zeros(num, 0, dtype=torch.long))


GARDEN_PATH = {(): {4: 0.6, 5: 0.4}, (4,): {4: 0.5, 6: 0.5}, (5,): {EOS: 1.0}}


def test_greedy_takes_the_most_probable_word_and_beam_the_most_probable_sentence() -> None:
    greedy = greedy_search(table_step(GARDEN_PATH), start(1), [2], options(), SPECIAL)[0]
    assert greedy.tokens[0] == 4
    best = search(table_step(GARDEN_PATH), start(1), [2], options(beam_size=2, length_penalty=0.0), SPECIAL)[0][0]
    assert best.tokens == [5]
    assert best.log_prob == pytest.approx(math.log(0.4), abs=1e-6)


def test_length_penalty_prefers_longer() -> None:
    table = {(): {4: 0.5, EOS: 0.5}, (4,): {5: 0.9, 6: 0.1}, (4, 5): {EOS: 1.0}, (4, 6): {EOS: 1.0}}
    short, long = (
        search(table_step(table), start(1), [2], options(beam_size=3, length_penalty=alpha), SPECIAL)[0][0]
        for alpha in (0.0, 3.0)
    )
    assert (short.tokens, long.tokens) == ([], [4, 5])
    assert long.score == pytest.approx(math.log(0.45) / (8 / 6) ** 3, abs=1e-6)


def test_coverage_penalty_known_answer() -> None:
    """Two words and the end attend 0.5 each to both source words: 1.5, cut to 1; one word and the end: 1."""
    best = search(table_step({(): {4: 1.0}}), start(1), [2], options(beam_size=2, coverage_penalty=0.3), SPECIAL)[
        0
    ][0]
    assert best.score == pytest.approx(best.log_prob, abs=1e-6)
    best = search(
        table_step({}), start(1), [2], options(beam_size=2, coverage_penalty=0.3, length_penalty=0.0), SPECIAL
    )[0][0]
    assert best.tokens == []
    assert best.score == pytest.approx(0.3 * 2 * math.log(0.5), abs=1e-5)


def test_maximum_length_is_relative_to_the_source() -> None:
    endless = {tuple([4] * n): {4: 1.0} for n in range(50)}
    for beam in (1, 3):
        hypotheses = search(
            table_step(endless), start(2), [1, 3], options(beam_size=beam, max_ratio=2.0, max_offset=3), SPECIAL
        )
        assert [len(best[0].tokens) for best in hypotheses] == [5, 9]


def test_forbidden_words_are_never_produced() -> None:
    table = {(): {UNK: 0.9, 4: 0.1}}
    for beam in (1, 4):
        assert search(table_step(table), start(1), [2], options(beam_size=beam), SPECIAL)[0][0].tokens == [4]
    allowed = SpecialTokens(BOS, EOS, forbidden=(PAD, BOS))
    assert search(table_step(table), start(1), [2], options(), allowed)[0][0].tokens == [UNK]


ENDLESS = {tuple([4, 5] * (n // 2) + [4] * (n % 2)): {4 + n % 2: 0.7, 6: 0.2, EOS: 0.1} for n in range(50)}


@pytest.mark.parametrize(("size", "expected"), [(1, [4, 5, 6]), (2, [4, 5, 4, 6]), (3, [4, 5, 4, 5, 6])])
def test_no_words_in_a_row_are_written_twice(size: int, expected: list[int]) -> None:
    """4 5 4 5 … goes on for ever, but where it may not, 6 is next; after that, the end."""
    of_some = torch.tensor([EOS, 6, 5, 4])

    def step(tokens: Tensor, state: Prefixes) -> tuple[Tensor, Tensor, Prefixes]:
        logits, weights, after = table_step(ENDLESS)(tokens, state)
        return logits[:, of_some], weights, after

    opts = options(no_repeat_ngram_size=size)
    assert search(table_step(ENDLESS), start(1), [2], opts, SPECIAL)[0][0].tokens == expected
    assert search(step, start(1), [2], opts, SPECIAL, words=of_some)[0][0].tokens == expected
    free = search(table_step(ENDLESS), start(1), [2], options(), SPECIAL)[0][0].tokens
    assert len(free) == max_length(options(), 2)


def sources(num: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (num,), generator=generator).tolist()
    return [[*torch.randint(4, 11, (length,), generator=generator).tolist(), EOS] for length in lengths]


def decode(
    model: Seq2Seq, rows: list[list[int]], opts: DecodeConfig, extra_padding: int = 0
) -> list[list[Hypothesis]]:
    width = max(map(len, rows)) + extra_padding
    src = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    return search(model.step, model.encode(src, src != PAD), [len(row) for row in rows], opts, SPECIAL)


def repeats(words: list[int], size: int) -> bool:
    """Whether some ``size`` words in a row are there twice."""
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)] if size else []
    return len(grams) > len(set(grams))


def greedy_oracle(model: Seq2Seq, row: list[int], opts: DecodeConfig) -> list[int]:
    """One sentence at a time, with the plain definition of greedy search."""
    src = torch.tensor([row])
    state, words = model.encode(src, src != PAD), [BOS]
    while len(words) <= max_length(opts, len(row)):
        logits, _, state = model.step(torch.tensor(words[-1:]), state)
        logits[:, list(SPECIAL.forbidden)] = -math.inf
        allowed = [w for w in range(logits.size(1)) if not repeats([*words, w], opts.no_repeat_ngram_size)]
        words.append(max(allowed, key=logits[0].tolist().__getitem__))
        if words[-1] == EOS:
            return words[1:-1]
    return words[1:]


@pytest.mark.parametrize("size", [0, 2])
def test_batched_greedy_is_greedy_one_by_one(new_model: NewModel, variant: str, size: int) -> None:
    model, rows, opts = new_model(variant=variant), sources(20), options(no_repeat_ngram_size=size)
    model.decoder.output.bias.data[EOS] -= 2.0  # not to end at once
    hypotheses = decode(model, rows, opts)
    assert [best[0].tokens for best in hypotheses] == [greedy_oracle(model, row, opts) for row in rows]
    assert len({tuple(best[0].tokens) for best in hypotheses}) > 3  # not all alike


def test_beam_of_one_is_greedy(new_model: NewModel, variant: str) -> None:
    model, rows = new_model(variant=variant), sources(20, seed=1)
    src = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    lengths = [len(row) for row in rows]
    greedy = greedy_search(model.step, model.encode(src, src != PAD), lengths, options(), SPECIAL)
    beam = beam_search(model.step, model.encode(src, src != PAD), lengths, options(), SPECIAL)
    for one, other in zip(greedy, beam, strict=True):
        assert one.tokens == other[0].tokens
        assert one.score == pytest.approx(other[0].score, abs=1e-5)
        torch.testing.assert_close(one.weights, other[0].weights)


def beam_oracle(model: Seq2Seq, row: list[int], opts: DecodeConfig) -> list[tuple[float, list[int]]]:
    """Beam search of one sentence, a word of a translation at a time, with a full sort: (score, words)."""
    src = torch.tensor([row])
    live = [(0.0, [BOS], model.encode(src, src != PAD))]
    finished: list[tuple[float, list[int]]] = []
    for length in itertools.count(1):
        longer = []
        for total, words, state in live:
            logits, _, new = model.step(torch.tensor(words[-1:]), state)
            for word, log_prob in enumerate(logits[0].log_softmax(dim=0).tolist()):
                if word not in SPECIAL.forbidden and not repeats([*words, word], opts.no_repeat_ngram_size):
                    longer.append((total + log_prob, [*words, word], new))
        longer.sort(key=lambda path: -path[0])
        stays = [path for path in longer if path[1][-1] != EOS][: opts.beam_size]
        ends = [path for path in longer[: opts.beam_size] if path[1][-1] == EOS]
        last = length == max_length(opts, len(row))
        penalty = ((5 + length) / 6) ** opts.length_penalty
        for total, words, _ in ends + (stays if last else []):
            finished.append((total / penalty, [word for word in words[1:] if word != EOS]))
        finished.sort(key=lambda path: -path[0])
        enough = len(finished) >= opts.beam_size
        if last or (enough and finished[opts.num_best - 1][0] >= stays[0][0] / penalty):
            return finished[: opts.num_best]
        live = stays
    raise AssertionError


@torch.no_grad()
@pytest.mark.parametrize(("penalty", "size"), [(0.0, 0), (1.0, 0), (3.0, 1), (3.0, 2)])
def test_batched_beam_is_beam_one_by_one(new_model: NewModel, variant: str, penalty: float, size: int) -> None:
    model = new_model(variant=variant, vocab_size=300)
    model.decoder.output.weight.data *= 8.0  # to end at many lengths, and for other words to be likely too
    model.decoder.output.bias.data[EOS] += 2.0
    opts = options(beam_size=3, num_best=2, length_penalty=penalty, max_offset=2, no_repeat_ngram_size=size)
    rows, lengths = sources(12), set[int]()
    for row, hypotheses in zip(rows, decode(model, rows, opts), strict=True):
        expected = beam_oracle(model, row, opts)
        assert [h.tokens for h in hypotheses] == [words for _, words in expected]
        assert [h.score for h in hypotheses] == pytest.approx([score for score, _ in expected])
        lengths |= {len(words) for _, words in expected}
    assert len(lengths) > 3


def brute_force(model: Seq2Seq, row: list[int], opts: DecodeConfig) -> list[tuple[float, list[int]]]:
    """All translations, scored one word at a time."""
    vocab = [w for w in range(model.decoder.embedding.num_embeddings) if w not in (*SPECIAL.forbidden, EOS)]
    limit = max_length(opts, len(row))
    scored = []
    for length in range(limit + 1):
        for words in itertools.product(vocab, repeat=length):
            fed = list(words) + ([EOS] if length < limit else [])
            src = torch.tensor([row])
            state, last, log_prob = model.encode(src, src != PAD), BOS, 0.0
            for word in fed:
                logits, _, state = model.step(torch.tensor([last]), state)
                log_prob += float(logits.log_softmax(dim=1)[0, word])
                last = word
            scored.append((log_prob / ((5 + len(fed)) / 6) ** opts.length_penalty, list(words)))
    return sorted(scored, reverse=True)


def test_wide_beam_is_brute_force(new_model: NewModel, variant: str) -> None:
    model = new_model(variant=variant, vocab_size=6)
    opts = options(beam_size=40, num_best=5, max_ratio=0.0, max_offset=4)
    rows = [[4, 5, EOS], [5, EOS]]
    with torch.no_grad():
        for row, hypotheses in zip(rows, decode(model, rows, opts), strict=True):
            expected = brute_force(model, row, opts)[:5]
            assert [hypothesis.tokens for hypothesis in hypotheses] == [words for _, words in expected]
            assert [h.score for h in hypotheses] == pytest.approx([score for score, _ in expected], abs=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
def test_padding_and_neighbours_never_matter(new_model: NewModel, variant: str, beam: int) -> None:
    model, rows = new_model(variant=variant), sources(8, seed=2)
    opts = options(beam_size=beam, num_best=beam, coverage_penalty=0.2)
    together = decode(model, rows, opts, extra_padding=4)
    for row, hypotheses in zip(rows, together, strict=True):
        (alone,) = decode(model, [row], opts)
        assert [h.tokens for h in hypotheses] == [h.tokens for h in alone]
        assert [h.score for h in hypotheses] == pytest.approx([h.score for h in alone], abs=1e-5)
        for h in hypotheses:
            assert h.weights.shape == (len(h.tokens), len(row))
            torch.testing.assert_close(h.weights.sum(dim=1), torch.ones(len(h.tokens)))


def test_finished_sentences_leave_the_batch() -> None:
    table = {tuple([4] * n): {4: 1.0} for n in range(4)} | {(4,) * 4: {EOS: 1.0}}
    table[()] = {4: 0.5, EOS: 0.5}
    step, sizes = table_step(table), []

    def counted(tokens: Tensor, state: Prefixes) -> tuple[Tensor, Tensor, Prefixes]:
        sizes.append(len(tokens))
        logits, weights, after = step(tokens, state)
        if len(sizes) == 1:
            logits[0, EOS] += 1.0  # the first of the two sentences ends at once
            logits[1, 4] += 1.0
        return logits, weights, after

    hypotheses = greedy_search(counted, start(2), [3, 3], options(), SPECIAL)
    assert [h.tokens for h in hypotheses] == [[], [4, 4, 4, 4]]
    assert sizes == [2, 1, 1, 1, 1]


@pytest.mark.parametrize("beam", [1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_an_error(beam: int, value: float) -> None:
    def step(tokens: Tensor, state: Prefixes) -> tuple[Tensor, Tensor, Prefixes]:
        logits, weights, after = table_step(GARDEN_PATH)(tokens, state)
        logits[-1, 4] = value
        return logits, weights, after

    with pytest.raises(DecodingError, match="the model's logits are not finite"):
        search(step, start(2), [2, 2], options(beam_size=beam), SPECIAL)


def test_no_sentences() -> None:
    assert search(table_step({}), start(0), [], options(), SPECIAL) == []
    assert search(table_step({}), start(0), [], options(beam_size=2), SPECIAL) == []


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(("size", "count"), [(5, 3), (64, 1), (200, 1), (1000, 4), (4001, 10), (8000, 10)])
def test_top_k_is_that_of_a_full_sort(rows: int, size: int, count: int) -> None:
    torch.manual_seed(size)
    values = torch.randn(7, rows, size).round(decimals=2)  # with ties
    values[:3, 0, 4] = -math.inf
    base = torch.randn(7, rows)
    base[0, 1:] = -math.inf
    best, places = top_k(values, base, count)
    longer = (values + base.unsqueeze(2)).flatten(1)
    expected = longer.sort(dim=1, descending=True).values[:, :count]
    assert torch.equal(best, expected)
    assert torch.equal(longer.gather(1, places), expected)
    assert all(len(set(row)) == count for row in places.tolist())


def test_low_precision_finds_about_the_same(new_model: NewModel, variant: str) -> None:
    """Products in bfloat16 change log-probabilities by what 8 bits are worth, and nothing else."""
    model, rows = new_model(variant=variant).float(), sources(6)
    exact = decode(model, rows, options(beam_size=4, num_best=4))
    with torch.autocast("cpu", torch.bfloat16):
        rough = decode(model, rows, options(beam_size=4, num_best=4))
    for ours, theirs in zip(rough, exact, strict=True):
        assert ours[0].score == pytest.approx(theirs[0].score, rel=0.05)
        assert ours[0].score != theirs[0].score
