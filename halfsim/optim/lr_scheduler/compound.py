"""Schedules made of others, and one that looks at a metric."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

from halfsim.frames import level
from halfsim.numerics.formats import unknown
from halfsim.optim.lr_scheduler.base import EPOCH, LRScheduler, checked_optimizer, number_per_group, update
from halfsim.optim.optimizer import Optimizer
from halfsim.states import like


class _Compound(LRScheduler):
    """Schedules of one optimizer, kept in ``_schedulers``."""

    def _hold(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"schedulers: {type(scheduler).__name__} at {i} is not allowed; allowed: schedules")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"schedulers: ReduceLROnPlateau at {i} needs a metric; allowed: other schedules")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"schedulers: the one at {i} has another optimizer; allowed: the same for all")
        self._schedulers, self.optimizer = list(schedulers), optimizer

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the state of every schedule."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        missing = self.__dict__.keys() - {"last_epoch", "_schedulers"}
        like(self.state_dict(), state_dict, "state_dict", missing, ("milestones", "_milestones"))
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Compound):
    """One schedule after another: the next begins at each of ``milestones``.

    The recipe for warm-up, as in PyTorch:

    >>> import halfsim as hs
    >>> from halfsim.optim.lr_scheduler import CosineAnnealingLR, LinearLR
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> warm, cool = LinearLR(optimizer, 0.5, total_iters=2), CosineAnnealingLR(optimizer, 2)
    >>> schedule = SequentialLR(optimizer, [warm, cool], milestones=[2])
    >>> optimizer.step()
    >>> [schedule.get_last_lr()[0]] + [schedule.step() or schedule.get_last_lr()[0] for _ in range(4)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if not len(schedulers) or len(milestones) != len(schedulers) - 1:
            got = f"{len(schedulers)} schedules and {len(milestones)} milestones"
            raise ValueError(f"milestones: {got}; allowed: one schedule or more, and one milestone fewer")
        self._hold(checked_optimizer(optimizer), schedulers)
        self._milestones, self.last_epoch = list(milestones), last_epoch + 1
        for group in optimizer.param_groups:
            update(group, "lr", group["initial_lr"])
        _undo(self)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Step the schedule whose turn it is; at its milestone it starts anew."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler.restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(scheduler: LRScheduler) -> None:
    """Take back the step that each schedule made when it was built."""
    if isinstance(scheduler, _Compound):
        for inner in scheduler._schedulers:
            _undo(inner)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(_Compound):
    """Several schedules at once: each changes the rate that the one before it left."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not len(schedulers):
            raise ValueError("schedulers: an empty list is not allowed; allowed: schedules")
        self._hold(optimizer or schedulers[0].optimizer, schedulers)
        self._last_lr = self.rates

    def step(self) -> None:  # type: ignore[override]
        """Step every schedule."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self.rates


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` when a metric has not improved for more than ``patience`` steps.

    ``step(metric)`` takes a number or a tensor of one value; NaN is no improvement. ``ValueError`` for factor >= 1 and
    unknown words.

    >>> import halfsim as hs
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> [schedule.step(loss) or schedule.get_last_lr()[0] for loss in (3.0, 2.0, 2.0, 2.0)]
    [1.0, 1.0, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1:
            raise ValueError(f"factor: {factor} is not allowed; allowed: numbers below 1")
        if mode not in ("min", "max"):
            raise unknown("mode", mode, ("min", "max"))
        if threshold_mode not in ("rel", "abs"):
            raise unknown("threshold_mode", threshold_mode, ("rel", "abs"))
        self.optimizer, self.factor, self.mode = checked_optimizer(optimizer), factor, mode
        self.patience, self.cooldown, self.eps = patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = number_per_group("min_lr", optimizer, min_lr)
        self.last_epoch, self._last_lr = 0, self.rates
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at the metric of this step, or of ``epoch``, and reduce the rates if it is time."""
        current = float(metrics)
        if epoch is not None:
            warnings.warn(EPOCH, UserWarning, stacklevel=level())
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self.rates

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(f"min_lr: {len(self.min_lrs)} values for {len(groups)} groups; allowed: one a group")
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, now, low in zip(groups, self.rates, self.min_lrs, strict=True):
            rate = max(now * self.factor, low)
            if now - rate > self.eps:
                update(group, "lr", rate)

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            return sign * value < sign * self.best - self.threshold
        return sign * value < sign * (self.best * (1 - sign * self.threshold))
