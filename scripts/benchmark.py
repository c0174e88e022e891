"""Measure speed and memory: python scripts/benchmark.py [benchmark.peer=opennmt ...] [KEY=VALUE ...]."""

import sys

from seq2seq import cli
from seq2seq.config import BenchmarkConfig


def main(settings: BenchmarkConfig) -> None:
    from seq2seq.benchmark import report

    cli.log_to(sys.stderr)
    print(report.run(settings))


if __name__ == "__main__":
    cli.run(main, BenchmarkConfig)
