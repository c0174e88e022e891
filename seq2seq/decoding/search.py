"""Greedy and beam search over a step function.

Search needs a callable ``step(tokens, state) -> (logits, weights, state)`` and a state with ``repeat`` and
``select``; it knows no model class. Shapes: N sentences given, B sentences not yet finished, K beam size,
V vocabulary, S source length, R rows, t words so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from seq2seq.errors import DecodingError
from seq2seq.settings.schema import DecodeConfig

CPU = torch.device("cpu")


class SearchState(Protocol):
    """A batch of states, one row for each partial translation."""

    def repeat(self, times: int) -> Any:
        """Every row ``times`` times, side by side."""

    def select(self, rows: Tensor) -> Any:
        """The given rows, in that order. The rows that ``repeat`` made of one stay side by side."""


State = TypeVar("State", bound=SearchState)


class StepFunction(Protocol[State]):
    """Reads one word for each row (B,); gives logits (B, V) of the next, weights (B, S) and the new state."""

    def __call__(self, tokens: Tensor, state: State, /) -> tuple[Tensor, Tensor, State]: ...


class SpecialTokens(NamedTuple):
    """The words of the vocabulary that search treats specially."""

    bos: int
    eos: int
    forbidden: tuple[int, ...] = ()
    """Words that are never produced: padding, the sentence start, the unknown word."""


def max_length(decode: DecodeConfig, src_length: int) -> int:
    """Most words of a translation of ``src_length`` source words; at least 1."""
    return max(1, int(decode.max_ratio * src_length) + decode.max_offset)


class Hypothesis(NamedTuple):
    """A finished translation."""

    tokens: list[int]  # without sentence start and end
    log_prob: float  # of the words and of the sentence end, unless it was cut
    score: float
    weights: Tensor  # (len(tokens), source length) attention weights


class _Paths(NamedTuple):
    """Partial translations, one a row."""

    tokens: Tensor  # (R, 1 + t) beginning with the sentence start
    weights: Tensor  # (R, t, S) attention weights of each word
    log_probs: Tensor  # (R,)

    @staticmethod
    def start(num_rows: int, bos: int, src_length: int, device: torch.device) -> _Paths:
        tokens = torch.full((num_rows, 1), bos, device=device)
        weights, log_probs = torch.zeros(num_rows, 0, src_length), torch.zeros(num_rows)
        return _Paths(tokens, weights.to(device), log_probs.to(device))

    def select(self, rows: Tensor) -> _Paths:
        return _Paths(*(part[rows] for part in self))

    def extend(self, tokens: Tensor, log_probs: Tensor, weights: Tensor) -> _Paths:
        """One more word on each row; ``log_probs`` are those of the longer translations."""
        step_weights = weights[:, None, : self.weights.size(2)].to(self.weights.dtype)
        return _Paths(
            torch.cat([self.tokens, tokens.unsqueeze(1)], dim=1),
            torch.cat([self.weights, step_weights], dim=1),
            log_probs,
        )

    def repeated(self, size: int) -> tuple[Tensor, Tensor] | None:
        """Rows (n,) and next words (n,) that would write the same ``size`` words in a row again; 0: none."""
        if not 0 < size <= self.tokens.size(1):
            return None
        grams = self.tokens.unfold(1, size, 1)  # (R, 2 + t - size, size)
        last = self.tokens[:, self.tokens.size(1) + 1 - size :]
        rows, places = (grams[:, :, :-1] == last.unsqueeze(1)).all(dim=2).nonzero(as_tuple=True)
        return rows, grams[rows, places, -1]

    def scores(self, src_lengths: Tensor, decode: DecodeConfig) -> list[float]:
        """The score of each row, as if it were finished; ``src_lengths`` (R,)."""
        scores = self.log_probs / length_normaliser(self.tokens.size(1) - 1, decode.length_penalty)
        if decode.coverage_penalty:
            scores = scores + decode.coverage_penalty * coverage(self.weights, src_lengths)
        values: list[float] = scores.tolist()
        return values

    def hypothesis(self, row: int, score: float, src_length: int, eos: int) -> Hypothesis:
        """``row`` as a finished translation: at a sentence end, or because it was cut."""
        tokens: list[int] = self.tokens[row, 1:].tolist()
        length = len(tokens) - (tokens[-1] == eos)
        weights = self.weights[row, :length, :src_length].clone().cpu()
        return Hypothesis(tokens[:length], float(self.log_probs[row]), score, weights)


def length_normaliser(length: int, alpha: float) -> float:
    """((5 + |Y|) / 6)^α (Wu et al., 2016, equation 14)."""
    return float(((5 + length) / 6) ** alpha)


def coverage(weights: Tensor, src_lengths: Tensor) -> Tensor:
    """Σ_i log min(Σ_t α_ti, 1) of ``weights`` (R, t, S): 0 if each source word got a total weight of 1 or more."""
    attended = weights.sum(dim=1).clamp(min=1e-12, max=1.0).log()
    real = torch.arange(weights.size(2), device=weights.device) < src_lengths.unsqueeze(1)
    return attended.masked_fill(~real, 0.0).sum(dim=1)


@torch.no_grad()
def search(
    step: StepFunction[State],
    state: State,
    src_lengths: Sequence[int],
    decode: DecodeConfig,
    special: SpecialTokens,
    device: torch.device = CPU,
    words: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """The ``num_best`` best translations of each of N sentences, best first.

    ``state`` has N rows, before the first word; ``src_lengths`` are the numbers of real source words of its rows.
    If ``step`` gives logits (R, C) of some words only, these are ``words`` (C,) int64, </s> among them.
    """
    if decode.beam_size == 1:
        return [[best] for best in greedy_search(step, state, src_lengths, decode, special, device, words)]
    return beam_search(step, state, src_lengths, decode, special, device, words)


@torch.no_grad()
def greedy_search(
    step: StepFunction[State],
    state: State,
    src_lengths: Sequence[int],
    decode: DecodeConfig,
    special: SpecialTokens,
    device: torch.device = CPU,
    words: Tensor | None = None,
) -> list[Hypothesis]:
    """Greedy search: always the most probable next word; finished sentences leave the batch."""
    results: dict[int, Hypothesis] = {}
    live = torch.arange(len(src_lengths), device=device)
    max_lengths = torch.tensor([max_length(decode, length) for length in src_lengths], device=device)
    all_lengths = torch.tensor(src_lengths, device=device)
    paths = _Paths.start(len(src_lengths), special.bos, max(src_lengths, default=0), device)
    for length in count(1):
        if len(live) == 0:
            break
        logits, weights, state = step(paths.tokens[:, -1], state)
        repeated = paths.repeated(decode.no_repeat_ngram_size)
        best = best_words(paths.log_probs.unsqueeze(1), logits, 1, special.forbidden, words, repeated)
        tokens = best.tokens[:, 0]
        paths = paths.extend(tokens, best.log_probs[:, 0], weights)
        done = (tokens == special.eos) | (max_lengths[live] <= length)
        ended = done.nonzero().flatten()
        scores = paths.select(ended).scores(all_lengths[live[ended]], decode)
        for row, sentence, score in zip(ended.tolist(), live[ended].tolist(), scores, strict=True):
            results[sentence] = paths.hypothesis(row, score, src_lengths[sentence], special.eos)
        staying = (~done).nonzero().flatten()
        live, paths, state = live[staying], paths.select(staying), state.select(staying)
    return [results[sentence] for sentence in range(len(src_lengths))]


@torch.no_grad()
def beam_search(
    step: StepFunction[State],
    state: State,
    src_lengths: Sequence[int],
    decode: DecodeConfig,
    special: SpecialTokens,
    device: torch.device = CPU,
    words: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Beam search: the K best partial translations at each length, until a better one is no longer likely.

    A sentence leaves the batch when K of its translations have ended and the ``num_best`` best of these score no
    lower than any unfinished one does at its present length.
    """
    num, beam = len(src_lengths), decode.beam_size
    finished = [_Finished(decode.num_best) for _ in range(num)]
    live = torch.arange(num, device=device)
    max_lengths = torch.tensor([max_length(decode, length) for length in src_lengths], device=device)
    all_lengths = torch.tensor(src_lengths, device=device)
    state = state.repeat(beam)
    paths = _Paths.start(num * beam, special.bos, max(src_lengths, default=0), device)
    paths.log_probs.view(num, beam)[:, 1:] = -math.inf  # K equal starts count as one
    for length in count(1):
        if len(live) == 0:
            break
        logits, weights, state = step(paths.tokens[:, -1], state)
        repeated = paths.repeated(decode.no_repeat_ngram_size)
        best = best_words(paths.log_probs.view(-1, beam), logits, 2 * beam, special.forbidden, words, repeated)
        candidates = _candidates(best, beam, special.eos)
        cut = max_lengths[live] <= length
        ends = (candidates.ends | (cut.unsqueeze(1) & candidates.stays)) & candidates.log_probs.isfinite()
        ending = ends.flatten().nonzero().flatten()
        ended, sentences = candidates.grow(paths, weights, ending), live[ending // ends.size(1)]
        scores = ended.scores(all_lengths[sentences], decode)
        for row, (sentence, score) in enumerate(zip(sentences.tolist(), scores, strict=True)):
            make = partial(ended.hypothesis, row, score, src_lengths[sentence], special.eos)
            finished[sentence].add(score, make)
        best_unfinished = candidates.log_probs.masked_fill(~candidates.stays, -math.inf).amax(dim=1)
        bounds = (best_unfinished / length_normaliser(length, decode.length_penalty)).tolist()
        complete = [finished[i].complete(bound, decode) for i, bound in zip(live.tolist(), bounds, strict=True)]
        unfinished = ~(cut | torch.tensor(complete, dtype=torch.bool, device=device))
        staying = (candidates.stays & unfinished.unsqueeze(1)).flatten().nonzero().flatten()
        paths = candidates.grow(paths, weights, staying)
        live, state = live[unfinished], state.select(candidates.rows.flatten()[staying])
    return [sentence.best for sentence in finished]


class _Finished:
    """The finished translations of one sentence."""

    def __init__(self, num_best: int) -> None:
        self.num_best = num_best
        self.count = 0
        self.best: list[Hypothesis] = []  # num_best of them at most, best first

    def add(self, score: float, make: Callable[[], Hypothesis]) -> None:
        """Count a translation; ``make`` is called only if it is one of the best."""
        self.count += 1
        if len(self.best) == self.num_best and score <= self.best[-1].score:
            return
        self.best = sorted([*self.best, make()], key=lambda h: -h.score)[: self.num_best]

    def complete(self, best_live_score: float, decode: DecodeConfig) -> bool:
        """Whether K have ended and ``num_best`` of these score no lower than any unfinished one does now."""
        return self.count >= decode.beam_size and self.best[-1].score >= best_live_score


class _Candidates(NamedTuple):
    """The 2K best one-word extensions of each sentence's K rows, best first: all (B, 2K)."""

    log_probs: Tensor
    tokens: Tensor
    rows: Tensor  # row among the B·K that is extended
    ends: Tensor  # among the K best, and ends the sentence
    stays: Tensor  # among the K best that do not end it

    def grow(self, paths: _Paths, weights: Tensor, chosen: Tensor) -> _Paths:
        """The longer translations of the ``chosen`` candidates, which are numbered through all sentences."""
        parents = self.rows.flatten()[chosen]
        tokens, log_probs = self.tokens.flatten()[chosen], self.log_probs.flatten()[chosen]
        return paths.select(parents).extend(tokens, log_probs, weights[parents])


def _candidates(best: Words, beam: int, eos: int) -> _Candidates:
    """The candidates, from the 2K best words of each sentence.

    Each row can end in one way only, so at least K of the 2K best do not end.
    """
    first_rows = torch.arange(0, len(best.tokens) * beam, beam, device=best.tokens.device).unsqueeze(1)
    ended = best.tokens == eos
    among_best = torch.arange(ended.size(1), device=ended.device) < beam
    stays = ~ended & ((~ended).cumsum(dim=1) <= beam)
    return _Candidates(best.log_probs, best.tokens, first_rows + best.rows, ended & among_best, stays)


class Words(NamedTuple):
    """The best next words of each sentence, best first: all (B, n)."""

    log_probs: Tensor  # of the translations that they make
    rows: Tensor  # among the K of the sentence: the row that is extended
    tokens: Tensor


def best_words(
    log_probs: Tensor,
    logits: Tensor,
    count: int,
    forbidden: Sequence[int],
    words: Tensor | None = None,
    repeated: tuple[Tensor, Tensor] | None = None,
) -> Words:
    """The ``count`` words that make the most probable translations; those not allowed come last, with -inf.

    Args:
        log_probs: (B, K) of the rows so far.
        logits: (B·K, V), or (B·K, C) if ``words`` (C,) says which word each column stands for.
        count: if there are fewer words, all are given.
        forbidden: words; their probability is not shared among the others.
        words: int64 ids of words.
        repeated: rows (n,) among the B·K, and words (n,) that are forbidden there.

    Raises:
        DecodingError: the logits are not finite.
    """
    words = torch.arange(logits.size(1), device=logits.device) if words is None else words
    banned = torch.isin(words, torch.tensor(forbidden, dtype=torch.int64, device=logits.device))
    of_words = logits.log_softmax(dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))
    of_words.index_fill_(1, banned.nonzero().flatten(), -math.inf)
    if repeated is not None:
        numbers, columns = (repeated[1].unsqueeze(1) == words).nonzero(as_tuple=True)
        of_words[repeated[0][numbers], columns] = -math.inf
    of_words = of_words.view(*log_probs.shape, -1)
    best, places = top_k(of_words, log_probs, min(count, of_words[0].numel()))
    if best[:, 0].isnan().any():  # NaN is the largest of its sentence
        raise DecodingError(
            "the model's logits are not finite: its weights, or products in this precision, have overflowed; try "
            "machine.precision=fp32, or train again with a lower optimizer.lr"
        )
    return Words(best, places // logits.size(1), words[places % logits.size(1)])


GROUP = 64


def top_k(values: Tensor, base: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest of each B of ``values`` (B, K, V) + ``base`` (B, K), and their places among K·V.

    They are in the ``count`` groups of neighbours with the largest maxima, so most values are not sorted.
    """
    num, rows, size = values.shape
    groups = size // GROUP
    if rows * groups <= 2 * count:
        return (values + base.unsqueeze(2)).flatten(1).topk(count, dim=1)
    whole, device = groups * GROUP, values.device
    maxima = values[:, :, :whole].unflatten(2, (groups, GROUP)).amax(dim=3) + base.unsqueeze(2)  # (B, K, groups)
    chosen = maxima.flatten(1).topk(count, dim=1).indices
    first = chosen // groups * size + chosen % groups * GROUP
    rest = torch.arange(rows * size, device=device).view(rows, size)[:, whole:].flatten().expand(num, -1)
    places = torch.cat([(first.unsqueeze(2) + torch.arange(GROUP, device=device)).flatten(1), rest], dim=1)
    best = (values.flatten(1).gather(1, places) + base.gather(1, places // size)).topk(count, dim=1)
    return best.values, places.gather(1, best.indices)
