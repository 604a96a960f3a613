"""Schedules that go up and down: one cycle, and warm restarts."""

from __future__ import annotations

import math
from typing import Any

from halfsim.numerics.formats import unknown
from halfsim.optim.lr_scheduler.base import LRScheduler, checked_optimizer, per_group
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
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not (self.use_beta1 or "momentum" in optimizer.defaults):
            raise ValueError("cycle_momentum: this optimizer has neither momentum nor betas; allowed: False")
        tops = per_group("max_lr", optimizer, max_lr)
        highs, lows = (
            per_group(*pair)
            for pair in (("max_momentum", optimizer, max_momentum), ("base_momentum", optimizer, base_momentum))
        )
        if last_epoch == -1:
            for group, top, high, low in zip(optimizer.param_groups, tops, highs, lows, strict=True):
                first = top / div_factor
                group.update(initial_lr=first, max_lr=top, min_lr=first / final_div_factor)
                if cycle_momentum:
                    self._set_momentum(group, high)
                    group.update(max_momentum=high, base_momentum=low)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step, last = self.last_epoch, self._schedule_phases[-1]
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
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
                self._set_momentum(group, self._anneal(*ends, share))
        return rates

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


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
