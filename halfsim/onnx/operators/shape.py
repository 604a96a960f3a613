"""Operators that move values: shapes, joins, cuts, gathers, scatters, types."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.scope import resolve
from halfsim.autograd.tape import SPECS, apply
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import INTEGERS, Format
from halfsim.numerics.precision import Precision
from halfsim.onnx.operators.table import room, row
from halfsim.onnx.values import (
    FORMATS,
    NUMBERS,
    STRING,
    as_array,
    as_value,
    axis_of,
    dtype_of,
    element_of,
    fitting,
    integers,
    is_float,
    numbers,
    stored,
)  # fmt: skip


@row("Identity", given="any")
def identity(x: Any, /) -> Any:
    """What it is given."""
    return x


@row("Reshape", given="moved")
def reshape(x: Any, shape: Any, /, *, allowzero: int = 0) -> Any:
    """Other lengths of axes; 0 keeps one, -1 is what is left."""
    wanted = integers(shape)
    if not allowzero:
        if any(not n and i >= x.ndim for i, n in enumerate(wanted)):
            raise ValueError(f"shape: {tuple(wanted)} of {tuple(x.shape)} is not allowed; allowed: 0 for an axis of it")
        wanted = [n if n else x.shape[i] for i, n in enumerate(wanted)]
    return ops.reshape(x, tuple(wanted))


@row("Flatten", given="moved")
def flatten(x: Any, /, *, axis: int) -> Any:
    """Two axes: those before ``axis``, and the rest."""
    axis += x.ndim if axis < 0 else 0
    return ops.reshape(x, (int(np.prod(x.shape[:axis], dtype=np.int64)), int(np.prod(x.shape[axis:], dtype=np.int64))))


@row("Squeeze", given="moved")
def squeeze(x: Any, axes: Any = None, /) -> Any:
    """Without axes of length 1."""
    named = None if axes is None else integers(axes)
    if named is not None and any(not -x.ndim <= a < x.ndim or x.shape[a] != 1 for a in named):
        raise ValueError(f"axes: {tuple(named)} of {tuple(x.shape)} are not allowed; allowed: axes of length 1")
    gone = {a for a, n in enumerate(x.shape) if n == 1} if named is None else {a % x.ndim for a in named}
    return ops.reshape(x, tuple(n for a, n in enumerate(x.shape) if a not in gone))


@row("Unsqueeze", given="moved")
def unsqueeze(x: Any, axes: Any, /) -> Any:
    """With more axes of length 1."""
    return ops.reshape(x, np.expand_dims(np.empty(x.shape, np.bool_), tuple(integers(axes))).shape)


@row("Transpose", given="moved")
def transpose(x: Any, /, *, perm: Any = None) -> Any:
    """Axes in another order, by default the reverse."""
    return ops.permute(x, tuple(perm) if perm is not None else tuple(range(x.ndim))[::-1])


@row("Expand", given="moved")
def expand(x: Any, shape: Any, /) -> Any:
    """Broadcast together with a shape."""
    return ops.broadcast_to(x, fitting(np.broadcast_shapes(tuple(x.shape), fitting(integers(shape)))))


@row("Tile", given="moved")
def tile(x: Any, repeats: Any, axis: Any = None, /, *, since: int) -> Any:
    """Repeated along each axis; in version 1 along one."""
    counts = integers(repeats)
    if since < 6 and axis is not None:
        along = axis_of(integers(axis)[0], x.ndim)
        counts = [counts[0] if a == along else 1 for a in range(x.ndim)]
    fitting([n * c for n, c in zip(x.shape, counts, strict=True)])
    return ops.tile(x, tuple(counts))


@row("Concat", given="moved")
def concat(*tensors: Any, axis: int = 1) -> Any:
    """Joined along an axis."""
    return ops.cat(list(tensors), axis)


@row("Split", given="moved")
def split(x: Any, split: Any = None, /, *, axis: int = 0, num_outputs: int | None = None, wanted: int) -> Any:
    """Cut along an axis into parts of given lengths, or of nearly equal ones."""
    length = x.shape[axis]
    if split is None:
        count = num_outputs or wanted
        each = -(-length // count)
        sizes = [max(0, min(each, length - i * each)) for i in range(count)]
    else:
        sizes = integers(split)
    return tuple(ops.split_with_sizes(x, sizes, axis))


@row("Slice", given="moved")
def slice_(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None, /) -> Any:
    """Parts along axes, as Python's slices."""
    first, last = integers(starts), integers(ends)
    over = list(range(len(first))) if axes is None else integers(axes)
    by = [1] * len(first) if steps is None else integers(steps)
    cut = [slice(None)] * x.ndim
    for a, begin, end, step in zip(over, first, last, by, strict=True):
        n = x.shape[a]
        if step < 0 and end < -n:
            stop: int | None = None  # down to the first, which no negative number says
        else:
            stop = max(min(end, 2**62), -(2**62))
        cut[a] = slice(max(min(begin, 2**62), -n if step > 0 else -(2**62)), stop, step)
    return ops.getitem(x, tuple(cut))


