"""What an update costs: a model with five numbers, fitted to measured points, and what it says of larger machines.

    seconds = slowed · per_token · tokens / n  +  per_update  +  exchange(n, bits, bandwidth)
    exchange = 2 (n - 1) / n · bits / 8 · parameters / bandwidth + latency      (a ring; Patarasuk and Yuan, 2009)

``slowed`` is what two trainings on the same machine cost each other without exchanging anything.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarking.processes import Point, measured
from seq2seq.processor import processor_name

PARAMETERS = 7_649_600  # of multi30k_de_en_luong


class Cost(NamedTuple):
    """The fitted numbers: seconds, a factor, and bytes a second within one host."""

    per_token: float
    per_update: float
    slowed: float
    latency: float  # of an exchange: seconds whatever the size
    bandwidth: float

    def seconds(self, point: Point) -> float:
        """What the model says that an update of ``point`` takes."""
        together = point.processes * (point.beside + 1) > 1
        computing = (self.slowed if together else 1.0) * (
            self.per_token * point.tokens / point.processes + self.per_update
        )
        if point.processes == 1:
            return computing
        return computing + self.latency + sent(point) / (point.rate * 1e6 / 8 if point.rate else self.bandwidth)


def sent(point: Point) -> float:
    """Bytes that each process sends in an exchange, and receives."""
    return 2 * (point.processes - 1) / point.processes * point.bits / 8 * PARAMETERS


def fit(points: Sequence[Point]) -> Cost:
    """Least squares of relative errors: first what is computed, then what is exchanged within a host."""
    alone = [point for point in points if point.processes == 1 and not point.beside]
    per_token, per_update = _least_squares([(p.tokens, 1.0) for p in alone], [p.seconds for p in alone])
    cost = Cost(per_token, per_update, 1.0, 0.0, np.inf)
    slowed = np.mean([p.seconds / cost.seconds(p) for p in points if p.beside])
    cost = cost._replace(slowed=float(slowed))
    near = [p for p in points if p.processes > 1 and not p.rate]
    left = [max(p.seconds - cost.seconds(p), 0.0) for p in near]
    per_byte, latency = _least_squares([(sent(p), 1.0) for p in near], left)
    return cost._replace(latency=latency, bandwidth=1 / per_byte if per_byte else np.inf)


def _least_squares(rows: Sequence[tuple[float, float]], values: Sequence[float]) -> tuple[float, float]:
    """Two factors that are not negative."""
    matrix, target = np.array(rows), np.array(values)
    first, second = np.linalg.lstsq(matrix, target, rcond=None)[0]
    if first >= 0 and second >= 0:
        return float(first), float(second)
    only = 0 if second < 0 else 1
    factor = float(matrix[:, only] @ target / (matrix[:, only] @ matrix[:, only]))
    return (factor, 0.0) if only == 0 else (0.0, factor)


def table(points: Sequence[Point], cost: Cost) -> str:
    """Measured and modelled seconds of each point, in Markdown."""
    lines = [
        "| processes | beside | batch_tokens | Mbit/s | bits | tokens an update | measured, s | model, s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for point in points:
        cells = [point.processes, point.beside, point.batch_tokens, point.rate or "", point.bits]
        times = f"{point.tokens:.0f} | {point.seconds:.3f} | {cost.seconds(point):.3f}"
        lines.append(f"| {' | '.join(map(str, cells))} | {times} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path, help="JSON file of the points: read, or written with --measure")
    parser.add_argument("--measure", metavar="DIR", help="measure them on Multi30k in DIR (root, iproute2)")
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[800, 3200])
    parser.add_argument("--rates", type=int, nargs="*", default=[1000, 100], help="megabits a second")
    parser.add_argument("--updates", type=int, default=30)
    arguments = parser.parse_args()
    if arguments.measure:
        rows = []
        for point in measured(arguments.measure, arguments.batch_tokens, arguments.rates, arguments.updates):
            print(point, flush=True)
            rows.append(point._asdict())
            arguments.points.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    points = [Point(**row) for row in json.loads(arguments.points.read_text(encoding="utf-8"))]
    cost = fit(points)
    print(processor_name())
    print(cost)
    print(table(points, cost))
