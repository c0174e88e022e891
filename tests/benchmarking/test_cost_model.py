"""The cost model: it finds the numbers that made-up points were made with."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarking.cost_model import PARAMETERS, Cost, fit, sent, table
from benchmarking.processes import Point

COST = Cost(per_token=4e-4, per_update=0.03, slowed=1.2, latency=0.002, bandwidth=1.5e9)


def points() -> list[Point]:
    shapes = [
        Point(processes, beside, size, rate, bits, 0.8 * size, 0.0)
        for size in (800, 3200)
        for processes, beside, rate, bits in [
            (1, 0, 0, 32),
            (1, 1, 0, 32),
            (2, 0, 0, 32),
            (2, 0, 0, 16),
            (2, 0, 100, 32),
        ]
    ]
    return [point._replace(seconds=COST.seconds(point)) for point in shapes]


def test_the_fit_finds_what_the_points_were_made_with() -> None:
    assert np.allclose(fit(points()), COST)


def test_an_update_costs_what_the_formula_says() -> None:
    point = Point(2, 0, 800, 100, 16, 640.0, 0.0)
    assert sent(point) == 2 * PARAMETERS  # of a ring of two, each sends everything once
    expected = 1.2 * (4e-4 * 320 + 0.03) + 0.002 + 2 * PARAMETERS * 8 / 100e6
    assert COST.seconds(point) == pytest.approx(expected)


def test_costs_are_not_negative_however_noisy_the_points() -> None:
    noisy = [p._replace(seconds=p.seconds * (0.5 if p.bits == 32 and p.processes > 1 else 1)) for p in points()]
    assert min(fit(noisy)) >= 0


def test_the_table_has_a_row_for_each_point() -> None:
    lines = table(points(), COST).splitlines()
    assert len(lines) == 2 + len(points())
    assert (
        lines[-1]
        == f"| 2 | 0 | 3200 | 100 | 32 | 2560 | {points()[-1].seconds:.3f} | {points()[-1].seconds:.3f} |"
    )
