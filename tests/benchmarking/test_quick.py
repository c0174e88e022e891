"""The one line of figures: every figure is there, and nothing else is printed."""

from __future__ import annotations

import re

import pytest
from benchmarking import quick
from benchmarking.settings import help_text
from benchmarks import benchmark_of

FIGURE = r"[\d.,e+-]+"
RATES = rf"{FIGURE} and {FIGURE}"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "SIZES", {"sentences a batch": 2, "sentence length": 3, "vocabulary": 20})
    monkeypatch.setattr(quick, "SECONDS", 1e-9)
    monkeypatch.setattr(quick, "SEARCHED", 2)


def test_the_line_has_every_figure(settings: list[str], trained: str) -> None:
    text = quick.line(benchmark_of(*settings, trained, "machine.precision=fp32"))
    assert "\n" not in text
    *_, versions, products, training, search = text.split("; ")
    assert re.fullmatch(r"seq2seq [\d.]+\S*, torch [\d.]+\S*, Python [\d.]+", versions)
    assert re.fullmatch(rf"products GF/s \(step, output\): fp32 {RATES}, bf16 {RATES}", products)
    assert re.fullmatch(
        rf"training \w+, 2 sentences, tokens/s: plain fp32 {FIGURE}, fused fp32 {FIGURE}, fused bf16 {FIGURE}",
        training,
    )
    assert re.fullmatch(rf"greedy search, sentences/s: fp32 {FIGURE}, bf16 {FIGURE}", search)


def test_without_a_run_there_is_no_search(settings: list[str]) -> None:
    assert "search" not in quick.line(benchmark_of(*settings, "machine.precision=fp32"))


def test_help_has_every_setting() -> None:
    text = "\n".join(help_text())
    assert "benchmark.sentences=[128, 40]" in text
    assert "list of integers, 1 to 1,000,000,000" in text
