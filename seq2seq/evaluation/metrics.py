"""Scores of translations against raw references, each with its sacreBLEU signature (Post, 2018)."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import sacrebleu
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from seq2seq.errors import ConfigError

logger = logging.getLogger(__name__)

LIBRARY = f"sacrebleu {sacrebleu.__version__}"


class Score(NamedTuple):
    """A corpus-level score and how it was computed."""

    value: float
    signature: str
    interval: tuple[float, float] | None = None  # 95%, by bootstrap


class BleuScore(NamedTuple):
    """BLEU and its parts."""

    value: float
    length_ratio: float  # hypothesis over reference, in tokens
    brevity_penalty: float


def check_language(tgt_language: str) -> None:
    """Raise ``ConfigError`` if BLEU needs a word splitter for the language that is not installed."""
    try:
        BLEU(trg_lang=tgt_language)
    except (RuntimeError, AssertionError):  # the splitter is missing, or its dictionary
        raise ConfigError(
            f"data.tgt={tgt_language}: BLEU needs a word splitter for it: "
            f'pip install "seq2seq-nmt[{tgt_language}]"'
        ) from None


def check_seed() -> None:
    """Raise ``ConfigError`` if the environment's SACREBLEU_SEED, of all resamples, is none."""
    seed = os.environ.get("SACREBLEU_SEED", "none")
    if not re.fullmatch(r"[0-9]+|none", seed.lower()):
        raise ConfigError(f"SACREBLEU_SEED={seed}: expected a whole number, or none for another seed each time")


def bleu(hypotheses: Sequence[str], references: Sequence[str], tgt_language: str = "") -> BleuScore:
    """Cased corpus BLEU with sacreBLEU's tokenizer for ``tgt_language`` (13a for most)."""
    score = BLEU(trg_lang=tgt_language).corpus_score(hypotheses, [references])
    return BleuScore(score.score, score.ratio, score.bp)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2 (Popović, 2015)."""
    return float(CHRF().corpus_score(hypotheses, [references]).score)


def signatures(tgt_language: str = "") -> dict[str, str]:
    """How ``bleu`` and ``chrf`` are computed for one reference: sacreBLEU's signature of each."""
    metrics: dict[str, Metric] = {"bleu": BLEU(trg_lang=tgt_language), "chrf": CHRF()}
    for metric in metrics.values():
        metric.corpus_score(["one"], [["one"]])  # from which it knows how many references there are
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF2 of each line."""
    metric = CHRF()
    pairs = zip(hypotheses, references, strict=True)
    return [float(metric.sentence_score(hypothesis, [reference]).score) for hypothesis, reference in pairs]


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str], tgt_language: str, bootstrap: int) -> Score:
    """``bleu`` with its signature and, by ``bootstrap`` resamples, its 95% interval."""
    return _score("BLEU", BLEU(trg_lang=tgt_language), hypotheses, references, bootstrap)


def all_scores(
    hypotheses: Sequence[str], references: Sequence[str], tgt_language: str = "", bootstrap: int = 0
) -> dict[str, Score]:
    """BLEU, lower-cased BLEU, chrF and TER; with ``bootstrap`` resamples, BLEU's and chrF's 95% intervals."""
    metrics: dict[str, Metric] = {
        "BLEU": BLEU(trg_lang=tgt_language),
        "BLEU-lc": BLEU(lowercase=True, trg_lang=tgt_language),
        "chrF2": CHRF(),
        "TER": TER(),
    }
    resamples = {**dict.fromkeys(metrics, bootstrap), "TER": 0}  # TER's would take as long as all the others
    return {name: _score(name, metrics[name], hypotheses, references, resamples[name]) for name in metrics}


def _score(
    name: str, metric: Metric, hypotheses: Sequence[str], references: Sequence[str], bootstrap: int
) -> Score:
    try:
        score = metric.corpus_score(hypotheses, [references], n_bootstrap=max(bootstrap, 1))
    except TypeError:  # sacreBLEU can't average numpy's numbers with the plain 0.0 of a resample without text
        logger.warning("%s: no interval, since some resamples of so few lines have no text to compare", name)
        metric.n_bootstrap = metric.seed = None  # else its signature would claim them
        return _score(name, metric, hypotheses, references, 0)
    signature = str(metric.get_signature())
    if bootstrap <= 1 or len(hypotheses) < 2:
        return Score(float(score.score), signature)
    report = json.loads(score.format(width=6, signature=signature, is_json=True))
    if "confidence_mean" not in report:  # every resample scored 0
        return Score(float(score.score), signature)
    mean, half = report["confidence_mean"], report["confidence_var"]
    return Score(float(score.score), signature, (mean - half, mean + half))
