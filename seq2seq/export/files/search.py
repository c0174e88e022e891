"""Beam search over encoder.onnx and decoder.onnx, for several sentences at a time."""

import heapq
import math
from typing import Any, NamedTuple

import numpy as np

PAD, UNK, BOS, EOS = range(4)
STEP = ["best_log_probs", "best_words", "attention", "new_state", "new_weights"]


class Path(NamedTuple):
    """A partial translation."""

    log_prob: float
    words: list[int]
    attended: Any  # (S,) the sum of the attention weights of each source word


def search(encoder, decoder, settings, src, beam, num_best):
    """For each of some lists of token ids, which end in EOS, its best translations: (score, token ids)."""
    lengths = np.array([len(ids) for ids in src], np.int32)
    padded = np.array([ids + [PAD] * (max(lengths) - len(ids)) for ids in src], np.int32)
    names = [output.name for output in encoder.get_outputs()]
    memory = dict(zip(names, encoder.run(names, {"src": padded, "lengths": lengths}), strict=True))
    state, weights = (np.repeat(memory.pop(name), beam, axis=1) for name in ("state", "weights"))
    paths = [
        [Path(-math.inf if row else 0.0, [BOS], np.zeros(len(padded[0]))) for row in range(beam)] for _ in src
    ]
    found, ended, live = [[] for _ in src], [0] * len(src), list(range(len(src)))
    length = 0
    while live:
        length += 1
        last = np.array([[path.words[-1] for path in paths[i]] for i in live], np.int32)
        repeats = [[repeating(path.words, settings["no_repeat_ngram_size"]) for path in paths[i]] for i in live]
        count = np.array([2 * beam + max(len(words) for rows in repeats for words in rows)])
        feeds = {"words": last, "count": count, "state": state, "weights": weights, **memory}
        log_probs, words, attention, state, weights = decoder.run(STEP, feeds)
        normaliser = ((5 + length) / 6) ** settings["length_penalty"]
        kept, rows = [], []  # the sentences that go on, and the rows that they go on from
        for n, i in enumerate(live):
            cut = length >= max(1, int(settings["max_ratio"] * len(src[i])) + settings["max_offset"])
            staying = []
            best = best_words(paths[i], log_probs[n], words[n], repeats[n], 2 * beam)
            for rank, (log_prob, row, word) in enumerate(best):
                path = Path(log_prob, [*paths[i][row].words, word], paths[i][row].attended + attention[n, row])
                stays = word != EOS and len(staying) < beam
                if stays:
                    staying.append((row, path))
                if log_prob > -math.inf and (cut if stays else word == EOS and rank < beam):
                    coverage = np.log(np.clip(path.attended[: len(src[i])], 1e-12, 1)).sum()
                    score = log_prob / normaliser + settings["coverage_penalty"] * coverage
                    found[i].append((score, path.words[1:] if stays else path.words[1:-1]))
                    found[i] = sorted(found[i], key=lambda one: -one[0])[:num_best]
                    ended[i] += 1
            bound = staying[0][1].log_prob / normaliser  # of what may still come
            if not cut and (ended[i] < beam or (beam > 1 and found[i][-1][0] < bound)):
                kept.append(n)
                rows.append([row for row, _ in staying])
                paths[i] = [path for _, path in staying]
        live, kept, rows = [live[n] for n in kept], np.array(kept, int), np.array(rows, int).reshape(-1, beam)
        memory = {name: part[kept] for name, part in memory.items()}
        state, weights = (part[kept[:, None], rows] for part in (state, weights))
    return found


def repeating(words, size):
    """The next words that would write the same ``size`` words in a row again; 0: none."""
    last = words[len(words) + 1 - size :]
    starts = range(len(words) + 1 - size) if size else []
    return {words[i + size - 1] for i in starts if words[i : i + size - 1] == last}


def best_words(paths, log_probs, words, repeats, count):
    """The ``count`` best one-word extensions of some paths, best first: log-probability, row and word."""
    sums = (np.array([[path.log_prob] for path in paths]) + log_probs).tolist()
    longer = [
        (one, row, word)
        for row in range(len(paths))
        for one, word in zip(sums[row], words[row].tolist(), strict=True)
        if word not in repeats[row]
    ]
    return heapq.nlargest(count, longer, key=lambda one: one[0])
