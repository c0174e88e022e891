"""Greedy and beam search over a step function.

Search knows a callable ``step(tokens, state) -> (logits, weights, state)`` and a state with
``select(rows)``; it knows no model class. Shapes: N sentences given, B sentences still searched, K beam
size, V vocabulary, S source length, t words so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

CPU = torch.device("cpu")


class SearchState(Protocol):
    """A batch of states, one row for each partial translation."""

    def repeat(self, times: int) -> Any:
        """Each row ``times`` times, in a row."""

    def select(self, rows: Tensor) -> Any:
        """The given rows, in that order; what ``repeat`` put in a row comes from one sentence and stays so."""


State = TypeVar("State", bound=SearchState)


class StepFunction(Protocol[State]):
    """Reads one word (B,) a row; gives logits (B, V) of the next, attention weights (B, S), the new state."""

    def __call__(self, tokens: Tensor, state: State, /) -> tuple[Tensor, Tensor, State]: ...


@dataclass(frozen=True)
class SearchOptions:
    """What to search for, and how translations are compared.

    score(Y|X) = log P(Y|X) / ((5 + |Y|) / 6)^α + β Σ_i log min(Σ_t α_ti, 1), where α is ``length_penalty``,
    β is ``coverage_penalty`` and |Y| counts the sentence end (Wu et al., 2016, equation 14).
    """

    bos: int
    eos: int
    forbidden: tuple[int, ...] = ()
    """Words that are never produced: padding, the sentence start, the unknown word."""
    beam_size: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    num_best: int = 1
    max_ratio: float = 2.0
    max_offset: int = 10
    """A translation is cut after ``max_ratio * source length + max_offset`` words."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_best <= self.beam_size:
            raise ValueError(f"num_best={self.num_best} must lie between 1 and beam_size={self.beam_size}")

    def max_length(self, src_length: int) -> int:
        """Most words of a translation of ``src_length`` source words; at least 1."""
        return max(1, int(self.max_ratio * src_length) + self.max_offset)


class Hypothesis(NamedTuple):
    """A finished translation."""

    tokens: list[int]  # without sentence start and end
    log_prob: float  # of the words and of the sentence end, unless it was cut
    score: float
    weights: Tensor  # (len(tokens), source length) attention weights


class _Paths(NamedTuple):
    """Partial translations, one a row."""

    tokens: Tensor  # (R, 1 + t) from the sentence start on
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
        """One word more on each row; ``log_probs`` are those of the longer translations."""
        step_weights = weights[:, None, : self.weights.size(2)].to(self.weights.dtype)
        return _Paths(
            torch.cat([self.tokens, tokens.unsqueeze(1)], dim=1),
            torch.cat([self.weights, step_weights], dim=1),
            log_probs,
        )

    def hypothesis(self, row: int, src_length: int, options: SearchOptions) -> Hypothesis:
        """Take ``row`` as finished, at a sentence end or because it was cut."""
        tokens: list[int] = self.tokens[row, 1:].tolist()
        log_prob = float(self.log_probs[row])
        weights = self.weights[row, :, :src_length].cpu()
        score = log_prob / length_normaliser(len(tokens), options.length_penalty)
        score += options.coverage_penalty * coverage(weights)
        if tokens[-1] == options.eos:
            tokens, weights = tokens[:-1], weights[:-1]
        return Hypothesis(tokens, log_prob, score, weights)


def length_normaliser(length: int, alpha: float) -> float:
    """((5 + |Y|) / 6)^α (Wu et al., 2016, equation 14)."""
    return float(((5 + length) / 6) ** alpha)


def coverage(weights: Tensor) -> float:
    """Σ_i log min(Σ_t α_ti, 1) of ``weights`` (t, S): 0 where each source word was attended to in full."""
    return float(weights.sum(dim=0).clamp(min=1e-12, max=1.0).log().sum())


@torch.no_grad()
def search(
    step: StepFunction[State],
    state: State,
    src_lengths: Sequence[int],
    options: SearchOptions,
    device: torch.device = CPU,
) -> list[list[Hypothesis]]:
    """The ``num_best`` best translations of each of N sentences, best first.

    ``state`` has N rows and stands before the first word; ``src_lengths`` are its numbers of real source words.
    """
    if options.beam_size == 1:
        return [[best] for best in greedy_search(step, state, src_lengths, options, device)]
    return beam_search(step, state, src_lengths, options, device)


@torch.no_grad()
def greedy_search(
    step: StepFunction[State],
    state: State,
    src_lengths: Sequence[int],
    options: SearchOptions,
    device: torch.device = CPU,
) -> list[Hypothesis]:
    """The most probable next word, again and again; finished sentences leave the batch."""
    results: dict[int, Hypothesis] = {}
    live = torch.arange(len(src_lengths), device=device)
    max_lengths = torch.tensor([options.max_length(length) for length in src_lengths], device=device)
    paths = _Paths.start(len(src_lengths), options.bos, max(src_lengths, default=0), device)
    for length in count(1):
        if len(live) == 0:
            break
        logits, weights, state = step(paths.tokens[:, -1], state)
        best = best_words(logits, 1, options.forbidden)
        tokens = best.tokens[:, 0]
        paths = paths.extend(tokens, paths.log_probs + best.log_probs[:, 0], weights)
        done = (tokens == options.eos) | (max_lengths[live] <= length)
        for row in done.nonzero().flatten().tolist():
            sentence = int(live[row])
            results[sentence] = paths.hypothesis(row, src_lengths[sentence], options)
        staying = (~done).nonzero().flatten()
        live, paths, state = live[staying], paths.select(staying), state.select(staying)
    return [results[sentence] for sentence in range(len(src_lengths))]


