"""Schedules that are a curve over the steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from halfsim.numerics.formats import whole
from halfsim.optim.lr_scheduler.base import LRScheduler, checked_optimizer, per_group
from halfsim.optim.optimizer import Optimizer
from halfsim.states import like


class LambdaLR(LRScheduler):
    """The initial rate times a function of the step, or one a group.

    ``state_dict`` holds the attributes of callable objects, never functions.

    >>> import halfsim as hs
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], lr=0.5)
    >>> LambdaLR(optimizer, lambda step: 1 / (1 + step)).get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.lr_lambdas: list[Callable[[int], float]] = per_group("lr_lambda", checked_optimizer(optimizer), lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda: {type(function).__name__} is not allowed; allowed: functions")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [rate * f(self.last_epoch) for f, rate in zip(self.lr_lambdas, self.base_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and the functions."""
        kept = [None if isinstance(f, FunctionType) else dict(f.__dict__) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": kept}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave; functions stay those of this schedule."""
        missing = self.__dict__.keys() - {"last_epoch", "lr_lambdas"}
        like(self.state_dict(), state_dict, "state_dict", missing)
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)


class MultiplicativeLR(LambdaLR):
    """The rate before times a function of the step, or one a group."""

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self.rates
        return [rate * f(self.last_epoch) for f, rate in zip(self.lr_lambdas, self.rates, strict=True)]


class StepLR(LRScheduler):
    """The rate times ``gamma`` every ``step_size`` steps.

    >>> import halfsim as hs
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], lr=0.5)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> optimizer.step()
    >>> [schedule.step() or schedule.get_last_lr()[0] for _ in range(4)]
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        between("step_size", step_size, whole("step_size", step_size) >= 1, "1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self.rates
        return [rate * self.gamma for rate in self.rates]

    def closed_form(self) -> list[float]:
        return [rate * self.gamma ** (self.last_epoch // self.step_size) for rate in self.base_lrs]


class MultiStepLR(LRScheduler):
    """The rate times ``gamma`` at each of ``milestones``, twice where one stands twice."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(whole("milestones", m) for m in milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones.count(self.last_epoch)
        return [rate * self.gamma**times for rate in self.rates] if times else self.rates

    def closed_form(self) -> list[float]:
        return [rate * self.gamma ** bisect_right(self.milestones, self.last_epoch) for rate in self.base_lrs]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave; PyTorch's counts of milestones are read too."""
        given = state_dict.get("milestones") if isinstance(state_dict, Mapping) else None
        if isinstance(given, Mapping):
            milestones = sorted(int(m) for m, times in given.items() for _ in range(times))
            state_dict = {**state_dict, "milestones": milestones}
        super().load_state_dict(state_dict)


class ExponentialLR(LRScheduler):
    """The rate times ``gamma`` every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self.rates if self._is_initial else [rate * self.gamma for rate in self.rates]

    def closed_form(self) -> list[float]:
        return [rate * self.gamma**self.last_epoch for rate in self.base_lrs]


class ConstantLR(LRScheduler):
    """The rate times ``factor`` until step ``total_iters``, then the rate itself."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        between("factor", factor, 0 <= factor <= 1, "0 to 1")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self.rates]
        return self.rates if self.last_epoch != self.total_iters else [rate * (1 / self.factor) for rate in self.rates]

    def closed_form(self) -> list[float]:
        factor = self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor)
        return [rate * factor for rate in self.base_lrs]


class LinearLR(LRScheduler):
    """The rate times a factor that goes from ``start_factor`` to ``end_factor`` in ``total_iters`` steps.

    >>> import halfsim as hs
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], lr=0.5)
    >>> schedule = LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> optimizer.step()
    >>> [schedule.step() or schedule.get_last_lr()[0] for _ in range(4)]
    [0.25, 0.375, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        between("start_factor", start_factor, 0 < start_factor <= 1, "above 0 to 1")
        between("end_factor", end_factor, 0 <= end_factor <= 1, "0 to 1")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        start, rise = self.start_factor, self.end_factor - self.start_factor
        if self.last_epoch == 0:
            return [rate * start for rate in self.rates]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self.rates
        before = self.total_iters * start + (self.last_epoch - 1) * rise
        return [rate * (1 + rise / before) for rate in self.rates]

    def closed_form(self) -> list[float]:
        rise, done = self.end_factor - self.start_factor, min(self.total_iters, self.last_epoch)
        return [rate * (self.start_factor + rise * done / self.total_iters) for rate in self.base_lrs]


class PolynomialLR(LRScheduler):
    """The rate times ``(1 - step / total_iters) ** power``, zero from step ``total_iters`` on."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self.rates
        now, before = (1.0 - step / self.total_iters for step in (self.last_epoch, self.last_epoch - 1))
        return [rate * (now / before) ** self.power for rate in self.rates]

    def closed_form(self) -> list[float]:
        done = min(self.total_iters, self.last_epoch)
        return [rate * (1.0 - done / self.total_iters) ** self.power for rate in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the rate down to ``eta_min`` in ``T_max`` steps, and up again (Loshchilov and Hutter 2017)."""

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803  # PyTorch's name
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        between("T_max", T_max, T_max > 0, "above 0")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step, low = self.last_epoch, self.eta_min
        if self._is_initial:
            return self.rates
        if self._step_count == 1 and step > 0:
            return [low + (base - low) * (1 + math.cos(step * math.pi / self.T_max)) / 2 for base in self.base_lrs]
        if (step - 1 - self.T_max) % (2 * self.T_max) == 0:
            return [
                rate + (base - low) * (1 - math.cos(math.pi / self.T_max)) / 2
                for rate, base in zip(self.rates, self.base_lrs, strict=True)
            ]
        now, before = (1 + math.cos(math.pi * s / self.T_max) for s in (step, step - 1))
        return [now / before * (rate - low) + low for rate in self.rates]

    def closed_form(self) -> list[float]:
        low, cosine = self.eta_min, math.cos(math.pi * self.last_epoch / self.T_max)
        return [low + (base - low) * (1 + cosine) / 2 for base in self.base_lrs]


def between(name: str, value: float, good: bool, allowed: str) -> None:
    """``ValueError`` for a factor that is not ``good``."""
    if not good:
        raise ValueError(f"{name}: {value} is not allowed; allowed: numbers from {allowed}")
