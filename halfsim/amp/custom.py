"""Autocast around the halves of a `halfsim.autograd.Function`: PyTorch's ``custom_fwd`` and ``custom_bwd``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from halfsim.autograd.device import is_device
from halfsim.autograd.policy import PROMOTE
from halfsim.autograd.scope import scope, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import as_format
from halfsim.options import guarded_names, shown
from halfsim.ported import is_autocast_enabled


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str = "cuda", cast_inputs: Any = None) -> Any:
    """A decorator of a `Function`'s ``forward``: under autocast it runs without, its floats in ``cast_inputs``.

    If that is None it runs as what is around it does.
    """
    _check(device_type)
    fmt = None if cast_inputs is None else as_format(cast_inputs, "cast_inputs")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=fmt)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._rule = scope().rule
        if fmt is None or not is_autocast_enabled():
            return fwd(ctx, *args, **kwargs)
        ctx._rule = PROMOTE
        floats = [x.to(fmt) if isinstance(x, Tensor) and x.is_floating_point() else x for x in args]
        with scoped(rule=PROMOTE, base=""):
            return fwd(ctx, *floats, **kwargs)

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cuda") -> Any:
    """A decorator of a `Function`'s ``backward``, which runs as its ``forward`` did, see `custom_fwd`."""
    _check(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    run = bwd

    @functools.wraps(run)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with scoped(rule=getattr(ctx, "_rule", PROMOTE), base=""):
            return run(ctx, *args, **kwargs)

    return backward


def is_autocast_available(device_type: str) -> bool:
    """True for every device that PyTorch knows: all run here."""
    _check(device_type)
    return True


def _check(device_type: Any) -> None:
    if not isinstance(device_type, str) or not is_device(device_type):
        raise ValueError(f"device_type: {shown(device_type)} is not allowed; allowed: cuda, cpu, and PyTorch's others")


guarded_names(globals(), ["custom_fwd", "custom_bwd", "is_autocast_available"])
