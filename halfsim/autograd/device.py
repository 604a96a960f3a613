"""Devices by PyTorch's names: taken wherever PyTorch takes them, and changing nothing. Everything runs on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from halfsim.card import Card
from halfsim.numerics.formats import unknown
from halfsim.options import guarded_class

_TYPES = ("cpu", "cuda", "mps", "xpu", "hpu", "xla", "mtia", "meta", "privateuseone")


@guarded_class
@dataclass(frozen=True)
class device(Card):  # noqa: N801  # PyTorch's name
    """A device, as ``torch.device``: a ``type`` and an ``index``; also a context that changes nothing.

    ``ValueError`` for a type that PyTorch does not have.

    >>> device("cuda:0").type, str(device("cpu"))
    ('cuda', 'cpu')
    """

    type: str
    index: int | None = None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        name, colon, number = str(getattr(type, "type", type)).partition(":")
        if name.isdigit():
            name, number, colon = "cuda", name, ":"
        if name not in _TYPES or (colon and not number.isdigit()):
            raise unknown("device", type, _TYPES)
        given = None if isinstance(type, (str, int)) else getattr(type, "index", None)
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", int(number) if number else given if index is None else index)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __enter__(self) -> device:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


CPU = device("cpu")


def is_device(x: object) -> bool:
    """Whether ``x`` names a device: one of these, PyTorch's, an index, or a string such as "cuda:0"."""
    if isinstance(x, str):
        return x.partition(":")[0] in _TYPES
    number = isinstance(x, int) and not isinstance(x, bool) and -1 <= x < 128
    return number or isinstance(x, device) or type(x).__name__ == "device"
