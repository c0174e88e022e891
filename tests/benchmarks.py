"""The settings of a benchmark, as its command composes them."""

from __future__ import annotations

from benchmarking.settings import BenchmarkConfig, check_benchmark
from hydra import compose, initialize_config_dir

from seq2seq.commands import frame
from seq2seq.settings.compose import load_settings, register_schemas


def benchmark_of(*given: str) -> BenchmarkConfig:
    register_schemas(benchmark=BenchmarkConfig)
    with initialize_config_dir(str(frame.CONFIGS), version_base="1.3"):
        settings = load_settings(compose("benchmark", list(given)), BenchmarkConfig)
    check_benchmark(settings)
    return settings
