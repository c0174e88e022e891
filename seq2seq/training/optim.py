"""Optimizers, learning-rate schedules and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from seq2seq.settings.schema import OptimizerConfig, PlateauConfig, ScheduleConfig
from seq2seq.training.state import higher_is_better, require_keys

OPTIMIZERS: dict[str, type[Adam]] = {"adam": Adam, "adamw": AdamW}


def new_optimizer(parameters: Iterable[nn.Parameter], settings: OptimizerConfig) -> Optimizer:
    """A fused optimizer, so that ``found_inf`` can skip an update without waiting for the device."""
    return OPTIMIZERS[settings.name](
        parameters,
        lr=settings.lr,
        betas=(settings.betas[0], settings.betas[1]),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def warmup(step: int, warmup_steps: int) -> float:
    """A linear rise to 1 at ``warmup_steps``."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0


class Constant:
    """The learning rate of each update, as a factor of the optimizer's own: 1 after the warm-up."""

    saved: ClassVar[tuple[str, ...]] = ()
    """The attributes that change in training."""

    def __init__(self, settings: ScheduleConfig, lr: float, total_steps: int) -> None:
        """``lr`` is the optimizer's rate, ``total_steps`` the number of updates of the whole run."""
        self.warmup_steps = settings.warmup_steps
        self.total_steps = total_steps

    def factor(self, step: int) -> float:
        """For update ``step``, counted from 1."""
        return warmup(step, self.warmup_steps)

    def on_validation(self, metrics: dict[str, float]) -> None:
        """Called after each validation, with its ``metrics``."""

    def state_dict(self) -> dict[str, Any]:
        """The state that ``load_state_dict`` resumes from."""
        return {name: getattr(self, name) for name in self.saved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from ``state``."""
        require_keys(state, self.saved, "schedule")
        for name in self.saved:
            setattr(self, name, state[name])


class InverseSqrt(Constant):
    """√(warm-up / step) after the warm-up (Vaswani et al., 2017, section 5.3)."""

    def factor(self, step: int) -> float:
        """1 at the end of the warm-up, then falling."""
        return min(step / self.warmup_steps, math.sqrt(self.warmup_steps / step))


class Linear(Constant):
    """A linear fall to 0 after the warm-up (Defazio et al., 2023, "When, why and how much?")."""

    def factor(self, step: int) -> float:
        """1 at the end of the warm-up; more than 0 up to the last update."""
        end, peak = self.total_steps + 1, max(1, self.warmup_steps)
        return min(warmup(step, self.warmup_steps), max(0.0, (end - step) / max(1, end - peak)))


class Plateau(Constant):
    """Multiplied by a factor whenever a metric has not improved for more than ``patience`` validations."""

    saved = ("current", "best", "waited")

    def __init__(self, settings: PlateauConfig, lr: float, total_steps: int) -> None:
        super().__init__(settings, lr, total_steps)
        self.settings = settings
        self.min_factor = settings.min_lr / lr
        self.current, self.best, self.waited = 1.0, -math.inf, 0

    def factor(self, step: int) -> float:
        """The current factor."""
        return self.current * warmup(step, self.warmup_steps)

    def on_validation(self, metrics: dict[str, float]) -> None:
        """Lower the factor if the metric has not improved for long enough."""
        value = higher_is_better(self.settings.metric, metrics[self.settings.metric])
        if value > self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.settings.patience:
            self.current, self.waited = max(self.current * self.settings.factor, self.min_factor), 0


SCHEDULES: dict[str, type[Constant]] = {
    "constant": Constant,
    "inverse_sqrt": InverseSqrt,
    "linear": Linear,
    "plateau": Plateau,
}


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = lr


class Ema:
    """Exponential moving average of a model's weights, to be validated and saved in their place.

    The decay rises to its value as (1 + step) / (10 + step), so that the first updates are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = [parameter.detach().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the weights after update ``step``."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.weights, [p.detach() for p in model.parameters()], 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the average and the model's weights; a second call puts them back."""
        for average, parameter in zip(self.weights, model.parameters(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)

    @contextmanager
    def in_place_of_weights(self, model: nn.Module) -> Iterator[None]:
        """In this block, the average takes the place of the model's weights."""
        self.swap(model)
        try:
            yield
        finally:
            self.swap(model)

    def load_weights(self, weights: Iterable[Tensor]) -> None:
        """Resume from saved ``weights``."""
        for average, saved in zip(self.weights, weights, strict=True):
            average.copy_(saved)


def mean_of(states: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several models' weights."""
    all_states = list(states)
    return {key: torch.stack([state[key] for state in all_states]).mean(dim=0) for key in all_states[0]}
