"""The benchmark on a toy task: that it measures what it says. How fast things are is no test."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from benchmarking import decoding, report, scaling, training
from benchmarking.training import Worker, fixed_batches, product_rate, products_of, variants
from benchmarks import benchmark_of
from torch.utils.flop_counter import FlopCounterMode

from seq2seq.build.inference import load
from seq2seq.data.batch import collate
from seq2seq.errors import ConfigError
from seq2seq.precision import FP32
from seq2seq.storage.rows import Rows


@pytest.mark.system
def test_everyone_takes_part_in_every_round(settings: list[str], tmp_path: Path) -> None:
    config = benchmark_of(*settings, "machine.precision=fp32", "benchmark.sentences=[10,4]")
    text = report.run(config)
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert [size["sentences"] for size in written["training"]] == [10, 4]
    for size in written["training"]:
        rows = {row["name"]: row for row in size["contenders"]}
        assert list(rows) == [variant.name for variant in variants(config)]
        for row in rows.values():
            assert len(row["rounds"]) == 2
            assert row["tokens_per_second"] > 0
            assert f"{row['tokens_per_second']:,.0f}" in text
        assert min(row["peak_memory"] for row in rows.values()) > 1e8
        assert 0 < rows["fused, fp32"]["share_of_limit"] < 1.5
        assert len(size["vocabulary"]) == 2
    assert 0 < written["seconds_to_first_update"] < 120


@pytest.mark.system
def test_memory_is_of_a_process_of_its_own(settings: list[str]) -> None:
    hundreds_of_megabytes = torch.ones(2**29)  # here, so not there
    sizes = {"sentences a batch": 2, "sentence length": 3, "state size": 4, "vocabulary": 20}
    bytes_used = scaling.memory(benchmark_of(*settings), sizes)
    assert hundreds_of_megabytes[0] == 1
    assert all(1e8 < bytes_used[f"{name}_memory"] < 1e9 for name in ("plain", "fused"))


def test_memory_is_measured_as_a_run_uses_it(settings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []
    monkeypatch.setattr(scaling, "prepare", prepared.append)
    sizes = {"sentences a batch": 2, "sentence length": 3, "state size": 4, "vocabulary": 20}
    assert scaling.peak_of_updates(benchmark_of(*settings), sizes, fused=True) > 1e8
    assert prepared == [1]  # machine.num_threads


def test_scaling_has_every_size(settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"sentences a batch": (2, 3), "sentence length": (2, 4), "state size": (4,), "vocabulary": (20, 30)}
    monkeypatch.setattr(scaling, "AXES", small)
    monkeypatch.setattr(scaling, "BASE", {name: values[0] for name, values in small.items()})
    monkeypatch.setattr(scaling, "memory", lambda config, sizes: {"plain_memory": 2e9, "fused_memory": 1e9})
    rows = scaling.scaling(benchmark_of(*settings, "benchmark.rounds=1"))
    assert [(row["axis"], row["value"]) for row in rows] == [(name, n) for name in small for n in small[name]]
    assert all(row["plain"] > 0 and row["fused"] > 0 for row in rows)
    assert len(list(report.describe_scaling(rows))) == 2 + len(rows)
    scaling.plot(rows, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_decoding_is_scored_by_what_was_decoded(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known answer: two contenders, one of which says the references; the faster of its rounds counts."""
    config = benchmark_of(*settings)
    references = (tmp_path / "test.tgt").read_text().splitlines()
    clock = iter([3.0, 2.0, 1.5, 4.0, 1.0, 2.0, 6.0, 3.0])
    contenders: dict[str, decoding.Search] = {
        "right": lambda src: decoding.Searched(next(clock), references, 7),
        "silent": lambda src: decoding.Searched(next(clock), [""] * len(src), 8),
    }
    monkeypatch.setattr(decoding, "searches", lambda *_: contenders)
    rows = decoding.decoding(config, tmp_path)
    assert [(row["beam"], row["name"], row["sentences_per_second"], row["bleu"]) for row in rows] == [
        (1, "right", 6 / 1.5, pytest.approx(100)),
        (1, "silent", 6 / 2.0, 0),
        (5, "right", 6 / 1.0, pytest.approx(100)),
        (5, "silent", 6 / 2.0, 0),
    ]


def test_decoding_is_the_translators(settings: list[str], trained: str, tmp_path: Path) -> None:
    config = benchmark_of(*settings, trained, "machine.precision=bf16")
    assert list(decoding.searches(config, 5, tmp_path)) == ["seq2seq, fp32", "seq2seq, bf16", "seq2seq, int8"]
    lines = (tmp_path / "test.src").read_text().splitlines()
    for precision in ("fp32", "int8"):
        translator = load(tmp_path / "runs" / "r", beam_size=5, precision=precision)
        seconds, translations, _ = decoding.translated(config, 5, precision, lines)
        assert translations == list(map(str, translator.translate(lines)))
        assert seconds > 0


def test_a_process_that_dies_is_said_so(settings: list[str]) -> None:
    config = benchmark_of(*settings)
    worker = Worker(config, variants(config)[0], 10)
    worker._process.kill()
    with pytest.raises(
        ConfigError, match=r"benchmark.sentences=10: the process of 'plain step .*' ended with status -9"
    ):
        worker.round()


def test_batches_are_of_the_size_asked_for(settings: list[str]) -> None:
    batches, sizes = fixed_batches(benchmark_of(*settings), 10)
    assert [len(batch.src) for batch in batches] == [10, 10]
    assert sizes == (16, 16)  # twelve letters, and <pad>, <unk>, <s>, </s>


def test_operations_of_products(settings: list[str]) -> None:
    """Known answer: every product by hand; the backward pass of a product is two of its size."""
    config = benchmark_of(*settings, "attention=luong", "attention.score=general", "model.tie_embeddings=none")
    batch = collate(*[Rows.of([[4, 5, 6]] * 2)] * 2)  # B = 2, S = T = 4
    vocab, e, h, d, m, r = 9, 32, 32, 64, 64, 32
    words = 2 * 4
    encoder = words * 2 * 3 * h * (e + h)
    recurrence = words * (3 * d * (e + m) + 3 * d * d)
    attention = 2 * 5 * (d * m + 4 * m + 4 * m)  # one more than there are words
    output = words * ((d + m) * r + r * vocab)
    forward = 2 * (encoder + 2 * m * d + recurrence + attention + output)
    counted = products_of(config, (vocab, vocab), batch)
    # no gradient goes to the zeros that the encoder starts from
    assert counted == pytest.approx(3 * forward, rel=0.02)


def test_rate_is_that_of_the_fastest_product_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.4, 5.0, 5.2, 8.0, 8.5])  # three products, of 0.4, 0.2 and 0.5 seconds: more than one
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    with FlopCounterMode(display=False) as counter:
        rate = product_rate(FP32, torch.device("cpu"), shape=(4, 16, 8), repeats=9)
    assert rate == pytest.approx(2 * 4 * 16 * 8 / 0.2)
    assert counter.get_total_flops() == 3 * 2 * 4 * 16 * 8
