"""Measure speed: python scripts/benchmark.py [--quick] [benchmark.peers=[opennmt,…]] [KEY=VALUE ...]."""

import sys

from benchmarking.settings import BenchmarkConfig, check_benchmark, help_text

from seq2seq.commands import frame
from seq2seq.commands.output import process, say


def main(settings: BenchmarkConfig) -> None:
    check_benchmark(settings)
    from benchmarking import quick, report

    say(quick.line(settings) if settings.benchmark.quick else report.run(settings))


if __name__ == "__main__":
    with process():
        if {"-h", "--help"} & set(sys.argv):
            say("\n".join([f"{__doc__}\n", *help_text(), "", "All settings of `seq2seq train` can be given too."]))
        else:
            sys.argv = ["benchmark.quick=true" if word == "--quick" else word for word in sys.argv]
            frame.run("benchmark", main, BenchmarkConfig)
