"""Which precision is chosen: by rates measured here, by those on file, and on resuming."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from seq2seq.build import precision as choosing
from seq2seq.build.precision import LIBRARY_GAIN, Shape, cache_path, search_precision, shapes, training_precision
from seq2seq.errors import ConfigError
from seq2seq.precision import FP32, Precision
from seq2seq.settings.schema import MachineConfig, ModelConfig

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
AUTO = MachineConfig()
LARGE = [Shape(64, 128, 256, 2)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(choosing, "SECONDS", 0.0005)
    return tmp_path


def rates(monkeypatch: pytest.MonkeyPatch, **measured: float) -> list[int]:
    """Let the processor have these rates; the list grows with each measurement."""
    calls: list[int] = []

    def measure(products: object, kinds: dict[str, object]) -> dict[str, float]:
        calls.append(1)
        return {name: measured[name.replace(" by ", "_")] for name in kinds}

    monkeypatch.setattr(choosing, "_measured", measure)
    return calls


@pytest.mark.parametrize(
    ("exact", "other", "low", "chosen"),
    [
        (160, 150, 20, Precision("fp32", packed=False)),
        (110, 160, 20, Precision("fp32", packed=True)),
        (160, 170, 400, Precision("bf16")),
        (160, 340, 400, Precision("fp32", packed=True)),
        (300, 301, 310, Precision("fp32", packed=False)),
    ],
)
def test_the_fastest_products_are_chosen(
    monkeypatch: pytest.MonkeyPatch, exact: float, other: float, low: float, chosen: Precision
) -> None:
    rates(monkeypatch, fp32=exact * 1e9, fp32_oneDNN=other * 1e9, bf16=low * 1e9)
    best = training_precision(AUTO, CPU, LARGE)
    assert best.state_dict() == chosen.state_dict()
    assert all(f" {rate}" in best.reason for rate in (exact, other, low))
    exactly = training_precision(MachineConfig(precision="fp32"), CPU, LARGE)
    assert (exactly.name, exactly.packed) == ("fp32", other > LIBRARY_GAIN * exact)


def test_rates_are_measured_once_for_a_processor_and_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = rates(monkeypatch, fp32=1e9, fp32_oneDNN=1e9, bf16=2e9, int8=4e9)
    for _ in range(2):
        training_precision(AUTO, CPU, LARGE)
    assert len(calls) == 1
    training_precision(AUTO, CPU, [Shape(64, 128, 257, 2)])  # another model
    assert len(calls) == 2
    training_precision(MachineConfig(measure_again=True), CPU, LARGE)
    assert len(calls) == 3
    search_precision(AUTO, CPU, LARGE, {})
    assert len(calls) == 4
    assert len(json.loads(cache_path().read_text())) == 3
    monkeypatch.setattr(choosing, "processor_name", lambda: "another")
    training_precision(AUTO, CPU, LARGE)
    assert len(calls) == 5


def test_real_products_are_measured_and_draw_no_random_numbers() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    training_precision(AUTO, CPU, LARGE)
    search_precision(AUTO, CPU, LARGE, {})
    assert torch.equal(torch.get_rng_state(), state)
    (training, search) = json.loads(cache_path().read_text()).values()
    assert list(training) == ["fp32", "fp32 by oneDNN", "bf16"]
    assert list(search) == ["fp32", "bf16", "int8"]
    assert all(1e6 < rate < 1e15 for rate in (*training.values(), *search.values()))


def test_a_small_model_is_not_measured() -> None:
    assert training_precision(AUTO, CPU, shapes(ModelConfig(encoder_size=8, decoder_size=16, readout_size=8), 90))
    assert not cache_path().exists()


def test_rates_that_are_incomplete_are_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rates(monkeypatch, fp32=1e9, fp32_oneDNN=1e9, bf16=2e9)
    training_precision(AUTO, CPU, LARGE)
    key = next(iter(json.loads(cache_path().read_text())))
    cache_path().write_text(json.dumps({key: {"fp32": 1e9}}))
    assert training_precision(AUTO, CPU, LARGE).name == "bf16"


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 3}', '{"a": {"fp32": "x"}}', "\udcff"])
def test_a_damaged_file_of_rates_is_replaced(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    rates(monkeypatch, fp32=1e9, fp32_oneDNN=1e9, bf16=2e9)
    cache_path().parent.mkdir(parents=True)
    cache_path().write_text(content, errors="surrogateescape")
    assert training_precision(AUTO, CPU, LARGE).name == "bf16"
    assert len(json.loads(cache_path().read_text())) == 1


def test_a_home_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    rates(monkeypatch, fp32=1e9, fp32_oneDNN=1e9, bf16=2e9)
    (home / "cache").write_text("a file")
    assert training_precision(AUTO, CPU, LARGE).name == "bf16"


def test_resuming_keeps_the_precision_and_says_what_is_faster(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rates(monkeypatch, fp32=160e9, fp32_oneDNN=170e9, bf16=400e9)
    so_far = {"name": "fp32", "packed": False}
    kept = training_precision(AUTO, CPU, LARGE, so_far)
    assert kept.state_dict() == so_far
    assert "goes on in fp32" in caplog.text
    assert "machine.precision=bf16 would change it" in caplog.text
    assert training_precision(MachineConfig(precision="fp32"), CPU, LARGE, so_far).state_dict() == so_far
    assert training_precision(MachineConfig(precision="bf16"), CPU, LARGE, so_far).name == "bf16"
    assert "goes on in bf16, as asked for" in caplog.text
    assert training_precision(AUTO, CPU, LARGE, {"name": "fp16", "packed": False}).name == "bf16"  # from a GPU


def test_search_takes_the_fastest_that_is_as_good_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    rates(monkeypatch, fp32=160e9, bf16=400e9, int8=800e9)
    for losses, name in [
        ({}, "fp32"),
        ({"int8": 0.1, "bf16": 0.0}, "int8"),
        ({"int8": 0.11, "bf16": -0.3}, "bf16"),
        ({"int8": 0.5}, "fp32"),
    ]:
        assert search_precision(AUTO, CPU, LARGE, losses).name == name
    rates(monkeypatch, fp32=160e9, bf16=20e9, int8=180e9)
    again = MachineConfig(measure_again=True)
    assert search_precision(again, CPU, LARGE, {"int8": 0.0, "bf16": 0.0}).name == "fp32"
    for rate, beside in [(20e9, "fp32"), (400e9, "bf16")]:
        rates(monkeypatch, fp32=160e9, bf16=rate, int8=800e9)
        asked = MachineConfig(precision="int8", measure_again=True)
        assert search_precision(asked, CPU, LARGE, {}) == Precision("int8", beside=beside)


@pytest.mark.parametrize(
    ("bf16", "capability", "name"), [(True, (9, 0), "bf16"), (False, (7, 5), "fp16"), (False, (6, 1), "fp32")]
)
def test_auto_asks_the_gpu(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, capability: tuple[int, int], name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert training_precision(AUTO, CUDA, LARGE).name == name
    assert search_precision(AUTO, CUDA, LARGE, {}).name == name


def test_what_a_device_cannot_do_is_refused() -> None:
    assert training_precision(MachineConfig(precision="fp16"), CUDA, LARGE).dtype == torch.float16
    with pytest.raises(ConfigError, match=r"machine.precision=fp16 is for GPUs"):
        training_precision(MachineConfig(precision="fp16"), CPU, LARGE)
    with pytest.raises(ConfigError, match=r"machine.precision=int8 is for CPUs"):
        search_precision(MachineConfig(precision="int8"), CUDA, LARGE, {})
    assert FP32.dtype == torch.float32
