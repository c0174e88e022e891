"""The benchmark on a toy task: that it measures what it says. How fast things are is no test."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from benchmarking import decoding, opennmt, report, scaling, training
from benchmarking.settings import BenchmarkConfig, check_benchmark
from benchmarking.training import Worker, fixed_batches, products_of, variants
from hydra import compose, initialize_config_dir
from reversals import new_trainer, overrides, write_reversals
from torch.utils.flop_counter import FlopCounterMode

from seq2seq.build.inference import load
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
    return overrides(data, "schedule.warmup_steps=0", *(f"benchmark.{setting}" for setting in small))


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


@pytest.mark.system
def test_everyone_takes_part_in_every_round(settings: list[str], tmp_path: Path) -> None:
    config = benchmark_of(*settings, "benchmark.peer=opennmt", fake_peer(tmp_path / "bin"))
    text = report.run(config)
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    rows = {row["name"]: row for row in written["training"]}
    assert list(rows) == [*(variant.name for variant in variants(config)), "OpenNMT-py"]
    for row in rows.values():
        assert len(row["rounds"]) == 2
        assert row["tokens_per_second"] > 0
        assert f"{row['tokens_per_second']:,.0f}" in text
    assert rows.pop("OpenNMT-py")["rounds"] == [200.0, 200.0]
    assert min(row["peak_memory"] for row in rows.values()) > 1e8
    assert 0 < rows["fused, fp32"]["share_of_limit"] < 1.5
    assert len(written["vocabulary"]) == 2
    assert 0 < written["seconds_to_first_update"] < 120
    pieces = (tmp_path / "out" / "opennmt" / "train.tgt").read_text().splitlines()
    assert len(pieces) == 60


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


@pytest.fixture
def trained(settings: list[str], tmp_path: Path) -> str:
    training = [setting for setting in settings if not setting.startswith(("benchmark.", "schedule."))]
    new_trainer(*training, "trainer.max_steps=1", "name=r").train()
    return f"benchmark.run={tmp_path / 'runs' / 'r'}"


def test_decoding_is_scored_by_what_was_decoded(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known answer: two contenders, one of which says the references; the faster of its rounds counts."""
    config = benchmark_of(*settings)
    references = (tmp_path / "test.tgt").read_text().splitlines()
    clock = iter([3.0, 2.0, 1.5, 4.0, 1.0, 2.0, 6.0, 3.0])
    contenders: dict[str, decoding.Search] = {
        "right": lambda src: decoding.Searched(next(clock), references),
        "silent": lambda src: decoding.Searched(next(clock), [""] * len(src)),
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
    searches = decoding.searches(config, 5, tmp_path)
    assert list(searches) == ["seq2seq, fp32", "seq2seq, bf16", "seq2seq, int8"]
    lines = (tmp_path / "test.src").read_text().splitlines()
    for name, search in searches.items():
        translator = load(tmp_path / "runs" / "r", beam_size=5, precision=name.rpartition(" ")[2])
        seconds, translations = search(lines)
        assert translations == list(map(str, translator.translate(lines)))
        assert seconds > 0


def test_decoding_beside_the_peer(settings: list[str], trained: str, tmp_path: Path) -> None:
    config = benchmark_of(*settings, trained, fake_peer(tmp_path / "bin"), "benchmark.peer_model=m.pt")
    rows = decoding.decoding(config, tmp_path)
    peers = [row for row in rows if row["name"] == "OpenNMT-py"]
    assert [row["sentences_per_second"] for row in peers] == [pytest.approx(60.0), pytest.approx(12.0)]
    assert (tmp_path / "opennmt" / "test.src").read_text(encoding="utf-8").count("\n") == 6
    assert any("OpenNMT-py | 60 | 1.00 |" in line for line in report.describe_decoding(rows))


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
    worker = Worker(config, variants(config)[0])
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
    assert sizes == (16, 16)  # twelve letters, and <pad>, <unk>, <s>, </s>


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


def test_rate_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 5.0, 7.0, 8.0, 11.0])  # three products, of 4, 2 and 3 seconds
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    with FlopCounterMode(display=False) as counter:
        rate = training.product_rate(FP32, torch.device("cpu"), size=16, repeats=3)
    assert rate == 2 * 16**3 / 2.0
    assert counter.get_total_flops() == 3 * 2 * 16**3