@row("Gather", given="moved")
def gather(x: Any, indices: Any, /, *, axis: int) -> Any:
    """Elements along an axis, by an array of places."""
    return ops.getitem(x, (slice(None),) * axis_of(axis, x.ndim) + (np.asarray(indices),))


@row("GatherElements", given="moved")
def gather_elements(x: Any, indices: Any, /, *, axis: int) -> Any:
    """For each place of ``indices`` the element of its line along an axis."""
    return ops.gather(x, axis, np.where(indices < 0, indices + x.shape[axis], indices))


def _places(indices: Any, batch: int) -> tuple[Any, ...]:
    """The index that a tensor of places in its last axis is, the first ``batch`` axes standing for themselves."""
    own = np.indices(indices.shape[:batch], sparse=True) if batch else ()
    own = tuple(np.reshape(one, one.shape + (1,) * (indices.ndim - 1 - batch)) for one in own)
    return (*own, *np.moveaxis(indices, -1, 0))


@row("GatherND", given="moved")
def gather_nd(x: Any, indices: Any, /, *, batch_dims: int = 0) -> Any:
    """Elements or parts at places whose coordinates stand in the last axis."""
    return ops.getitem(x, _places(np.asarray(indices), batch_dims))


_REDUCED = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@row("ScatterElements", "Scatter", given="moved")
def scatter_elements(x: Any, indices: Any, updates: Any, /, *, axis: int, reduction: str = "none") -> Any:
    """A copy with other elements along an axis, by an array of places."""
    places = np.where(indices < 0, indices + x.shape[axis], indices)
    if reduction == "none":
        return ops.scatter(x, axis, places, updates)
    return ops.scatter_reduce(x, axis, places, updates, _REDUCED[reduction])


@row("ScatterND", given="moved")
def scatter_nd(x: Any, indices: Any, updates: Any, /, *, reduction: str = "none") -> Any:
    """A copy with other elements or parts at places whose coordinates stand in the last axis."""
    depth = indices.shape[-1]
    head, tail = tuple(x.shape[:depth]), tuple(x.shape[depth:])
    places = tuple(np.where(i < 0, i + n, i) for i, n in zip(np.moveaxis(indices, -1, 0), head, strict=True))
    flat = np.ravel_multi_index(places, head).reshape(-1)
    rest = int(np.prod(tail, dtype=np.int64))
    lines, new = ops.reshape(x, (-1, rest)), ops.reshape(updates, (flat.size, rest))
    index = np.broadcast_to(flat[:, None], (flat.size, rest))
    if reduction == "none":
        y = ops.scatter(lines, 0, index, new)
    else:
        y = ops.scatter_reduce(lines, 0, index, new, _REDUCED[reduction])
    return ops.reshape(y, tuple(x.shape))


@row("TensorScatter", given="moved")
def tensor_scatter(x: Any, update: Any, write_indices: Any = None, /, *, axis: int = -2, mode: str = "linear") -> Any:
    """A cache with new entries written along an axis from a place on, for each of the batch its own."""
    axis = axis_of(axis, x.ndim)
    length = update.shape[axis]
    starts = np.zeros(x.shape[0], np.int64) if write_indices is None else np.asarray(write_indices)
    along = starts[:, None] + np.arange(length)
    if mode == "circular":
        along %= x.shape[axis]
    shape = [x.shape[0], *([1] * (x.ndim - 1))]
    shape[axis] = length
    return ops.scatter(x, axis, np.broadcast_to(along.reshape(shape), update.shape), update)


@row("Where", given="any")
def where(condition: Any, x: Any, y: Any, /) -> Any:
    """One or the other by a condition."""
    if is_float(x) or is_float(y):
        return ops.where(condition, x, y)
    return np.where(condition, x, y)


@row("Pad", given="moved")
def pad(
    x: Any, pads: Any = None, value: Any = None, axes: Any = None, /, *, mode: str = "constant", paddings: Any = None
) -> Any:
    """More elements at the ends of axes, or fewer; ``paddings`` is what version 1 calls them."""
    ends = integers(paddings if pads is None else pads)
    over = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in integers(axes)]
    pairs = [[0, 0] for _ in range(x.ndim)]
    for a, before, after in zip(over, ends[: len(over)], ends[len(over) :], strict=True):
        pairs[a] = [before, after]
    fitting([max(0, n + before + after) for n, (before, after) in zip(x.shape, pairs, strict=True)])
    if mode == "constant":
        filling = 0 if value is None else np.asarray(numbers(value)).reshape(-1)[0].item()
        return ops.pad(x, [n for pair in pairs[::-1] for n in pair], value=filling)
    for a, (before, after) in enumerate(pairs):
        if before or after:
            places = np.arange(x.shape[a])[max(0, -before) : x.shape[a] - max(0, -after)]
            x = ops.index_select(x, a, np.pad(places, (max(0, before), max(0, after)), mode))  # type: ignore[call-overload]
    return x


