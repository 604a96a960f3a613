"""How the samples of a batch become one: by kind, as PyTorch's ``default_collate``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence, Sized
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.inputs import unmasked
from halfsim.options import guarded_names

_ALLOWED = "tensors, arrays, numbers, strings, and dicts, tuples and lists of them"


def _is_array(x: Any) -> bool:
    return isinstance(x, (np.ndarray, np.generic)) and not isinstance(x, (np.str_, np.bytes_))


def as_tensor(values: Any) -> Any:
    """Numbers as a loader gives them: a Tensor of their own dtype, whatever precision is in force."""
    array = np.asarray(values)
    return tensor(array, array.dtype.name)


def _check_shapes(batch: Sequence[Any]) -> None:
    shapes = {x.shape for x in batch}
    if len(shapes) > 1:
        raise RuntimeError(f"default_collate: shapes {sorted(shapes)[:5]} are not allowed; allowed: one in a batch")


def _of_tensors(batch: Sequence[Any]) -> Any:
    _check_shapes(batch)
    fmt = batch[0].format
    if any(x.requires_grad or x.format != fmt for x in batch):
        return ops.stack(list(batch))
    return Tensor(np.stack([x.array for x in batch]), fmt)  # which is no operation


def _of_arrays(batch: Sequence[Any]) -> Any:
    if batch[0].dtype.kind not in "fiub":
        raise TypeError(f"default_collate: dtype {batch[0].dtype} is not allowed; allowed: {_ALLOWED}")
    _check_shapes(unmasked(batch, "batch"))
    return as_tensor(np.stack(batch))


# What becomes of a batch by the kind of its first sample; containers are entered.
_KINDS: list[tuple[type | tuple[type, ...], Callable[[Any], Any]]] = [
    (Tensor, _of_tensors),
    ((str, bytes), lambda batch: batch),
    ((np.ndarray, np.generic), _of_arrays),
    (float, lambda batch: tensor(batch, "float64")),
    (int, lambda batch: as_tensor(batch)),
]


def default_collate(batch: Sized) -> Any:
    """One batch of a list of samples: tensors and arrays are stacked, Python floats make a float64 Tensor.

    Dicts are collated by key, named tuples by name, tuples and lists by place, and give a list; strings stay a list.
    ``TypeError`` for others, ``RuntimeError`` for shapes or lengths that differ.

    >>> default_collate([(1.0, 3, "a"), (2.0, 4, "b")])
    [tensor([1., 2.], float64), tensor([3, 4], int64), ('a', 'b')]
    """
    samples: Any = batch
    first = samples[0]
    for kind, collate in _KINDS:
        if isinstance(first, kind):
            return collate(samples)
    if isinstance(first, Mapping):
        return _mapping(first, {key: default_collate([sample[key] for sample in samples]) for key in first})
    if isinstance(first, Sequence):
        lengths = sorted({len(sample) for sample in samples})
        if len(lengths) > 1:
            raise RuntimeError(f"default_collate: lengths {lengths[:5]} are not allowed; allowed: one in a batch")
        return _sequence(first, [default_collate(column) for column in zip(*samples, strict=True)])
    raise TypeError(f"default_collate: {type(first).__name__} is not allowed; allowed: {_ALLOWED}")


def default_convert(data: Any) -> Any:
    """One sample, where there is no batch: NumPy's arrays and numbers become tensors, containers are entered.

    >>> default_convert({"x": np.float32(2.0), "name": "a"})
    {'x': tensor(2., float32), 'name': 'a'}
    """
    if _is_array(data):
        return as_tensor(data) if data.dtype.kind in "fiub" else data
    if isinstance(data, Mapping):
        return _mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _sequence(data, [default_convert(x) for x in data])
    return data


def _mapping(like: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """``items`` in a mapping of the kind of ``like``, which may carry more than its items."""
    try:
        if isinstance(like, MutableMapping):
            made = copy.copy(like)
            made.update(items)
            return made
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _sequence(like: Sequence[Any], items: Iterable[Any]) -> Any:
    """``items`` in a sequence of the kind of ``like``; a plain tuple becomes a list, as in PyTorch."""
    items = list(items)
    if isinstance(like, tuple):
        return type(like)(*items) if hasattr(like, "_fields") else items
    try:
        if isinstance(like, MutableSequence):
            made = copy.copy(like)
            for i, item in enumerate(items):
                made[i] = item
            return made
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


guarded_names(globals(), ["default_collate", "default_convert"])