@torch.no_grad()
def beam_search(
    step: StepFunction[State],
    state: State,
    src_lengths: Sequence[int],
    options: SearchOptions,
    device: torch.device = CPU,
) -> list[list[Hypothesis]]:
    """The K best partial translations at each length, until no better one is to be expected.

    A sentence leaves when K of its translations have ended and the ``num_best`` best of them score higher than
    any that goes on does at its present length.
    """
    num, beam = len(src_lengths), options.beam_size
    finished: list[list[Hypothesis]] = [[] for _ in range(num)]
    live = torch.arange(num, device=device)
    max_lengths = torch.tensor([options.max_length(length) for length in src_lengths], device=device)
    state = state.repeat(beam)
    paths = _Paths.start(num * beam, options.bos, max(src_lengths, default=0), device)
    paths.log_probs.view(num, beam)[:, 1:] = -math.inf  # K equal starts count as one
    for length in count(1):
        if len(live) == 0:
            break
        logits, weights, state = step(paths.tokens[:, -1], state)
        words = best_words(logits, 2 * beam, options.forbidden)
        candidates = _best_candidates(paths.log_probs.view(-1, beam), words, options.eos)
        parents = candidates.rows.flatten()
        grown = paths.select(parents).extend(
            candidates.tokens.flatten(), candidates.log_probs.flatten(), weights[parents]
        )
        cut = max_lengths[live] <= length
        ends = candidates.ends | (cut.unsqueeze(1) & candidates.stays)
        for row in (ends & candidates.log_probs.isfinite()).flatten().nonzero().flatten().tolist():
            sentence = int(live[row // ends.size(1)])
            finished[sentence].append(grown.hypothesis(row, src_lengths[sentence], options))
        hopes = candidates.log_probs.masked_fill(~candidates.stays, -math.inf).amax(dim=1)
        scores = (hopes / length_normaliser(length, options.length_penalty)).tolist()
        complete = [_complete(finished[i], score, options) for i, score in zip(live.tolist(), scores, strict=True)]
        going_on = ~(cut | torch.tensor(complete, dtype=torch.bool, device=device))
        staying = (candidates.stays & going_on.unsqueeze(1)).flatten().nonzero().flatten()
        live, paths, state = live[going_on], grown.select(staying), state.select(parents[staying])
    return [sorted(each, key=lambda h: -h.score)[: options.num_best] for each in finished]


def _complete(finished: Sequence[Hypothesis], best_live_score: float, options: SearchOptions) -> bool:
    if len(finished) < options.beam_size:
        return False
    return sorted(h.score for h in finished)[-options.num_best] >= best_live_score


class _Candidates(NamedTuple):
    """The 2K best one-word extensions of each sentence's K rows, best first: all (B, 2K)."""

    log_probs: Tensor
    tokens: Tensor
    rows: Tensor  # row among the B·K that is extended
    ends: Tensor  # among the K best, and ends the sentence
    stays: Tensor  # one of the K best that do not end it


def _best_candidates(log_probs: Tensor, words: Words, eos: int) -> _Candidates:
    """From the log-probabilities (B, K) of the rows so far, and the best next words of each row.

    Each row can end in one way only, so among the 2K best at least K go on.
    """
    num, beam = log_probs.shape
    longer = log_probs.unsqueeze(2) + words.log_probs.view(num, beam, -1)  # (B, K, n)
    best = longer.flatten(1).topk(min(2 * beam, longer[0].numel()), dim=1)
    tokens = words.tokens.view(num, -1).gather(1, best.indices)
    first_rows = torch.arange(0, num * beam, beam, device=tokens.device).unsqueeze(1)
    rows = first_rows + best.indices // longer.size(2)
    ended = tokens == eos
    among_best = torch.arange(tokens.size(1), device=tokens.device) < beam
    stays = ~ended & ((~ended).cumsum(dim=1) <= beam)
    return _Candidates(best.values, tokens, rows, ended & among_best, stays)


class Words(NamedTuple):
    """The best next words of each row, best first."""

    log_probs: Tensor  # (R, n)
    tokens: Tensor  # (R, n)


def best_words(logits: Tensor, count: int, forbidden: Sequence[int]) -> Words:
    """The ``count`` most probable words, log P as the model has it; ``forbidden`` ones come last, with -inf.

    ``logits`` (R, V) are changed.
    """
    normaliser = logits.logsumexp(dim=1, keepdim=True)
    logits[:, list(forbidden)] = -math.inf
    best = logits.topk(min(count, logits.size(1)), dim=1)
    return Words(best.values - normaliser, best.indices)
