"""Schedules by known answers, the moving average against a plain loop."""

import json
import math

import pytest
import torch
from torch import nn

from seq2seq.settings.schema import OptimizerConfig, PlateauConfig, ScheduleConfig
from seq2seq.training.optim import (
    OPTIMIZERS,
    Constant,
    Ema,
    InverseSqrt,
    Linear,
    Plateau,
    mean_of,
    new_optimizer,
    set_lr,
)


def constant(warmup: int = 0, total: int = 100, kind: type[Constant] = Constant) -> Constant:
    return kind(ScheduleConfig("", warmup), 1.0, total)


def inverse_sqrt(warmup: int) -> Constant:
    return constant(warmup, kind=InverseSqrt)


def linear(total: int, warmup: int) -> Constant:
    return constant(warmup, total, Linear)


def plateau_of(metric: str, factor: float, patience: int, min_lr: float = 0.0, warmup_steps: int = 0) -> Plateau:
    settings = PlateauConfig(
        metric=metric, factor=factor, patience=patience, min_lr=min_lr, warmup_steps=warmup_steps
    )
    return Plateau(settings, 1.0, 100)


def factors(schedule: Constant, *steps: int) -> list[float]:
    return [schedule.factor(step) for step in steps]


def test_constant_after_a_linear_warmup() -> None:
    assert factors(constant(), 1, 2, 1000) == [1, 1, 1]
    assert factors(constant(4), 1, 2, 3, 4, 5, 1000) == [0.25, 0.5, 0.75, 1, 1, 1]


def test_inverse_square_root() -> None:
    assert factors(inverse_sqrt(100), 1, 50, 100, 400, 10_000) == pytest.approx([0.01, 0.5, 1, 0.5, 0.1])
    assert factors(inverse_sqrt(1), 1, 4) == [1, 0.5]
    assert max(factors(inverse_sqrt(7), *range(1, 50))) == inverse_sqrt(7).factor(7) == 1


def test_inverse_square_root_is_the_papers_up_to_a_constant() -> None:
    warmup = 12
    for step in range(1, 60):
        paper = min(step**-0.5, step * warmup**-1.5)
        assert inverse_sqrt(warmup).factor(step) == pytest.approx(paper * math.sqrt(warmup))


def test_linear_falls_to_nothing_after_the_last_update() -> None:
    assert factors(linear(10, 0), 1, 6, 10, 11) == pytest.approx([1.0, 0.5, 0.1, 0.0])
    assert factors(linear(10, 5), 1, 5, 8, 10, 11, 99) == pytest.approx([0.2, 1, 0.5, 1 / 6, 0, 0])
    assert factors(linear(3, 10), 1, 3, 4) == pytest.approx([0.1, 0.3, 0])


def after_validations(schedule: Constant, metric: str, values: list[float]) -> list[float]:
    shown = []
    for value in values:
        schedule.on_validation({metric: value, "other": 0.0})
        shown.append(schedule.factor(1))
    return shown


