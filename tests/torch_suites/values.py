"""PyTorch's values as halfsim's, and both as arrays that can be compared."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import halfsim as hs

try:
    import torch
except ImportError:  # the recorded samples run without it
    torch = None  # type: ignore[assignment]


class ConversionError(Exception):
    """A value of PyTorch that has no counterpart here (sparse, quantized, a lambda that calls torch)."""


FLOATS = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, eq=False)
class Recorded:
    """A tensor of PyTorch's as a record has it: its exact values, and its dtype by name."""

    array: Any
    dtype: str
    requires_grad: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape


def tensor_of(array: Any, name: str, requires_grad: bool = False) -> Any:
    """Our tensor of an array and a dtype's name; NumPy's array where we have no such dtype."""
    if name in FLOATS:
        return hs.tensor(array, name, requires_grad=requires_grad)
    return hs.tensor(array) if _keeps(name) else array


def name_of(dtype: Any) -> str:
    """The name of a dtype of PyTorch, NumPy or halfsim: "float64", "bool"."""
    return str(dtype).rsplit(".", 1)[-1]


def as_dtype(dtype: Any) -> Any:
    """halfsim's dtype for PyTorch's; NumPy's where it has none."""
    name = name_of(dtype)
    ours = hs.__dict__.get(name)
    return ours if ours is not None and not callable(ours) else np.dtype(name)


def array_of(t: Any) -> Any:
    """The values of PyTorch's tensor as a NumPy array of their own."""
    t = t.detach().resolve_conj().resolve_neg()
    if t.layout is not torch.strided or t.is_quantized or t.is_meta:
        raise ConversionError(f"{t.device} {t.layout} tensor")
    try:
        return np.array((t.float() if t.dtype == torch.bfloat16 else t).numpy(force=True))
    except (ValueError, TypeError) as error:  # more than 64 axes, a dtype that NumPy lacks
        raise ConversionError(str(error)) from None


@functools.cache
def _keeps(kind: str) -> bool:
    """Whether ``hs.tensor`` of such an array keeps its dtype."""
    try:
        return name_of(hs.tensor(np.ones(1, kind)).dtype) == kind
    except (TypeError, ValueError):
        return False


def fresh(x: Any, made: dict[int, tuple[Any, Any]]) -> Any:
    """A nest of PyTorch's values with leaves of their own, strides kept: samples may be views of another leaf."""
    if isinstance(x, torch.Tensor) and type(x) is torch.Tensor and x.requires_grad:
        if id(x) not in made:
            made[id(x)] = (x, x.detach().requires_grad_())
        return made[id(x)][1]
    if isinstance(x, dict):
        return {key: fresh(value, made) for key, value in x.items()}
    return type(x)(fresh(value, made) for value in x) if type(x) in (list, tuple) else x


class Converter:
    """Makes halfsim's values of PyTorch's, the same one each time the same tensor is met; knows the leaves."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Any]] = {}

    @property
    def leaves(self) -> list[tuple[Any, Any]]:
        """Tensors that take a gradient: PyTorch's, and ours."""
        return [(theirs, ours) for theirs, ours in self.made.values() if theirs.requires_grad]

    def tensor(self, t: Any) -> Any:
        if id(t) not in self.made:
            self.made[id(t)] = (t, tensor_of(array_of(t), name_of(t.dtype), t.requires_grad))
        return self.made[id(t)][1]

    def __call__(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return self.tensor(x)
        if isinstance(x, torch.Size):
            return tuple(x)
        if isinstance(x, dict):
            return {key: self(value) for key, value in x.items()}
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return type(x)(*map(self, x))
        if isinstance(x, (list, tuple)):
            return type(x)(map(self, x))
        if isinstance(x, slice):
            return slice(self(x.start), self(x.stop), self(x.step))
        if isinstance(x, torch.dtype):
            return as_dtype(x)
        if isinstance(x, torch.device):
            return hs.__dict__.get("device", str)(str(x))
        if isinstance(x, (torch.memory_format, torch.layout)):
            return hs.__dict__.get(name_of(x), name_of(x))
        if isinstance(x, torch.nn.Module):
            return self.module(x)
        if callable(x) and not isinstance(x, type):
            return _function(x)
        if type(x).__module__.startswith("torch"):
            raise ConversionError(f"a {type(x).__name__}")
        return x

    def module(self, theirs: Any) -> Any:
        """Our layer that repeats PyTorch's, where it takes no arguments or is a layer of a Transformer."""
        kind = getattr(hs.nn, type(theirs).__name__, None)
        if kind is None:
            raise ConversionError(f"nn.{type(theirs).__name__}")
        if not any(True for _ in theirs.parameters()):
            return kind()
        return load(kind(**LAYERS[type(theirs).__name__](theirs)), theirs)


def _transformer_layer(m: Any) -> dict[str, Any]:
    return {
        "d_model": m.self_attn.embed_dim,
        "nhead": m.self_attn.num_heads,
        "dim_feedforward": m.linear1.out_features,
        "dropout": m.dropout.p,
        "activation": _function(m.activation),
        "layer_norm_eps": m.norm1.eps,
        "batch_first": m.self_attn.batch_first,
        "norm_first": m.norm_first,
        "bias": m.linear1.bias is not None,
    }


LAYERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "TransformerEncoderLayer": _transformer_layer,
    "TransformerDecoderLayer": _transformer_layer,
}


