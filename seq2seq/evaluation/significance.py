"""Paired tests of significance, by sacreBLEU: whether two systems differ by more than chance. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from seq2seq.evaluation.metrics import check_seed

RESAMPLES, TRIALS = 1000, 10000  # of the bootstrap and of randomisation: sacreBLEU's own defaults


class Paired(NamedTuple):
    """The score of a system and how it compares with that of the baseline, which has no p-values itself."""

    score: float
    mean: float  # over the bootstrap's resamples
    half_width: float  # of the 95% interval around the mean
    p_bootstrap: float | None
    p_randomisation: float | None


class PairedTests(NamedTuple):
    """What sacreBLEU's paired tests found."""

    systems: list[dict[str, Paired]]  # of each system, the baseline first: metric → result
    signatures: dict[str, tuple[str, str]]  # metric → those of the bootstrap and of randomisation


def paired_tests(
    systems: Sequence[Sequence[str]], references: Sequence[str], tgt_language: str = ""
) -> PairedTests:
    """Paired bootstrap (Koehn, 2004) and approximate randomisation (Riezler and Maxwell, 2005) of each system.

    The numbers are those of sacreBLEU's commands ``sacrebleu REFERENCES -l SRC-TGT -i BASELINE SYSTEM …
    -m bleu chrf ter`` with ``--paired-bs`` and with ``--paired-ar``, to the last digit.

    Args:
        systems: the translations of each, the baseline's first.
        references: one for each sentence.
        tgt_language: chooses BLEU's tokenizer.

    Raises:
        ConfigError: SACREBLEU_SEED is not a seed.
    """
    check_seed()
    cached: dict[str, Any] = {"references": [references]}
    metrics = {"BLEU": BLEU(trg_lang=tgt_language, **cached), "CHRF": CHRF(**cached), "TER": TER(**cached)}
    bootstrap, bootstrap_signatures = _tested("bs", systems, metrics, RESAMPLES)
    randomisation, signatures = _tested("ar", systems, metrics, TRIALS)
    results = [
        {
            name: Paired(
                float(result.score),
                float(result.mean),
                float(result.ci),
                p_bootstrap=result.p_value,
                p_randomisation=randomised[name].p_value,
            )
            for name, result in bootstrapped.items()
        }
        for bootstrapped, randomised in zip(bootstrap, randomisation, strict=True)
    ]
    return PairedTests(results, {name: (bootstrap_signatures[name], signatures[name]) for name in signatures})


def _tested(
    kind: str, systems: Sequence[Sequence[str]], metrics: dict[str, Metric], samples: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """For each system, metric → sacreBLEU's result; and the metrics' signatures."""
    named = [(str(i), lines) for i, lines in enumerate(systems)]
    signatures, columns = PairedTest(named, metrics, references=None, test_type=kind, n_samples=samples)()
    results: list[dict[str, Any]] = [{name: columns[name][i] for name in signatures} for i in range(len(systems))]
    return results, {name: str(signature) for name, signature in signatures.items()}
