"""Optimizers, learning-rate schedules and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

OPTIMIZERS: dict[str, type[Adam]] = {"adam": Adam, "adamw": AdamW}


class Schedule(Protocol):
    """The learning rate of each update, as a factor of the optimizer's own."""

    def factor(self, step: int) -> float:
        """For update ``step``, counted from 1."""

    def validated(self, metrics: dict[str, float]) -> None:
        """Told of each validation."""

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs to go on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""


def warmup(step: int, warmup_steps: int) -> float:
    """A linear rise to 1 at ``warmup_steps``."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0


class Constant:
    """1 after the warm-up."""

    def __init__(self, warmup_steps: int = 0) -> None:
        self.warmup_steps = warmup_steps

    def factor(self, step: int) -> float:
        """1 after the warm-up."""
        return warmup(step, self.warmup_steps)

    def validated(self, metrics: dict[str, float]) -> None:
        """Nothing depends on it."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the step is all there is."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


class InverseSqrt(Constant):
    """√(warm-up / step) after the warm-up (Vaswani et al., 2017, section 5.3)."""

    def factor(self, step: int) -> float:
        """1 at the end of the warm-up, then falling."""
        return min(step / self.warmup_steps, math.sqrt(self.warmup_steps / step))


class Linear(Constant):
    """A linear fall to 0 after the warm-up (Defazio et al., 2023, "When, why and how much?")."""

    def __init__(self, total_steps: int, warmup_steps: int = 0) -> None:
        super().__init__(warmup_steps)
        self.total_steps = total_steps

    def factor(self, step: int) -> float:
        """1 at the end of the warm-up, and the last update is the last that is not 0."""
        end, peak = self.total_steps + 1, max(1, self.warmup_steps)
        return min(warmup(step, self.warmup_steps), max(0.0, (end - step) / max(1, end - peak)))


class Plateau(Constant):
    """Times ``decay`` whenever ``metric`` has not improved for more than ``patience`` validations."""

    def __init__(
        self, metric: str, decay: float, patience: int, min_factor: float = 0.0, warmup_steps: int = 0
    ) -> None:
        super().__init__(warmup_steps)
        self.metric, self.decay, self.patience, self.min_factor = metric, decay, patience, min_factor
        self.current, self.best, self.waited = 1.0, -math.inf, 0

    def factor(self, step: int) -> float:
        """The current factor."""
        return self.current * warmup(step, self.warmup_steps)

    def validated(self, metrics: dict[str, float]) -> None:
        """Lower the factor if it is time."""
        value = goodness(self.metric, metrics[self.metric])
        if value > self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.current, self.waited = max(self.current * self.decay, self.min_factor), 0

    def state_dict(self) -> dict[str, Any]:
        """Current factor, best value and validations waited."""
        return {"current": self.current, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.current, self.best, self.waited = state["current"], state["best"], state["waited"]


def goodness(metric: str, value: float) -> float:
    """``value`` so that higher is better."""
    return -value if metric in ("loss", "ppl") else value


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """The learning rate of all parameters."""
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
        """Exchange the average and the model's weights; once more puts them back."""
        for average, parameter in zip(self.weights, model.parameters(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)


def mean_of(states: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several models' weights."""
    all_states = list(states)
    return {key: torch.stack([state[key] for state in all_states]).mean(dim=0) for key in all_states[0]}
