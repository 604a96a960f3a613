"""Where a module is and in which format, as PyTorch says it. There is one place here, so devices change nothing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format, as_format

_DEVICES = ("cpu", "cuda", "mps", "xpu", "meta", "mtia", "hpu", "ipu", "xla", "vulkan", "privateuseone")


def is_device(value: object) -> bool:
    """Whether ``value`` names a device: "cuda:0", a number of one, or an object whose ``type`` is such a word."""
    if isinstance(value, str):
        return value.partition(":")[0] in _DEVICES
    return (isinstance(value, int) and not isinstance(value, bool)) or isinstance(getattr(value, "type", None), str)


def check_device(value: object) -> None:
    """``ValueError`` for what names no device; None names none in particular."""
    if value is not None and not is_device(value):
        raise ValueError(f"device: {value!r} is not allowed; allowed: {', '.join(_DEVICES[:5])}, as 'cuda:0', ...")


def wanted_format(*places: object, device: object = None, dtype: object = None) -> Format | None:
    """What `Module.to` is asked for: a format, or None for a device alone.

    ``places`` are a device, a format, both in this order, or a tensor whose format is taken; then, as in PyTorch,
    flags that change nothing.
    """
    check_device(device)
    for place in places:
        if place is None or isinstance(place, bool) or is_device(place):
            continue
        if dtype is not None:
            raise TypeError("to: two formats are not allowed; allowed: one")
        dtype = place.format if isinstance(place, Tensor) else place
    return None if dtype is None else as_format(dtype)


def placed(build: Callable[..., None]) -> Callable[..., None]:
    """A layer's ``__init__`` that takes PyTorch's ``device`` and ``dtype`` too, the second for its `Module.to`.

    ``TypeError`` if the layer holds nothing that either could mean.
    """
    signature = inspect.signature(build)
    if {"device", "dtype"} & signature.parameters.keys():
        return build

    @functools.wraps(build)
    def init(self: Any, *args: Any, device: Any = None, dtype: Any = None, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if device is None and dtype is None:
            return
        check_device(device)
        if not any(True for _ in self.parameters()) and not any(True for _ in self.buffers()):
            name = "device" if dtype is None else "dtype"
            raise TypeError(f"{type(self).__name__}: {name} is not allowed; allowed: for layers with weights")
        if dtype is not None:
            self.to(dtype)
            self.__dict__["conversion"] = None  # nothing that was learnt has been rounded

    return init
