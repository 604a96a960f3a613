"""Schedules that go up and down: one cycle, many cycles, and warm restarts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from halfsim.numerics.formats import unknown
from halfsim.optim.lr_scheduler.base import LRScheduler, checked_optimizer, number_per_group, update
from halfsim.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """Up to ``max_lr`` and down below where it began, momentum (or beta1) the other way (Smith and Topin 2018).

    It starts at ``max_lr / div_factor`` and ends at ``final_div_factor`` times less, after ``total_steps`` or
    ``epochs * steps_per_epoch`` steps; ``pct_start`` of them rise. ``three_phase`` comes down as it went up, and then
    further. The curve is "cos" or "linear". With ``cycle_momentum`` the momentum of SGD or the beta1 of Adam goes
    from ``max_momentum`` to ``base_momentum`` and back. ``ValueError`` for a step past the end.

    >>> import halfsim as hs
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=10, pct_start=0.5, anneal_strategy="linear")
    >>> schedule.get_last_lr(), optimizer.param_groups[0]["momentum"]
    ([0.04], 0.95)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        checked_optimizer(optimizer)
        self.total_steps = _steps(total_steps, epochs, steps_per_epoch)
        if not (isinstance(pct_start, (int, float)) and 0 <= pct_start <= 1):
            raise ValueError(f"pct_start: {pct_start!r} is not allowed; allowed: numbers from 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise unknown("anneal_strategy", anneal_strategy, ("cos", "linear"))
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(float(pct_start), self.total_steps, three_phase)
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = cycle_momentum and _check_momentum(optimizer)
        tops = number_per_group("max_lr", optimizer, max_lr)
        highs, lows = (
            number_per_group(*pair)
            for pair in (("max_momentum", optimizer, max_momentum), ("base_momentum", optimizer, base_momentum))
        )
        if last_epoch == -1:
            for group, top, high, low in zip(optimizer.param_groups, tops, highs, lows, strict=True):
                first = top / div_factor
                group.update(initial_lr=first, max_lr=top, min_lr=first / final_div_factor)
                if cycle_momentum:
                    _set_momentum(group, high)
                    group.update(max_momentum=high, base_momentum=low)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step, last = self.last_epoch, self._schedule_phases[-1]
        if step > self.total_steps:
            told = f"Tried to step {step} times. The specified number of total steps is {self.total_steps}"
            raise ValueError(f"{told}; allowed: no more")
        start, phase = 0.0, last
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is last:
                break
            start = phase["end_step"]
        share, rates = (step - start) / (phase["end_step"] - start), []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                _set_momentum(group, self._anneal(*ends, share))
        return rates

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def _set_momentum(group: dict[str, Any], value: float) -> None:
    """Give a group another momentum, or another beta1 where it has betas."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _check_momentum(optimizer: Optimizer) -> bool:
    """Whether the optimizer has betas; ``ValueError`` where it has no momentum either."""
    if "betas" not in optimizer.defaults and "momentum" not in optimizer.defaults:
        raise ValueError("cycle_momentum: this optimizer has neither momentum nor betas; allowed: False")
    return "betas" in optimizer.defaults


class CyclicLR(LRScheduler):
    """Up from ``base_lr`` to ``max_lr`` in ``step_size_up`` steps and down again, over and over (Smith 2017).

    The height is scaled by 1 ("triangular"), by half as much each cycle ("triangular2"), by ``gamma`` to the power of
    the step ("exp_range"), or by ``scale_fn`` of the number of the cycle, or of the step for ``scale_mode``
    "iterations". With ``cycle_momentum`` the momentum of SGD or the beta1 of Adam goes the other way, between
    ``max_momentum`` and ``base_momentum``. ``state_dict`` holds the attributes of a callable object, never a function.
    ``ValueError`` for an unknown mode without ``scale_fn``.

    >>> import halfsim as hs
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], momentum=0.9)
    >>> schedule = CyclicLR(optimizer, base_lr=0.25, max_lr=0.75, step_size_up=2)
    >>> optimizer.step()
    >>> [schedule.get_last_lr()[0]] + [schedule.step() or schedule.get_last_lr()[0] for _ in range(4)]
    [0.25, 0.5, 0.75, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        bases = number_per_group("base_lr", checked_optimizer(optimizer), base_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, bases, strict=True):
                update(group, "lr", rate)
        self.max_lrs = number_per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in _SCALES and scale_fn is None:
            raise unknown("mode", mode, _SCALES)
        if scale_mode not in ("cycle", "iterations"):
            raise unknown("scale_mode", scale_mode, ("cycle", "iterations"))
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else _SCALES[mode][0]
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _check_momentum(optimizer)
            self.base_momentums = number_per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = number_per_group("max_momentum", optimizer, max_momentum)
            for group, low, high in zip(optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True):
                if last_epoch == -1:
                    _set_momentum(group, high)
                    group.update(max_momentum=high, base_momentum=low)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def scale_fn(self, x: float) -> float:
        """By how much the height is scaled, in cycle or at step ``x``."""
        custom = self._scale_fn_custom
        return _SCALES[self.mode][1](self.gamma, x) if custom is None else custom(x)

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in ends:
                _set_momentum(group, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and a function."""
        custom = self._scale_fn_custom
        kept = None if custom is None or isinstance(custom, FunctionType) else dict(custom.__dict__)
        return {**super().state_dict(), "_scale_fn_custom": kept}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave; a function stays that of this schedule."""
        held = self._scale_fn_custom
        super().load_state_dict(state_dict)
        if held is not None and state_dict["_scale_fn_custom"] is not None:
            held.__dict__.update(state_dict["_scale_fn_custom"])
        self._scale_fn_custom = held


_SCALES: dict[str, tuple[str, Callable[[float, float], float]]] = {  # what each mode counts, and its factor
    "triangular": ("cycle", lambda gamma, cycle: 1.0),
    "triangular2": ("cycle", lambda gamma, cycle: 1 / (2.0 ** (cycle - 1))),
    "exp_range": ("iterations", lambda gamma, step: gamma**step),
}


def _steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    """The length of the cycle; ``ValueError`` where it is not given as positive integers."""
    given = (
        {"total_steps": total_steps}
        if total_steps is not None
        else {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    )
    if None in given.values():
        raise ValueError("total_steps: missing; allowed: total_steps, or epochs and steps_per_epoch")
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"{name}: {value!r} is not allowed; allowed: positive integers")
    return math.prod(value for value in given.values() if value is not None)


def _phases(share: float, steps: int, three: bool) -> list[dict[str, Any]]:
    """Where each phase ends, and the keys of the group between whose values it goes."""

    def phase(end: float, lr: str, momentum: str) -> dict[str, Any]:
        (a, b), (c, d) = lr.split(), momentum.split()
        return {"end_step": end, "start_lr": a, "end_lr": b, "start_momentum": c, "end_momentum": d}

    up = phase(share * steps - 1, "initial_lr max_lr", "max_momentum base_momentum")
    if not three:
        return [up, phase(steps - 1, "max_lr min_lr", "base_momentum max_momentum")]
    down = phase(2 * share * steps - 2, "max_lr initial_lr", "base_momentum max_momentum")
    return [up, down, phase(steps - 1, "initial_lr min_lr", "max_momentum max_momentum")]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to ``eta_min`` in ``T_0`` steps, again and again, each ``T_mult`` times as long.

    ``step(epoch)`` may be given where it is, in fractions of an epoch. ``ValueError`` for lengths that are not
    positive integers.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,  # noqa: N803  # PyTorch's names
        T_mult: int = 1,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: {value!r} is not allowed; allowed: integers from 1")
        if not isinstance(eta_min, (int, float)):
            raise ValueError(f"eta_min: {type(eta_min).__name__} is not allowed; allowed: float, int")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        cosine = math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * (1 + cosine) / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next step, or of ``epoch``."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            self._seek(epoch)
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())

    def _seek(self, epoch: float) -> None:
        if epoch < 0:
            raise ValueError(f"epoch: {epoch} is not allowed; allowed: numbers from 0")
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
