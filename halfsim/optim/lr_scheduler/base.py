"""The base of all schedules."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.card import Card
from halfsim.frames import level
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.options import checked, is_tensor, number
from halfsim.options import guarded_class, shown
from halfsim.states import like

_EARLY = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value of the learning rate schedule "
    "is skipped. Call `optimizer.step()` first, then `lr_scheduler.step()`."
)
EPOCH = (
    "`scheduler.step(epoch)` is deprecated, as in PyTorch: `step()` goes on by one. The rates are those of that epoch, "
    "whatever came before."
)


class MissingRateError(ValueError, KeyError):
    """A group without its first rate: a ValueError by its nature, a KeyError in PyTorch."""

    __str__ = Exception.__str__


class LRScheduler(Card):
    """A rule for the learning rate of every parameter group, called after each `Optimizer.step`.

    The first step is made by the constructor. A rule is a method ``get_lr``, which gives one rate a group for
    step ``last_epoch``; most compute it from the rate before, as PyTorch does, so a rate that somebody else changes
    stays changed. A rate that is a tensor of one element stays that tensor, and takes the new value. A first ``step``
    before any step of the optimizer warns, as PyTorch's does, also where a GradScaler has skipped that: the rate of
    step 0 is never used then. ``TypeError`` for anything but an Optimizer, ``KeyError`` for
    ``last_epoch`` from 0 on without "initial_lr" in the groups.
    """

    _is_initial = False  # within the step that the constructor makes
    _get_lr_called_within_step = False  # PyTorch's name, which `get_lr` of users' own may ask

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("halfsim."):
            guarded_class(cls)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", number("lr", group["lr"]))
            elif "initial_lr" not in group:
                raise MissingRateError(
                    f"initial_lr: missing in group {i}; allowed: groups of a loaded optimizer, last_epoch=-1"
                )
        self.base_lrs = [_plain(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def __repr__(self) -> str:
        rates = ", ".join(f"{number('lr', group['lr']):g}" for group in self.optimizer.param_groups)
        return f"{type(self).__name__}(last_epoch={self.last_epoch}, lr={rates})"

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next step, or of ``epoch``, which is deprecated."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(_EARLY, UserWarning, stacklevel=level())
        self._step_count += 1
        self._get_lr_called_within_step = True
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            warnings.warn(EPOCH, UserWarning, stacklevel=level())
            self.last_epoch = epoch  # type: ignore[assignment]  # fractions too, as in PyTorch
            rates = getattr(self, "_get_closed_form_lr", self.closed_form)()
        self._get_lr_called_within_step = False
        self._set(rates)

    def restart(self) -> None:
        """Set the rates of step 0, as `SequentialLR` asks of a schedule whose turn comes."""
        self.last_epoch = 0
        self._set(getattr(self, "_get_closed_form_lr", self.closed_form)())

    def _set(self, rates: Sequence[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            update(group, "lr", rate)
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    @property
    def rates(self) -> list[float]:
        """The rates that the optimizer has now, as numbers."""
        return [_plain(group["lr"]) for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[Any]:
        """The rates that this schedule set last, one a group; copies of those that are tensors."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The rates of step ``last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__}: get_lr is missing; allowed: a subclass that defines it")

    def closed_form(self) -> list[float]:
        """The rates of step ``last_epoch`` whatever came before; `get_lr`, where that needs nothing else."""
        return self.get_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key not in ("optimizer", *_PASSING)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave; ``ValueError``, with nothing changed, for another schedule's."""
        own = self.state_dict()
        like(own, state_dict, "state_dict", own.keys(), ("milestones", "_milestones"))
        wrong = [key for key in state_dict if not isinstance(key, str) or (key not in own and hasattr(type(self), key))]
        for key in own.keys() & state_dict.keys() & _LENGTHS:
            if own[key] is not None and own[key] > 0 and not (state_dict[key] or 0) > 0:
                raise ValueError(f"state_dict.{key}: {shown(state_dict[key])} is not allowed; allowed: numbers above 0")
        if wrong:
            raise ValueError(f"state_dict: {shown(wrong[0])} is not allowed; allowed: {', '.join(own)}")
        self.__dict__.update({key: value for key, value in state_dict.items() if key != "optimizer"})


# The lengths of schedules and of their parts, which they divide by.
_LENGTHS = {"step_size", "T_max", "T_0", "T_i", "T_mult", "total_iters", "total_steps", "total_size", "step_ratio"}
guarded_class(LRScheduler)

_PASSING = ("_get_lr_called_within_step",)


class _LRScheduler(LRScheduler):
    """PyTorch's older name."""


def _plain(rate: Any) -> float:
    """A rate as a Python number."""
    return float(number("lr", rate)) if is_tensor(rate) or isinstance(rate, np.generic) else rate


def _copied(rate: Any) -> Any:
    return tensor(rate, rate.format) if isinstance(rate, Tensor) else rate.copy() if is_tensor(rate) else rate


def update(group: dict[str, Any], key: str, value: Any) -> None:
    """Set a rate of a group; a tensor takes the value, rounded to its format, and stays the same tensor."""
    held, value = group[key], _plain(value)
    if isinstance(held, Tensor):
        held.array = tensor(np.full(held.shape, value), held.format).array
    elif isinstance(held, np.ndarray):
        held[...] = value
    else:
        group[key] = value


def checked_optimizer(optimizer: object) -> Optimizer:
    """``TypeError`` for anything but an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: {type(optimizer).__name__} is not allowed; allowed: an Optimizer")
    return optimizer


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value a group: ``value`` for all, or a list of as many; ``ValueError`` for another number of them."""
    groups = len(optimizer.param_groups)
    values = value if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise ValueError(f"{name}: {len(values)} values for {groups} groups; allowed: one value, or one a group")
    return list(values)


def number_per_group(name: str, optimizer: Optimizer, value: Any) -> list[float]:
    """`per_group` of Python's numbers; ``TypeError`` or ``ValueError`` for what are none, or not finite."""
    values = per_group(name, optimizer, value)
    for x in values:
        checked(low=-math.inf, **{name: x})
    return [_plain(x) for x in values]
