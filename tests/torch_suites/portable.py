"""PyTorch's values as JSON holds them, and ours made of that, where no PyTorch is installed."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from tests.torch_suites.values import LAYERS, ConversionError, Recorded, array_of, as_dtype, name_of, tensor_of

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


def plain_array(x: Any, dtype: str, **more: Any) -> dict[str, Any]:
    """An array, exactly: JSON's numbers are those of float64."""
    values = np.asarray(x)
    if values.dtype.kind == "c":
        raise ConversionError("complex numbers")
    return {"dtype": dtype, "shape": list(values.shape), "values": values.ravel().tolist(), **more}


def array(line: dict[str, Any]) -> Any:
    """The array of a line."""
    container = "float32" if line["dtype"] == "bfloat16" else line["dtype"]
    return np.array(line["values"], container).reshape(line["shape"])


class Plain:
    """Makes JSON of PyTorch's values; a tensor that is met twice stands once in ``lines``."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.lines: list[dict[str, Any]] = []

    def __call__(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return {"tensor": self._index(x)}
        if x is None or type(x) in (bool, int, float, str):
            return x
        if type(x) in (tuple, torch.Size):
            return {"tuple": [*map(self, x)]}
        if type(x) is list:
            return [*map(self, x)]
        if type(x) is dict:
            return {"dict": [[key, self(value)] for key, value in x.items()]}
        if isinstance(x, slice):
            return {"slice": [self(x.start), self(x.stop), self(x.step)]}
        if isinstance(x, torch.dtype):
            return {"dtype": name_of(x)}
        if isinstance(x, torch.device):
            return {"device": str(x)}
        if isinstance(x, (torch.memory_format, torch.layout)):
            return {"named": name_of(x)}
        if isinstance(x, torch.nn.Module):
            return self._module(x)
        return self._named(x)

    def _index(self, t: Any) -> int:
        for i, known in enumerate(self.tensors):
            if known is t:
                return i
        more = {"grad": True} if t.requires_grad else {}
        self.lines.append(plain_array(array_of(t), name_of(t.dtype), **more))
        self.tensors.append(t)
        return len(self.tensors) - 1

    def _module(self, x: Any) -> Any:
        kind = type(x).__name__
        if kind in LAYERS:
            return {"module": kind, "options": self(LAYERS[kind](x))}
        if any(True for _ in x.parameters()):
            raise ConversionError(f"nn.{kind}")
        return {"module": kind, "options": {"dict": []}}

    def _named(self, x: Any) -> Any:
        name = getattr(x, "__name__", "")
        for theirs, ours, place in ((torch, hs, "hs"), (torch.nn.functional, hs.nn.functional, "hs.nn.functional")):
            if name and callable(x) and x in (getattr(theirs, name, None), getattr(ours, name, None)):
                return {"function": f"{place}.{name}"}
        raise ConversionError(f"a {type(x).__name__}")


class Ours:
    """Makes our values of JSON; ``leaves`` are those that take a gradient, as recorded and as ours."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.theirs = [recorded(line) for line in lines]
        self.made = [tensor_of(t.array, t.dtype, t.requires_grad) for t in self.theirs]

    @property
    def leaves(self) -> list[tuple[Any, Any]]:
        return [pair for pair in zip(self.theirs, self.made, strict=True) if pair[0].requires_grad]

    def __call__(self, x: Any) -> Any:
        if isinstance(x, list):
            return [*map(self, x)]
        if not isinstance(x, dict):
            return x
        made: dict[str, Any] = {
            "tensor": lambda i: self.made[i],
            "tuple": lambda items: tuple(map(self, items)),
            "dict": lambda items: {key: self(value) for key, value in items},
            "slice": lambda ends: slice(*map(self, ends)),
            "dtype": as_dtype,
            "device": hs.device,
            "named": lambda name: hs.__dict__.get(name, name),
            "function": resolve,
            "module": lambda kind: getattr(hs.nn, kind)(**self(x["options"])),
        }
        key, value = next(iter(x.items()))
        return made[key](value)


def resolve(place: str) -> Any:
    """Our function of a place: "hs.nn.functional.gelu", "Tensor.new_zeros"."""
    root, *parts = place.split(".")
    if root == "Tensor":
        member = getattr(hs.Tensor, parts[0])
        return (lambda x: getattr(x, parts[0])) if isinstance(member, property) else member
    found: Any = hs
    for part in parts:
        found = getattr(found, part)
    return found


def plain_result(x: Any, random: bool) -> Any:
    """One result of PyTorch's; of random ones the shape and dtype alone."""
    if not isinstance(x, torch.Tensor):
        if x is None or type(x) in (bool, int, float, str):
            return x
        raise ConversionError(f"a {type(x).__name__}")
    if random:
        return {"dtype": name_of(x.dtype), "shape": list(x.shape)}
    return plain_array(array_of(x), name_of(x.dtype))


def result(line: Any) -> Any:
    """A result for `judging.compared`."""
    if not isinstance(line, dict):
        return line
    if "values" not in line:
        return Recorded(
            np.zeros(line["shape"], "float32" if line["dtype"] == "bfloat16" else line["dtype"]), line["dtype"]
        )
    return recorded(line)


def recorded(line: dict[str, Any]) -> Recorded:
    return Recorded(array(line), line["dtype"], line.get("grad", False))
