"""What optimizers are given: the options that all take, and checks of hyper-parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, TypedDict

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.names import near
from halfsim.numerics.inputs import unmasked
from halfsim.numerics.rounding import Stochastic
from halfsim.options import shown


class Options(TypedDict, total=False):
    """The keyword options of optimizers: a remedy, one at a time, and how PyTorch would run its kernels.

    The latter change no result: ``foreach``, ``fused`` and ``capturable`` are kept in the groups and not looked at, in
    the optimizers that have them in PyTorch. ``differentiable=True``, steps on the tape, is refused.
    """

    master_weights: bool
    kahan: bool
    rounding: str | Stochastic | None
    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool


EXECUTION: dict[str, bool | None] = {"foreach": None, "fused": None, "capturable": False, "differentiable": False}


def executed(owner: str, allowed: tuple[str, ...], given: dict[str, Any], others: Iterable[str]) -> dict[str, Any]:
    """The options of execution that ``owner`` has, as given or as they are by default; it takes ``others`` as well."""
    for name in given.keys() - set(allowed):
        known = [*allowed, *others]
        hint = "".join(f" (did you mean {one!r}?)" for one in near(name, known))
        raise TypeError(f"{owner}: option {name!r} is not known{hint}; allowed: {', '.join(known)}")
    options = {name: given.get(name, EXECUTION[name]) for name in allowed}
    for name, value in options.items():
        if not (isinstance(value, (bool, np.bool_)) or (value is None and EXECUTION[name] is None)):
            raise TypeError(f"{name}: {type(value).__name__} is not allowed; allowed: bool")
    if options.get("differentiable"):
        raise ValueError("differentiable: True is not allowed, for a step is not on the tape; allowed: False")
    if options.get("foreach") and options.get("fused"):
        raise ValueError("foreach, fused: both True is not allowed; allowed: one of them at a time")
    return options


def number(name: str, value: Any) -> Any:
    """The scalar in a tensor of one element, whose arithmetic is in its format, as in PyTorch; a number as it is."""
    if isinstance(value, (bool, int, float)) or not (hasattr(value, "shape") and hasattr(value, "item")):
        return value
    if math.prod(value.shape) != 1:
        shape = tuple(value.shape)
        raise ValueError(f"{name}: a tensor of shape {shape} is not allowed; allowed: a number, a tensor of 1 element")
    return np.asarray(unmasked(value, name)).reshape(-1)[0]


def numbers(group: dict[str, Any]) -> dict[str, Any]:
    """A group with numbers for the tensors among its rates; itself where there are none."""
    found = {name: number(name, group[name]) for name in ("lr", "weight_decay") if is_tensor(group.get(name))}
    return {**group, **found} if found else group


def is_tensor(value: Any) -> bool:
    """Whether a hyper-parameter is a tensor or an array."""
    return isinstance(value, (Tensor, np.ndarray))


def checked_betas(betas: Any) -> tuple[float, float]:
    """Both numbers; ``TypeError`` or ``ValueError`` for what is not a pair of numbers from 0 to below 1."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas: {shown(betas)} is not allowed; allowed: a pair of numbers from 0 to below 1")
    if is_tensor(betas[0]) != is_tensor(betas[1]):
        raise ValueError("betas: a number and a tensor is not allowed; allowed: two numbers, or two tensors")
    checked(high=1.0, beta1=betas[0], beta2=betas[1])
    return number("beta1", betas[0]), number("beta2", betas[1])


def checked_rates(group: Mapping[str, Any]) -> None:
    """``ValueError`` where a saved group has rates with which no step can be taken."""
    for name in ("eps", "weight_decay", "momentum"):
        if isinstance(group.get(name), Real) or is_tensor(group.get(name)):
            checked(**{name: group[name]})
    if group.get("lr") is not None:
        checked(low=-math.inf, lr=group["lr"])
    if "betas" in group:
        checked_betas(group["betas"])


def checked(low: float = 0.0, high: float = math.inf, **values: Any) -> None:
    """``ValueError`` for a hyper-parameter outside low <= number < high, ``TypeError`` for one that is no number."""
    for name, value in values.items():
        given = number(name, value)
        if not (isinstance(given, Real) and low <= float(given) < high):
            kind = ValueError if isinstance(given, Real) else TypeError
            raise kind(f"{name}: {shown(given)} is not allowed; allowed: numbers from {low:g} to below {high:g}")
