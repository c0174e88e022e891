"""Scores of translations against raw references, each with its sacreBLEU signature (Post, 2018)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER


class Score(NamedTuple):
    """A corpus-level score and how it was computed."""

    value: float
    signature: str
    interval: tuple[float, float] | None = None  # 95%, by bootstrap


class BleuScore(NamedTuple):
    """BLEU with what it is made of."""

    value: float
    length_ratio: float  # hypothesis over reference, in tokens
    brevity_penalty: float


def bleu(hypotheses: Sequence[str], references: Sequence[str], tgt_language: str = "") -> BleuScore:
    """Cased corpus BLEU with sacreBLEU's tokenizer for ``tgt_language`` (13a for most)."""
    score = BLEU(trg_lang=tgt_language).corpus_score(hypotheses, [references])
    return BleuScore(score.score, score.ratio, score.bp)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2 (Popović, 2015)."""
    return float(CHRF().corpus_score(hypotheses, [references]).score)


def all_scores(
    hypotheses: Sequence[str], references: Sequence[str], tgt_language: str = "", bootstrap: int = 0
) -> dict[str, Score]:
    """BLEU, lower-cased BLEU, chrF and TER; with ``bootstrap`` resamples, BLEU's and chrF's 95% intervals."""
    bleu, lower = BLEU(trg_lang=tgt_language), BLEU(lowercase=True, trg_lang=tgt_language)
    return {
        "BLEU": _score(bleu, hypotheses, references, bootstrap),
        "BLEU-lc": _score(lower, hypotheses, references, bootstrap),
        "chrF2": _score(CHRF(), hypotheses, references, bootstrap),
        "TER": _score(TER(), hypotheses, references, 0),  # a resample of TER takes as long as all of the others
    }


def _score(metric: Metric, hypotheses: Sequence[str], references: Sequence[str], bootstrap: int) -> Score:
    score = metric.corpus_score(hypotheses, [references], n_bootstrap=max(bootstrap, 1))
    signature = str(metric.get_signature())
    if bootstrap <= 1 or len(hypotheses) < 2:
        return Score(float(score.score), signature)
    report = json.loads(score.format(width=6, signature=signature, is_json=True))
    if "confidence_mean" not in report:  # every resample scored 0
        return Score(float(score.score), signature)
    mean, half = report["confidence_mean"], report["confidence_var"]
    return Score(float(score.score), signature, (mean - half, mean + half))