def test_plateau_waits_and_decays() -> None:
    losses = [3.0, 2.0, 2.5, 2.0, 2.1, 1.9, 2.0, 2.0, 2.0, 2.0]
    #         best best wait  ↓    wait best wait  ↓    wait  ↓
    expected = [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert after_validations(plateau_of("loss", factor=0.5, patience=1), "loss", losses) == expected


def test_plateau_without_patience_decays_at_once_down_to_the_least() -> None:
    plateau = plateau_of("loss", factor=0.5, patience=0, min_lr=0.2)
    assert after_validations(plateau, "loss", [1.0] * 5) == [1, 0.5, 0.25, 0.2, 0.2]


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_plateau_knows_that_higher_scores_are_better(metric: str) -> None:
    assert after_validations(plateau_of(metric, 0.5, 0), metric, [10, 20, 20, 15, 30]) == [1, 1, 0.5, 0.25, 0.25]


def test_not_a_number_is_no_improvement() -> None:
    assert after_validations(plateau_of("loss", 0.5, 0), "loss", [2.0, math.nan, 1.0, math.nan]) == [
        1,
        0.5,
        0.5,
        0.25,
    ]


def test_plateau_warms_up_too() -> None:
    plateau = plateau_of("loss", 0.5, 0, warmup_steps=4)
    assert factors(plateau, 1, 4, 9) == [0.25, 1, 1]
    after_validations(plateau, "loss", [1.0, 1.0])
    assert factors(plateau, 1, 4, 9) == [0.125, 0.5, 0.5]


@pytest.mark.parametrize("stop", range(9))
def test_plateau_resumes_from_its_state(stop: int) -> None:
    losses = [3.0, 3.0, 3.0, 2.5, 2.5, 2.6, 2.5, 2.0, 2.0]
    through = after_validations(plateau_of("loss", 0.5, 1), "loss", losses)
    first, second = plateau_of("loss", 0.5, 1), plateau_of("loss", 0.5, 1)
    before = after_validations(first, "loss", losses[:stop])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + after_validations(second, "loss", losses[stop:]) == through


@pytest.mark.parametrize("schedule", [constant(3), inverse_sqrt(3), linear(9, 3)])
def test_the_others_have_no_state(schedule: Constant) -> None:
    before = factors(schedule, 1, 5)
    schedule.on_validation({"loss": 1.0})
    assert schedule.state_dict() == {}
    schedule.load_state_dict({})
    assert factors(schedule, 1, 5) == before


def test_set_lr_reaches_every_group() -> None:
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = OPTIMIZERS["adamw"]([{"params": [a]}, {"params": [b], "lr": 5.0}], lr=1.0)
    set_lr(optimizer, 0.25)
    a.grad, b.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == pytest.approx((-0.25, -0.25))  # Adam's first step is the rate


def test_moving_average_equals_a_plain_loop() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    ema = Ema(model, decay=0.5)
    average = [p.flatten().tolist() for p in model.parameters()]
    for step in range(1, 20):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
        ema.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))  # 2/11, 3/12, … 9/18, 0.5, …
        for old, p in zip(average, model.parameters(), strict=True):
            new = p.flatten().tolist()
            old[:] = [decay * x + (1 - decay) * y for x, y in zip(old, new, strict=True)]
    for ours, theirs in zip(ema.weights, average, strict=True):
        assert ours.flatten().tolist() == pytest.approx(theirs, abs=1e-12)


def test_swapping_twice_changes_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    ema = Ema(model, decay=0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    parameters = list(model.parameters())
    weights = [p.detach().clone() for p in parameters]
    averages = [a.clone() for a in ema.weights]
    ema.swap(model)
    assert all(torch.equal(p, a) for p, a in zip(model.parameters(), averages, strict=True))
    assert all(torch.equal(a, w) for a, w in zip(ema.weights, weights, strict=True))
    assert not torch.equal(model.weight, weights[0])
    ema.swap(model)
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(ema.weights, averages, strict=True))
    assert all(p is q for p, q in zip(model.parameters(), parameters, strict=True))  # the optimizer's own


def test_a_tied_matrix_is_averaged_and_swapped_once() -> None:
    embedding, output = nn.Embedding(3, 2), nn.Linear(2, 3, bias=False)
    output.weight = embedding.weight
    model = nn.ModuleList([embedding, output])
    ema = Ema(model, decay=0.0)
    with torch.no_grad():
        embedding.weight.fill_(4.0)
    ema.swap(model)
    assert len(ema.weights) == 1
    assert output.weight is embedding.weight
    assert torch.equal(ema.weights[0], torch.full((3, 2), 4.0))


def test_mean_of_weights() -> None:
    states = [{"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(x)} for x in (0.0, 1.0, 5.0)]
    states[2]["a"] = torch.tensor([4.0, -1.0])
    mean = mean_of(iter(states))
    assert mean.keys() == {"a", "b"}
    assert mean["a"].tolist() == [2, 1]
    assert mean["b"].item() == 2
    assert states[0]["a"].tolist() == [1, 2]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_that_is_not_finite_changes_nothing(name: str) -> None:
    """``found_inf`` skips it in the optimizer itself, weights, moments and step; only fused ones know it."""
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.randn(5))
    optimizer = new_optimizer([parameter], OptimizerConfig(name=name, lr=0.1, weight_decay=0.1))
    history = []
    for gradient in (1.0, torch.inf, 1.0):
        parameter.grad = torch.full((5,), gradient)
        optimizer.found_inf = torch.tensor(float(not math.isfinite(gradient)))  # type: ignore[attr-defined]
        optimizer.step()
        state = {key: value.clone() for key, value in optimizer.state[parameter].items()}
        history.append({"weight": parameter.detach().clone(), **state})
    first, second, third = history
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(second[key], third[key]) for key in ("weight", "exp_avg", "exp_avg_sq", "step"))
