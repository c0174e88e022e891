"""A lexicon counted in the training pairs: IBM model 1 by expectation maximisation (Brown et al., 1993)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.windows import stretches
from seq2seq.storage.rows import Integers
from seq2seq.text.lexicon import Lexicon
from seq2seq.text.tokenizer import PAD

ITERATIONS = 5
LONGEST = 100  # tokens of a sentence that are read: the links of a pair are as many as its lengths' product
MOST_LINKS = 10_000_000  # of a larger corpus, evenly spread pairs with about so many are read: a second, 1 GB
MOST_TARGETS, LEAST_PROBABILITY = 100, 0.001  # of the translations of a source piece that are kept
NULL = PAD  # stands for no source piece: in each sentence, target pieces that translate nothing are linked to it


class Translations(NamedTuple):
    """P(target piece | source piece) of each two that occur in one pair, by source piece; all (N,)."""

    src: Tensor
    tgt: Tensor
    probability: Tensor


def count_lexicon(pairs: TokenizedPairs, src_size: int, tgt_size: int) -> Lexicon:
    """The lexicon of ``pairs``, whose vocabularies have these sizes; the same in every process."""
    step = sum(map(partial(_num_links, pairs), stretches(0, len(pairs)))) // MOST_LINKS + 1
    read = pairs.take(np.arange(0, len(pairs), step), LONGEST)
    found = ibm_model_1(read, tgt_size)
    order = found.probability.argsort(descending=True, stable=True)
    order = order[found.src[order].argsort(stable=True)]
    src, tgt, probability = (part[order] for part in found)
    lengths = src.bincount(minlength=src_size)
    rank = torch.arange(len(src)) - (lengths.cumsum(0) - lengths)[src]
    kept = (rank < MOST_TARGETS) & (probability >= LEAST_PROBABILITY) & (src != NULL)
    occurrences = _tensor(read.tgt.values).bincount(minlength=tgt_size)
    frequent = occurrences.argsort(descending=True, stable=True)[: int(occurrences.count_nonzero())]
    return Lexicon(tgt[kept].int(), src[kept].bincount(minlength=src_size).int(), frequent.int())


def _num_links(pairs: TokenizedPairs, indices: Integers) -> int:
    """Links of the pairs with these indices: of each, the product of its lengths, NULL included."""
    src, tgt = (np.minimum(side.lengths(indices), LONGEST) for side in pairs)
    return int((src + 1) @ tgt)


def ibm_model_1(pairs: TokenizedPairs, tgt_size: int, iterations: int = ITERATIONS) -> Translations:
    """P(t|s), also for s = NULL, after so many iterations from a uniform start (section 4.2 of the paper).

    A link is a source token, or NULL, beside a target token of the same pair. Each iteration shares every target
    token out among its links in proportion to P(t|s), and makes the sums of the shares the new P(t|s).
    """
    src, tgt = _tensor(np.insert(pairs.src.values, pairs.src.starts[:-1], NULL)), _tensor(pairs.tgt.values)
    src_lengths, tgt_lengths = _tensor(pairs.src.all_lengths()) + 1, _tensor(pairs.tgt.all_lengths())
    num_links = src_lengths.repeat_interleave(tgt_lengths)  # of each target token
    first = (src_lengths.cumsum(0) - src_lengths).repeat_interleave(tgt_lengths)  # source token of its sentence
    token = torch.arange(len(tgt)).repeat_interleave(num_links)  # of each link
    place = torch.arange(len(token)) + (first - num_links.cumsum(0) + num_links)[token]
    cells, cell = (src[place] * tgt_size + tgt[token]).unique(return_inverse=True)
    source, probability = cells // tgt_size, torch.ones(len(cells), dtype=torch.float64)
    for _ in range(iterations):
        weight = probability.index_select(0, cell)
        share = weight / token.bincount(weight).repeat_interleave(num_links)
        counts = cell.bincount(share, minlength=len(cells))
        probability = counts / source.bincount(counts)[source]
    return Translations(source, cells % tgt_size, probability)


def _tensor(numbers: Integers) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int64))
