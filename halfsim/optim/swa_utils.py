"""Averages of a model's weights over its training, under PyTorch's names."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.observer import active
from halfsim.autograd.scope import scoped
from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.nn.module import Module
from halfsim.nn.normalization import _BatchNorm
from halfsim.numerics.formats import float32, unknown, whole
from halfsim.optim.lr_scheduler.base import LRScheduler, number_per_group
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.options import checked
from halfsim.optim.weight import as_format_of
from halfsim.options import guarded_class, guarded_names

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Any, Any, int], Any]
MultiAverage = Callable[[Sequence[Any], Sequence[Any], int], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """An exponential average of one tensor, ``decay * average + (1 - decay) * current``: three kernels.

    ``ValueError`` for ``decay`` outside 0 to 1.
    """
    _checked(decay)

    def average(averaged: Tensor, current: Tensor, num_averaged: int) -> Tensor:
        kept, fresh = (kernel("mul", x, k, label="average") for x, k in ((averaged, decay), (current, 1 - decay)))
        return kernel("add", kept, fresh, label="average")

    return _off_tape(average)


def get_swa_avg_fn() -> Average:
    """The mean of all so far of one tensor, ``average + (current - average) / (n + 1)``: three kernels."""

    def average(averaged: Tensor, current: Tensor, num_averaged: int) -> Tensor:
        change = kernel("sub", current, averaged, label="average")
        change = kernel("div", change, int(num_averaged) + 1, label="average")
        return kernel("add", averaged, change, label="average")

    return _off_tape(average)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """An exponential average of many tensors, ``average + (1 - decay) * (current - average)``: one kernel each."""
    _checked(decay)
    return _interpolating(lambda num_averaged: 1 - decay)


def get_swa_multi_avg_fn() -> MultiAverage:
    """The mean of all so far of many tensors, ``average + (current - average) * (1 / (n + 1))``: one kernel each.

    The share is a float32 number, as PyTorch computes it.
    """
    return _interpolating(lambda num_averaged: float(np.float32(1 / (int(num_averaged) + 1))))


def _checked(decay: float) -> None:
    checked(high=np.nextafter(1, 2), decay=decay)


def _off_tape(average: Average) -> Average:
    return scoped(gradients=False)(average)


def _interpolating(share: Callable[[int], float]) -> MultiAverage:
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: int) -> None:
        for kept, now in zip(averaged, current, strict=True):
            kept.hold(kernel("lerp", kept, now, weight=share(num_averaged), label="average"))

    return scoped(gradients=False)(update)


class AveragedModel(Module):
    """A copy of a model, ``module``, whose weights are averages of the model's (Izmailov et al. 2018).

    `update_parameters` copies the weights at first and averages from then on: their mean, or by ``avg_fn(average,
    current, n)``, which returns the new average, or by ``multi_avg_fn(averages, currents, n)``, which changes tensors
    of one format in place. Averages are in the format of the weights: in half the mean of many stops moving, and a
    trace tells of it. ``use_buffers`` averages buffers as well, integers cut off as in PyTorch; else they are copied.
    ``device`` is accepted. ``ValueError`` for both functions.

    >>> import halfsim as hs
    >>> model = hs.nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     model.weight.array = model.weight.array * 0 + value
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item(), int(averaged.n_averaged)
    (3.0, 3)
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        device: object = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("avg_fn, multi_avg_fn: both are not allowed; allowed: one of them at a time")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", tensor(np.array(0), "int64"))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the weights of ``model`` into the averages."""
        n = int(self.n_averaged)
        with scoped(phase="optimizer", gradients=False):
            pairs: list[tuple[Tensor, Tensor]]
            pairs = list(zip(self.module.parameters(), model.parameters(), strict=True))
            buffers = list(_buffers(self.module, model))
            if self.use_buffers:
                pairs += [(own, theirs) for _, _, own, theirs in buffers if _averages(own)]
            if n == 0:
                for own, theirs in pairs:
                    own.hold(_copied(theirs, own))
            else:
                self._average(pairs, n)
            for table, name, own, theirs in buffers:
                if not self.use_buffers or n == 0:
                    table[name] = _copied(theirs, own)
                elif not _averages(own):
                    table[name] = self._averaged_numbers(own, theirs, n)
        self.n_averaged.add_(1)

    def _average(self, pairs: Sequence[tuple[Tensor, Tensor]], n: int) -> None:
        before = [(own, own.array.copy(), theirs) for own, theirs in pairs]
        if self.multi_avg_fn is not None:
            for fmt in {own.format for own, _ in pairs}:
                alike = [pair for pair in pairs if pair[0].format == fmt]
                self.multi_avg_fn([own for own, _ in alike], [theirs for _, theirs in alike], n)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for own, theirs in pairs:
                with scoped(path=own.name):
                    own.hold(as_format_of(average(own, theirs, n), own.format))
        observer = active()
        for own, old, theirs in before if observer is not None else []:
            with scoped(path=own.name):
                observer.averaged(old, own.array, as_format_of(theirs, own.format).array, own.format, "")  # type: ignore[union-attr]

    def _averaged_numbers(self, own: Any, theirs: Any, n: int) -> Any:
        """Integers averaged in float32 and cut off, as PyTorch copies them back."""
        a, b = (Tensor(np.asarray(x, np.float32), float32) for x in (own, theirs))
        if self.multi_avg_fn is not None:
            self.multi_avg_fn([a], [b], n)
        else:
            a = (self.avg_fn or get_swa_avg_fn())(a, b, n)
        cut = np.asarray(np.trunc(a.array), np.asarray(own).dtype)
        return Tensor(cut, own.format) if isinstance(own, Tensor) else cut


