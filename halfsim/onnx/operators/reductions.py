"""Operators along axes: sums, extremes, norms, running sums, softmax, the largest few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.onnx.operators.table import row
from halfsim.onnx.values import axis_of, integers, numbers


def _logsum(x: Any, axis: Any, keepdims: bool) -> Any:
    return ops.log(ops.sum(x, axis, keepdims))


def _square_sum(x: Any, axis: Any, keepdims: bool) -> Any:
    return ops.sum(ops.square(x), axis, keepdims)


def _norm(p: float) -> Callable[..., Any]:
    return lambda x, axis, keepdims: ops.vector_norm(x, p, axis, keepdims)


# What a reduction is, and its result where there is nothing to reduce.
_REDUCTIONS: dict[str, tuple[Callable[..., Any], float]] = {
    "ReduceSum": (ops.sum, 0.0), "ReduceMean": (ops.mean, np.nan), "ReduceMax": (ops.amax, -np.inf),
    "ReduceMin": (ops.amin, np.inf), "ReduceProd": (ops.prod, 1.0), "ReduceL1": (_norm(1), 0.0),
    "ReduceL2": (_norm(2), 0.0), "ReduceLogSum": (_logsum, -np.inf), "ReduceLogSumExp": (ops.logsumexp, -np.inf),
    "ReduceSumSquare": (_square_sum, 0.0),
}  # fmt: skip


def _reduction(function: Callable[..., Any], empty: float) -> Callable[..., Any]:
    def run(x: Any, axes: Any = None, /, *, keepdims: int, noop_with_empty_axes: int = 0) -> Any:
        given = [] if axes is None else [axis_of(a, x.ndim) for a in integers(axes)]
        if not given and noop_with_empty_axes:
            over: tuple[int, ...] = ()
        else:
            over = tuple(given) or tuple(range(x.ndim))
        if not over:  # each element by itself
            one = x.reshape((*x.shape, 1))
            return function(one, (x.ndim,), False)
        if any(x.shape[a] == 0 for a in over):
            shape = [1 if a in over else n for a, n in enumerate(x.shape) if keepdims or a not in over]
            return ops.full(shape, empty, dtype=x.format)
        return function(x, over, bool(keepdims))

    return run


for _name, (_function, _empty) in _REDUCTIONS.items():
    row(_name)(_reduction(_function, _empty))


def _extreme(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, /, *, axis: int, keepdims: int, select_last_index: int = 0) -> Any:
        values = np.asarray(numbers(x))
        found = function(np.flip(values, axis) if select_last_index else values, axis)
        if select_last_index:
            found = values.shape[axis] - 1 - found
        return np.asarray(np.expand_dims(found, axis) if keepdims else found, np.int64)

    return run


row("ArgMax", given="any")(_extreme(np.argmax))
row("ArgMin", given="any")(_extreme(np.argmin))


def _running(function: Callable[..., Any], start: float) -> Callable[..., Any]:
    def run(x: Any, axis: Any, /, *, exclusive: int, reverse: int) -> Any:
        along = axis_of(integers(axis)[0], x.ndim)
        y = ops.flip(x, (along,)) if reverse else x
        if exclusive:
            first = ops.full([1 if a == along else n for a, n in enumerate(y.shape)], start, dtype=y.format)
            y = ops.cat([first, y.narrow(along, 0, y.shape[along] - 1)], along)
        y = function(y, along)
        return ops.flip(y, (along,)) if reverse else y

    return run


row("CumSum")(_running(ops.cumsum, 0.0))
row("CumProd")(_running(ops.cumprod, 1.0))


def _soft(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, /, *, axis: int, since: int) -> Any:
        if since >= 13:
            return function(x, axis)
        before = x.ndim if axis == x.ndim else axis_of(axis, x.ndim)
        rows = int(np.prod(x.shape[:before], dtype=np.int64))
        return function(x.reshape((rows, -1)), 1).reshape(tuple(x.shape))

    return run


def _hardmax(x: Any, axis: int) -> Any:
    values = numbers(x)
    first = np.expand_dims(np.argmax(values, axis), axis)
    lengths = [-1 if a == axis % x.ndim else 1 for a in range(x.ndim)]
    return Tensor((np.arange(x.shape[axis]).reshape(lengths) == first).astype(values.dtype), x.format)


row("Softmax")(_soft(ops.softmax))
row("LogSoftmax")(_soft(ops.log_softmax))
row("Hardmax")(_soft(_hardmax))


@row("TopK", given="moved")
def topk(x: Any, k: Any, /, *, axis: int, largest: int = 1, sorted: int = 1) -> Any:
    """The largest or smallest ``k`` along an axis, the first of equal ones first, and their places."""
    values, count, along = numbers(x), integers(k)[0], axis_of(axis, x.ndim)
    if not 0 <= count <= values.shape[along]:
        raise ValueError(f"K: {count} is not allowed; allowed: 0 to {values.shape[along]}")
    if largest and values.dtype.kind in "bu":
        order = values.shape[along] - 1 - np.flip(np.argsort(np.flip(values, along), along, kind="stable"), along)
    else:
        order = np.argsort(-values if largest else values, along, kind="stable")
    places = np.take(order, np.arange(count), along)
    return ops.take_along_dim(x, places, along), places.astype(np.int64)
