"""The base of all schedules."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from halfsim.frames import level
from halfsim.optim.optimizer import Optimizer

_EARLY = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value of the learning rate schedule "
    "is skipped. Call `optimizer.step()` first, then `lr_scheduler.step()`."
)


class LRScheduler:
    """A rule for the learning rate of every parameter group, called after each `Optimizer.step`.

    The first step is made by the constructor. A rule is a method ``get_lr``, which gives one rate a group for
    step ``last_epoch``; most compute it from the rate before, as PyTorch does, so a rate that somebody else changes
    stays changed. A first ``step`` before any step of the optimizer warns, as PyTorch's does, also where a GradScaler
    has skipped that: the rate of step 0 is never used then. ``TypeError`` for what is no Optimizer, ``KeyError`` for
    ``last_epoch`` from 0 on without "initial_lr" in the groups.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"initial_lr: missing in group {i}; allowed: groups of a loaded optimizer, last_epoch=-1"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def step(self) -> None:
        """Set the rates of the next step."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(_EARLY, UserWarning, stacklevel=level())
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def restart(self) -> None:
        """Set the rates of step 0, as `SequentialLR` asks of a schedule whose turn comes."""
        self.last_epoch = 0
        self._set(self.closed_form())

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self.rates

    @property
    def rates(self) -> list[float]:
        """The rates that the optimizer has now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The rates that this schedule set last, one a group."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The rates of step ``last_epoch``."""
        raise NotImplementedError

    def closed_form(self) -> list[float]:
        """The rates of step ``last_epoch`` whatever came before; `get_lr`, where that needs nothing else."""
        return self.get_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.__dict__.update(state_dict)


def checked_optimizer(optimizer: object) -> Optimizer:
    """``TypeError`` for what is no Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: {type(optimizer).__name__} is not allowed; allowed: an Optimizer")
    return optimizer


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value a group: ``value`` for all, or a list of as many; ``ValueError`` for another number."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{name}: {len(value)} values for {groups} groups; allowed: one value, or one a group")
    return list(value)