@row("DepthToSpace", given="moved")
def depth_to_space(x: Any, /, *, blocksize: int, mode: str = "DCR") -> Any:
    """Channels to blocks of pixels."""
    n, c, h, w = x.shape
    b, depth = blocksize, c // blocksize**2
    if mode == "DCR":
        y = ops.permute(ops.reshape(x, (n, b, b, depth, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        y = ops.permute(ops.reshape(x, (n, depth, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(y, (n, depth, h * b, w * b))


@row("SpaceToDepth", given="moved")
def space_to_depth(x: Any, /, *, blocksize: int, mode: str = "DCR") -> Any:
    """Blocks of pixels to channels."""
    n, c, h, w = x.shape
    b = blocksize
    y = ops.reshape(x, (n, c, h // b, b, w // b, b))
    y = ops.permute(y, (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return ops.reshape(y, (n, c * b * b, h // b, w // b))


@row("Compress", given="moved")
def compress(x: Any, condition: Any, /, *, axis: int | None = None) -> Any:
    """The elements where a condition holds."""
    places = np.flatnonzero(condition)
    return ops.index_select(ops.reshape(x, (-1,)), 0, places) if axis is None else ops.index_select(x, axis, places)


@row("ReverseSequence", given="moved")
def reverse_sequence(x: Any, lengths: Any, /, *, batch_axis: int, time_axis: int) -> Any:
    """The first so many steps of each sequence in reverse."""
    steps, counts = np.arange(x.shape[time_axis])[:, None], np.asarray(lengths)[None, :]
    places = np.where(steps < counts, counts - 1 - steps, steps)
    places = places if time_axis < batch_axis else places.T
    shape = [n if a in (batch_axis, time_axis) else 1 for a, n in enumerate(x.shape)]
    return ops.take_along_dim(x, np.broadcast_to(places.reshape(shape), x.shape), time_axis)


@row("Trilu", given="moved")
def trilu(x: Any, k: Any = None, /, *, upper: int) -> Any:
    """The upper or the lower triangle."""
    diagonal = 0 if k is None else integers(k)[0]
    return (ops.triu if upper else ops.tril)(x, diagonal)


@row("OneHot", given="any")
def one_hot(indices: Any, depth: Any, values: Any, /, *, axis: int) -> Any:
    """One value where an index says, another elsewhere."""
    count = integers(depth)[0]
    places = np.asarray(numbers(indices)).astype(np.int64)
    room(places.size * max(count, 0))
    places = np.where(places < 0, places + count, places)
    at = np.expand_dims(places, axis)
    lengths = [1] * at.ndim
    lengths[axis] = count
    hot = (np.arange(count).reshape(lengths) == at).astype(np.int64)
    return ops.getitem(values, (hot,)) if is_float(values) else np.asarray(values)[hot]


@row("Shape", given="any")
def shape(x: Any, /, *, start: int = 0, end: int | None = None) -> Any:
    """The lengths of the axes."""
    return np.array(np.shape(numbers(x))[start:end], np.int64)


@row("Size", given="any")
def size(x: Any, /) -> Any:
    """The number of elements."""
    return np.array(np.size(numbers(x)), np.int64)


@row("NonZero", given="any")
def nonzero(x: Any, /) -> Any:
    """The places of what is not zero."""
    return np.stack(np.nonzero(np.atleast_1d(numbers(x)))).astype(np.int64)


# What makes tensors.


@row("Constant", given="any")
def constant(
    *, value: Any = None, value_float: Any = None, value_floats: Any = None, value_int: Any = None,
    value_ints: Any = None, value_string: Any = None, value_strings: Any = None, sparse_value: Any = None,
) -> Any:  # fmt: skip
    """A tensor that stands in the file."""
    return stored(constant_of({name: x for name, x in locals().items() if x is not None}))


def constant_of(attributes: dict[str, Any]) -> Any:
    """The tensor that the attributes of a node Constant are."""
    for name, dtype in (("float", np.float32), ("int", np.int64), ("string", object)):
        for found in (attributes.get(f"value_{name}"), attributes.get(f"value_{name}s")):
            if found is not None:
                return np.array(found, dtype)
    found = attributes.get("value", attributes.get("sparse_value"))
    if found is None:
        raise ValueError("Constant: its value is missing; allowed: one attribute that begins with value")
    return found


@row("ConstantOfShape", given="any")
def constant_of_shape(shape: Any, /, *, value: Any = None) -> Any:
    """One value everywhere."""
    filling = np.zeros(1, np.float32) if value is None else np.asarray(value).reshape(-1)
    return stored(np.full(fitting(integers(shape)), filling[0], filling.dtype))


@row("EyeLike", given="any")
def eye_like(x: Any, /, *, k: int, elements: Any) -> Any:
    """Ones on a diagonal."""
    rows, columns = np.shape(numbers(x))
    return stored(np.eye(rows, columns, k=k).astype(dtype_of(elements[0])), elements[0])


@row("Range", given="any")
def range_(start: Any, limit: Any, delta: Any, /, *, elements: Any) -> Any:
    """Numbers at equal distances; of floats each is ``start + i * delta``."""
    first, last, by = (np.asarray(numbers(x)).reshape(-1)[0] for x in (start, limit, delta))
    if by == 0:
        raise ValueError("delta: 0 is not allowed; allowed: other numbers")
    count = room(max(0, int(np.ceil((np.float64(last) - np.float64(first)) / np.float64(by)))))
    if not is_float(start):
        return first + by * np.arange(count, dtype=first.dtype)
    steps = stored(np.arange(count, dtype=np.float64), elements[0])
    return ops.add(ops.mul(steps, delta), start)


# Types.


@row("Cast", given="any")
def cast(x: Any, /, *, to: Any, saturate: int = 1, round_mode: str = "up") -> Any:
    """Values of another type, whose name version 1 has; floats round once."""
    return cast_to(x, NUMBERS[to.lower()] if isinstance(to, str) else int(to), saturate, round_mode)


@row("CastLike", given="any")
def cast_like(x: Any, target: Any, /, *, saturate: int = 1, round_mode: str = "up", elements: Any) -> Any:
    """Values of the type of another tensor."""
    return cast_to(x, elements[0] or element_of(target), saturate, round_mode)


_MODES = {"up": "nearest_even", "down": "toward_zero", "nearest": "nearest_even"}


def cast_to(x: Any, element: int, saturate: int = 1, round_mode: str = "up") -> Any:
    """``x`` in the element type ``element``, as the precision in force has that of the file."""
    fmt = FORMATS.get(element)
    if fmt is None or not (is_float(x) or getattr(x, "dtype", None) in INTEGERS or _narrow_integers(x)):
        return stored(_plain_cast(x, element), element)
    if not is_float(x):
        return _counted(x, element, fmt)
    if fmt.bits > 8:
        wanted = resolve("cast", None, fmt)
        return x if wanted.storage == x.format else apply(SPECS["cast"], (x,), precision=wanted)
    if fmt.specials == "nan" and not fmt.signed:  # powers of two, whose rounding has rules of its own
        return stored(_plain_cast(x, element, saturate, round_mode), element)
    overflow = "saturate_inf" if saturate or fmt.specials == "none" else "infinity"
    return apply(SPECS["cast"], (x,), precision=Precision(storage=fmt, overflow=overflow))


def _narrow_integers(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "name", "") in ("int4", "uint4", "int2", "uint2", *INTEGERS)


def _counted(x: Any, element: int, fmt: Format) -> Any:
    """Integers as floats, rounded once."""
    whole = x.astype(np.int8) if x.dtype.name not in INTEGERS else x
    wanted = resolve("cast", None, fmt).storage
    return ops.as_tensor(whole, wanted)


def _plain_cast(x: Any, element: int, saturate: int = 1, round_mode: str = "up") -> Any:
    """A cast that needs no simulated unit, by the package's own rules."""
    from onnx.reference.ops.op_cast import cast_to as reference

    if element == STRING or not is_float(x):
        return reference(as_array(x), element, bool(saturate))
    if element in FORMATS:
        return reference(as_array(x), element, bool(saturate), round_mode)
    with np.errstate(all="ignore"):
        return reference(as_array(x), element, bool(saturate))


@row("CenterCropPad", given="moved")
def center_crop_pad(x: Any, shape: Any, /, *, axes: Any = None) -> Any:
    """Cut or filled with zeros about the middle."""
    over = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in axes]
    for a, wanted in zip(over, fitting(integers(shape)), strict=True):
        n = x.shape[a]
        if wanted < n:
            x = ops.narrow(x, a, (n - wanted) // 2, wanted)
        elif wanted > n:
            before = (wanted - n) // 2
            pairs = [0] * (2 * (x.ndim - 1 - a)) + [before, wanted - n - before]
            x = ops.pad(x, pairs, value=0)
    return x


def as_tensor(x: Any) -> Any:
    """A value as it leaves the model: integers and bools too are tensors."""
    if isinstance(x, np.ndarray) and x.dtype.name in INTEGERS:
        return Tensor(x, INTEGERS[x.dtype.name])
    return as_value(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