def _averages(buffer: Any) -> bool:
    """Whether a buffer holds floating-point numbers."""
    return isinstance(buffer, Tensor) and buffer.array.dtype.kind == "f"


def _copied(theirs: Any, own: Any) -> Any:
    if not isinstance(theirs, Tensor):
        return np.array(theirs)
    same = as_format_of(theirs, own.format)
    return Tensor(same.array.copy(), same.format)


def _buffers(own: Module, theirs: Module) -> Iterator[tuple[dict[str, Any], str, Any, Any]]:
    """The buffers of two models alike: the table that holds the first's, the name, and both."""
    for a, b in zip(own.modules(), theirs.modules(), strict=True):
        for name, value in a._buffers.items():
            if value is not None:
                yield a._buffers, name, value, b._buffers[name]


def update_bn(loader: Iterable[Any], model: Module, device: object = None) -> None:
    """Compute the running statistics of all BatchNorm layers anew, over one pass through ``loader``.

    Batches are inputs, or lists or tuples whose first is the input. Momenta and the mode of ``model`` are afterwards
    what they were. ``device`` is accepted. Without such layers nothing is run.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], model.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    try:
        with scoped(gradients=False):
            for batch in loader:
                model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """The rate of each group goes to ``swa_lr`` (one, or one a group) in ``anneal_epochs`` steps and stays there.

    The curve is "cos" or "linear". ``ValueError`` for another word and a negative length.

    >>> import halfsim as hs
    >>> optimizer = hs.optim.SGD([hs.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> optimizer.step()
    >>> [schedule.get_last_lr()[0]] + [schedule.step() or schedule.get_last_lr()[0] for _ in range(3)]
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in _CURVES:
            raise unknown("anneal_strategy", anneal_strategy, _CURVES)
        if whole("anneal_epochs", anneal_epochs) < 0:
            raise ValueError(f"anneal_epochs: {anneal_epochs} is not allowed; allowed: integers from 0")
        for group, rate in zip(optimizer.param_groups, number_per_group("swa_lr", optimizer, swa_lr), strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        step = max(1, step) if self.anneal_epochs == 0 else step
        curve, length = _CURVES[self._anneal_strategy], max(1, self.anneal_epochs)
        before, now = (curve(max(0, min(1, s / length))) for s in (step - 1, step))
        goals = [group["swa_lr"] for group in self.optimizer.param_groups]
        starts = [
            goal if before == 1 else (rate - before * goal) / (1 - before)
            for rate, goal in zip(self.rates, goals, strict=True)
        ]
        return [goal * now + start * (1 - now) for goal, start in zip(goals, starts, strict=True)]


_CURVES: Mapping[str, Callable[[float], float]] = {
    "cos": lambda t: (1 - math.cos(math.pi * t)) / 2,
    "linear": lambda t: t,
}

public(__name__)


guarded_class(AveragedModel, ["__init__", "update_parameters"])
guarded_names(
    globals(), ["update_bn", "get_ema_avg_fn", "get_swa_avg_fn", "get_ema_multi_avg_fn", "get_swa_multi_avg_fn"]
)
