"""Control flow, sequences and optional values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.onnx.operators.shape import split
from halfsim.onnx.operators.table import row
from halfsim.onnx.values import LIMIT, dtype_of, is_float, numbers, stored, unwrapped, wrapped

Run = Callable[..., list[Any]]


def _truth(x: Any) -> bool:
    found = np.asarray(numbers(x)).reshape(-1)
    if found.size != 1:
        raise ValueError(f"cond: {found.size} values are not allowed; allowed: one")
    return bool(found[0])


def joined(parts: list[Any], axis: int, new: int = 0) -> Any:
    """Tensors along an axis, or along a new one."""
    if any(is_float(x) for x in parts) or all(isinstance(wrapped(x), Tensor) for x in parts):
        found = [wrapped(x) for x in parts]
        return unwrapped(ops.stack(found, axis) if new else ops.cat(found, axis))
    return np.stack(parts, axis) if new else np.concatenate(parts, axis)


@row("If", given="any")
def if_(condition: Any, /, *, then_branch: Run, else_branch: Run) -> Any:
    """One graph or the other."""
    return tuple((then_branch if _truth(condition) else else_branch)([]))


@row("Loop", given="any")
def loop(*inputs: Any, body: Run, elements: Any) -> Any:
    """A graph again and again: at most so often, as long as a condition holds."""
    most, condition, *carried = inputs
    limit = LIMIT if most is None else int(np.asarray(most).reshape(-1)[0])
    go, kept, scanned, i = condition is None or _truth(condition), len(carried), list[list[Any]](), 0
    while go and i < limit:
        found, *results = body([np.array(i, np.int64), np.array(True), *carried])
        go, carried, i = _truth(found), results[:kept], i + 1
        scanned = scanned or [[] for _ in results[kept:]]
        for row_, x in zip(scanned, results[kept:], strict=True):
            row_.append(x)
    if not i:
        scanned = [[] for _ in elements[kept:]]
    stacked = [joined(rows, 0, 1) if rows else stored(np.zeros((0,), dtype_of(elements[kept + k] or 1)))
               for k, rows in enumerate(scanned)]  # fmt: skip
    return (*carried, *stacked)


@row("Scan", given="any")
def scan(
    *inputs: Any, body: Run, num_scan_inputs: int, directions: Any = None, scan_input_directions: Any = None,
    scan_output_directions: Any = None, scan_input_axes: Any = None, scan_output_axes: Any = None, since: int,
) -> Any:  # fmt: skip
    """A graph for each step along an axis, which carries states on."""
    if since < 9:
        return _batched_scan(inputs, body, num_scan_inputs, directions)
    states, given = list(inputs[: len(inputs) - num_scan_inputs]), inputs[len(inputs) - num_scan_inputs :]
    backwards = scan_input_directions or [0] * len(given)
    along = scan_input_axes or [0] * len(given)
    results: list[list[Any]] = []
    for i in range(given[0].shape[along[0]]):
        parts = [
            _at(x, a, x.shape[a] - 1 - i if back else i) for x, a, back in zip(given, along, backwards, strict=True)
        ]
        found = body([*states, *parts])
        states, new = found[: len(states)], found[len(states) :]
        results = results or [[] for _ in new]
        for rows, x in zip(results, new, strict=True):
            rows.append(x)
    turned = scan_output_directions or [0] * len(results)
    axes = scan_output_axes or [0] * len(results)
    return (*states, *(joined(rows[::-1] if back else rows, a, 1)
                       for rows, a, back in zip(results, axes, turned, strict=True)))  # fmt: skip


def _at(x: Any, axis: int, i: int) -> Any:
    return unwrapped(ops.select(wrapped(x), axis, i)) if isinstance(wrapped(x), Tensor) else np.take(x, i, axis)


def _batched_scan(inputs: Any, body: Run, count: int, directions: Any) -> Any:
    """Version 8, which has a first input of lengths, and a first axis of samples."""
    lengths, *rest = inputs
    states, given = rest[: len(rest) - count], rest[len(rest) - count :]
    found = []
    for b in range(given[0].shape[0]):
        own = [_at(x, 0, b) for x in (*states, *given)]
        if lengths is not None:
            own[len(states) :] = [x[: int(np.asarray(lengths)[b])] for x in own[len(states) :]]
        found.append(scan(*own, body=body, num_scan_inputs=count, scan_input_directions=directions, since=9))
    return tuple(joined(list(rows), 0, 1) for rows in zip(*found, strict=True))


# Sequences.


def _place(position: Any, length: int) -> int:
    i = int(np.asarray(numbers(position)).reshape(-1)[0])
    if not -length <= i < max(length, 1):
        raise ValueError(f"position: {i} is not allowed; allowed: {-length} to {length - 1}")
    return i % max(length, 1)


@row("SequenceEmpty", given="any")
def sequence_empty(*, dtype: int | None = None) -> Any:
    """A sequence of nothing."""
    return ([],)


@row("SequenceConstruct", given="any")
def sequence_construct(*tensors: Any) -> Any:
    """A sequence of tensors."""
    return (list(tensors),)


@row("SequenceAt", given="any")
def sequence_at(sequence: Any, position: Any, /) -> Any:
    """One tensor of a sequence."""
    return (sequence[_place(position, len(sequence))],)


@row("SequenceInsert", given="any")
def sequence_insert(sequence: Any, x: Any, position: Any = None, /) -> Any:
    """A sequence with one more tensor."""
    i = len(sequence) if position is None else int(np.asarray(numbers(position)).reshape(-1)[0])
    if not -len(sequence) <= i <= len(sequence):
        raise ValueError(f"position: {i} is not allowed; allowed: {-len(sequence)} to {len(sequence)}")
    i += len(sequence) if i < 0 else 0
    return ([*sequence[:i], x, *sequence[i:]],)


@row("SequenceErase", given="any")
def sequence_erase(sequence: Any, position: Any = None, /) -> Any:
    """A sequence with one tensor less."""
    i = len(sequence) - 1 if position is None else _place(position, len(sequence))
    return ([*sequence[:i], *sequence[i + 1 :]],)


@row("SequenceLength", given="any")
def sequence_length(sequence: Any, /) -> Any:
    """How many tensors there are."""
    return np.array(len(sequence), np.int64)


@row("SplitToSequence", given="any")
def split_to_sequence(x: Any, parts: Any = None, /, *, axis: int = 0, keepdims: int = 1) -> Any:
    """A tensor cut along an axis into a sequence."""
    n = x.shape[axis]
    if parts is None:
        sizes = [1] * n
    elif np.ndim(parts):
        sizes = [int(k) for k in parts]
    else:
        sizes = [min(int(parts), n - i) for i in range(0, n, int(parts))]
    if isinstance(wrapped(x), Tensor):
        found = [unwrapped(y) for y in split(wrapped(x), np.array(sizes), axis=axis, wanted=len(sizes))]
    else:
        found = np.split(x, np.cumsum(sizes)[:-1], axis)
    if parts is None and not keepdims:
        found = [_at(y, axis, 0) for y in found]
    return (found,)


@row("ConcatFromSequence", given="any")
def concat_from_sequence(sequence: Any, /, *, axis: int, new_axis: int = 0) -> Any:
    """The tensors of a sequence joined along an axis."""
    return joined(list(sequence), axis, new_axis)


# Optional values: None is one without a value.


@row("Optional", given="any")
def optional(x: Any = None, /, *, type: Any = None) -> Any:
    """A value that may be missing."""
    return (x,)


@row("OptionalHasElement", given="any")
def optional_has_element(x: Any = None, /) -> Any:
    """Whether there is a value."""
    return np.array(x is not None)


@row("OptionalGetElement", given="any")
def optional_get_element(x: Any, /) -> Any:
    """The value; refused where there is none."""
    if x is None:
        raise ValueError("input: an optional value without an element is not allowed; allowed: one with an element")
    return (x,)
