"""The benchmark on a toy task: that it measures what it says. How fast things are is no test."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import torch
from benchmarking import decoding, opennmt, report, scaling
from benchmarking.settings import BenchmarkConfig, check_benchmark
from benchmarking.training import Worker, contenders, fixed_batches, product_rate, products_of
from hydra import compose, initialize_config_dir
from reversals import new_trainer, overrides, write_reversals

from seq2seq.commands import frame
from seq2seq.data.batch import collate
from seq2seq.errors import ConfigError
from seq2seq.machine import FP32
from seq2seq.settings.compose import load_settings, register_schemas


def benchmark_of(*given: str) -> BenchmarkConfig:
    register_schemas(benchmark=BenchmarkConfig)
    with initialize_config_dir(str(frame.CONFIGS), version_base="1.3"):
        settings = load_settings(compose("benchmark", list(given)), BenchmarkConfig)
    check_benchmark(settings)
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    data = write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 6})
    small = ["sentences=10", "batches=2", "rounds=2", f"output={tmp_path / 'out'}"]
    return overrides(data, "schedule.warmup_steps=0", *(f"benchmark.{each}" for each in small))


FAKE_PEER = """#!/bin/sh
echo "Step  2/    6; acc: 1.0; bsz: 10/12/4; 90/ 100 tok/s; 1 sec;"
echo "Step  6/    6; acc: 2.0; bsz: 10/12/4; 180/ 200 tok/s; 2 sec;" >&2
exit {status}
"""


FAKE_TRANSLATE = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in -src) src=$2 ;; -output) output=$2 ;; -beam_size) beam=$2 ;; esac
    shift
done
cp "$src" "$output"
echo "Total translation time (s): 0.$beam"
exit {status}
"""


def fake_peer(directory: Path, status: int = 0) -> str:
    directory.mkdir()
    for name, text in (("onmt_train", FAKE_PEER), ("onmt_translate", FAKE_TRANSLATE)):
        command = directory / name
        command.write_text(text.replace("{status}", str(status)), encoding="utf-8")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return f"benchmark.peer_bin={directory}"


def test_everyone_takes_part_in_every_round(settings: list[str], tmp_path: Path) -> None:
    config = benchmark_of(*settings, "benchmark.peer=opennmt", fake_peer(tmp_path / "bin"))
    text = report.run(config)
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    rows = {row["name"]: row for row in written["training"]}
    assert len(rows) >= 4
    for row in rows.values():
        assert len(row["rounds"]) == 2
        assert row["tokens_per_second"] > 0
        assert row["peak_memory"] > (-1 if row["name"] == "OpenNMT-py" else 1e8)  # the fake peer is gone at once
        assert f"{row['tokens_per_second']:,.0f}" in text
    assert rows["OpenNMT-py"]["rounds"] == [200.0, 200.0]
    assert 0 < rows["fused, fp32"]["share_of_limit"] < 1.5
    assert len(written["vocabulary"]) == 2
    assert 0 < written["seconds_to_first_update"] < 120
    pieces = (tmp_path / "out" / "opennmt" / "train.tgt").read_text().splitlines()
    assert len(pieces) == 60


def test_memory_is_of_a_process_of_its_own(settings: list[str]) -> None:
    hundreds_of_megabytes = torch.ones(2**29)  # here, so not there
    sizes = {"sentences a batch": 2, "sentence length": 3, "state size": 4, "vocabulary": 20}
    found = scaling.memory(benchmark_of(*settings), sizes)
    assert hundreds_of_megabytes[0] == 1
    assert all(1e8 < found[f"{name}_memory"] < 1e9 for name in ("plain", "fused"))


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


@pytest.fixture
def trained(settings: list[str], tmp_path: Path) -> str:
    training = [each for each in settings if not each.startswith(("benchmark.", "schedule."))]
    new_trainer(*training, "trainer.max_steps=1", "name=r").train()
    return f"benchmark.run={tmp_path / 'runs' / 'r'}"


def test_decoding_is_scored_by_what_was_decoded(settings: list[str], trained: str, tmp_path: Path) -> None:
    config = benchmark_of(*settings, trained, "machine.precision=bf16")
    found = decoding.decoding(config, tmp_path)
    names = ["seq2seq, fp32", "seq2seq, bf16", "seq2seq, int8"]
    assert [(row["beam"], row["name"]) for row in found] == [(beam, name) for beam in (1, 5) for name in names]
    assert all(row["sentences_per_second"] > 0 and 0 <= row["bleu"] <= 100 for row in found)


def test_decoding_beside_the_peer(settings: list[str], trained: str, tmp_path: Path) -> None:
    config = benchmark_of(*settings, trained, fake_peer(tmp_path / "bin"), "benchmark.peer_model=m.pt")
    found = decoding.decoding(config, tmp_path)
    peers = [row for row in found if row["name"] == "OpenNMT-py"]
    assert [row["sentences_per_second"] for row in peers] == [pytest.approx(60.0), pytest.approx(12.0)]
    assert (tmp_path / "opennmt" / "test.src").read_text(encoding="utf-8").count("\n") == 6
    assert any("OpenNMT-py | 60 | 1.00 |" in line for line in report.describe_decoding(found))


def test_a_peer_that_fails_to_translate_is_said_so(settings: list[str], trained: str, tmp_path: Path) -> None:
    config = benchmark_of(*settings, trained, fake_peer(tmp_path / "bin", 1), "benchmark.peer_model=m.pt")
    with pytest.raises(ConfigError, match=r"benchmark.peer_model=m.pt: translating failed; see .*translate.log"):
        decoding.decoding(config, tmp_path)


def test_a_peers_model_needs_a_run(settings: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"benchmark.peer_model=m.pt: needs benchmark.run"):
        benchmark_of(*settings, "benchmark.peer_model=m.pt")


def test_a_failing_peer_is_said_so(settings: list[str], tmp_path: Path) -> None:
    peer = opennmt.OpenNMT(
        benchmark_of(*settings, "benchmark.peer=opennmt", fake_peer(tmp_path / "bin", 1)), tmp_path / "peer"
    )
    with pytest.raises(ConfigError, match=r"benchmark.peer=opennmt: .* failed; see .*train.log"):
        peer.round()


def test_a_process_that_dies_is_said_so(settings: list[str]) -> None:
    config = benchmark_of(*settings)
    worker = Worker(config, contenders(config)[0])
    worker._process.kill()
    with pytest.raises(
        ConfigError, match=r"benchmark.sentences=10: the process of 'plain step .*' ended with status -9"
    ):
        worker.round()


def test_a_missing_peer_is_said_so(settings: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmark.peer_bin=nowhere: no onmt_train there"):
        opennmt.OpenNMT(benchmark_of(*settings, "benchmark.peer_bin=nowhere"), tmp_path)


def test_batches_are_of_the_size_asked_for(settings: list[str]) -> None:
    batches, sizes = fixed_batches(benchmark_of(*settings))
    assert [len(batch.src) for batch in batches] == [10, 10]
    assert all(size > 12 for size in sizes)


def test_operations_of_products(settings: list[str]) -> None:
    """Known answer: every product by hand; the backward pass of a product is two of its size."""
    config = benchmark_of(*settings, "attention=luong", "attention.score=general", "model.tie_embeddings=none")
    batch = collate([[4, 5, 6]] * 2, [[4, 5, 6]] * 2)  # B = 2, S = T = 4
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


def test_rate_is_of_a_real_product() -> None:
    assert 1e8 < product_rate(FP32, torch.device("cpu"), size=128) < 1e14