def load(ours: Any, theirs: Any) -> Any:
    """Our module in the format of PyTorch's, with its parameters and buffers."""
    state = theirs.state_dict()
    return load_arrays(ours, {key: Recorded(array_of(x), name_of(x.dtype)) for key, x in state.items()})


def load_arrays(ours: Any, state: dict[str, Recorded]) -> Any:
    for name in {x.dtype for x in state.values()} & {*FLOATS}:
        ours = ours.to(name)
    ours.load_state_dict({key: x.array for key, x in state.items()})
    return ours


def _function(f: Any) -> Any:
    """Our function of the same name as PyTorch's; a Python function as it is if it never speaks of torch."""
    name = getattr(f, "__name__", "")
    for theirs, ours in ((torch, hs.__dict__), (torch.nn.functional, hs.nn.functional.__dict__)):
        if getattr(theirs, name, None) is f:
            found = ours.get(name) or getattr(hs.ops, name, None)
            if found is not None:
                return found
    code = getattr(f, "__code__", None)
    if code is None or "torch" in code.co_names:
        raise ConversionError(f"the function {name or f!r}")
    return f


# Results, as flat lists.


def flat(x: Any) -> Iterator[Any]:
    """The tensors, arrays and numbers in nested tuples, lists and dicts; None as it is."""
    if isinstance(x, dict):
        for value in x.values():
            yield from flat(value)
    elif isinstance(x, (list, tuple)):
        for value in x:
            yield from flat(value)
    else:
        yield x


def is_tensor(x: Any) -> bool:
    return isinstance(x, (hs.Tensor, Recorded)) or (torch is not None and isinstance(x, torch.Tensor))


def values(x: Any) -> Any:
    """A result as a NumPy array: exact values, in the container that holds them."""
    if isinstance(x, hs.Tensor):
        return np.asarray(x.array)
    if isinstance(x, Recorded):
        return x.array
    if torch is not None and isinstance(x, torch.Tensor):
        return array_of(x.to_dense() if x.layout is not torch.strided else x)
    return (
        np.asarray(str(x)) if not isinstance(x, (bool, int, float, complex, np.ndarray, np.generic)) else np.asarray(x)
    )


def kind_of(x: Any) -> str:
    """The dtype of a result by name."""
    if x is None:
        return "None"
    dtype = getattr(x, "dtype", None)
    return name_of(dtype) if dtype is not None else type(x).__name__


def same(ours: Any, theirs: Any, tolerance: float | None) -> bool:
    """Whether two arrays of one shape hold the same numbers: to a tolerance, or (None) the same, signs of zero too."""
    if ours.dtype.kind in "USO" or theirs.dtype.kind in "USO":
        return bool(np.array_equal(ours.astype(str), theirs.astype(str)))
    if tolerance is None:
        return bool(alike(ours, theirs).all())
    if not (ours.dtype.kind in "fc" or theirs.dtype.kind in "fc"):
        return bool(np.array_equal(ours, theirs))
    scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0) if theirs.size else 0.0
    slack = tolerance * max(1.0, 1e-3 * float(scale))
    return bool(np.isclose(ours, theirs, rtol=tolerance, atol=slack, equal_nan=True).all())


def alike(ours: Any, theirs: Any) -> Any:
    """Where two float arrays hold the same number, the sign of zero included; NaN is NaN."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return (np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))


# Samples in words.


def shown(x: Any) -> str:
    """A value of PyTorch in a few characters: values of small tensors, shapes of large ones."""
    if torch is not None and isinstance(x, torch.Tensor):
        name = name_of(x.dtype).replace("float", "f").replace("int", "i")
        if x.layout is torch.strided and not x.is_meta and x.numel() <= 6:
            return f"{name}{_short(x.detach().tolist())}" if x.ndim else f"{name}({_short(x.item())})"
        return f"{name}[{', '.join(map(str, x.shape))}]"
    if isinstance(x, (list, tuple)) and not isinstance(x, str):
        inner = ", ".join(map(shown, x))
        return f"[{inner}]" if isinstance(x, list) else f"({inner}{',' if len(x) == 1 else ''})"
    if isinstance(x, dict):
        return "{" + ", ".join(f"{key}: {shown(value)}" for key, value in x.items()) + "}"
    if isinstance(x, float):
        return _short(x)
    return repr(x) if not callable(x) else getattr(x, "__name__", type(x).__name__)


def _short(x: Any) -> str:
    if isinstance(x, list):
        return "[" + ", ".join(map(_short, x)) + "]"
    return f"{x:.6g}" if isinstance(x, float) and math.isfinite(x) else str(x)


def call_shown(name: str, args: Any, kwargs: Any) -> str:
    """A call as it would be written, shortened."""
    parts = [*map(shown, args), *(f"{key}={shown(value)}" for key, value in kwargs.items())]
    text = f"{name}({', '.join(parts)})"
    return text if len(text) <= 300 else text[:297] + "..."


def elements(x: Any) -> int:
    """How many numbers a nest of PyTorch's tensors holds."""
    return sum(t.numel() if isinstance(t, torch.Tensor) else 1 for t in flat(x))
