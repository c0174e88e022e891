"""Measure speed and memory: python scripts/benchmark.py [benchmark.peer=opennmt ...] [KEY=VALUE ...]."""

import sys

from benchmarking.settings import BenchmarkConfig, check_benchmark

from seq2seq.commands import frame
from seq2seq.commands.output import process


def main(settings: BenchmarkConfig) -> None:
    check_benchmark(settings)
    from benchmarking import report

    frame.log_to(sys.stderr)
    print(report.run(settings))


if __name__ == "__main__":
    with process():
        frame.run("benchmark", main, BenchmarkConfig)
