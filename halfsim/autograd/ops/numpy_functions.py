"""NumPy's functions on tensors that move and choose values, with NumPy's arguments and defaults.

What they do is in NumPy's documentation; every step is an operation of `halfsim.ops`. Those that reduce are in
`numpy_reductions`, those that calculate in `numpy_calculus`.
"""

# ruff: noqa: D103, N803  # NumPy's names

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, Literal

import numpy as np

from halfsim.autograd.numpy_protocol import as_numpy, simulates
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import as_tensor, axes_of, axis_of
from halfsim.autograd.ops._common import indices as indices_of
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import as_dtype, promoted
from halfsim.options import refused


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a tensor, an array, a nested list with tensors in it."""
    return np.shape(plain(x) if isinstance(x, Tensor) else as_numpy(x))


def exactly(function: Callable[..., Any], *given: Any, **options: Any) -> Tensor:
    """The values that NumPy's ``function`` chooses of those ``given``, off the tape, in the widest of their formats."""
    first = next(x for x in given if isinstance(x, Tensor))
    tensors = [as_tensor(x, first) for x in given]
    fmt = promoted([x.format for x in tensors])
    arrays = [x.to(fmt).array for x in tensors]
    return Tensor(np.asarray(function(*arrays, **options)).astype(arrays[0].dtype), fmt)


# Functions that are an operation of ours by its own arguments, in the order that NumPy has.

_ROWS: dict[str, Callable[..., Any]] = {
    "transpose": lambda a, axes=None: OPS["transpose"](a, *(() if axes is None else (axes,))),
    "swapaxes": lambda a, axis1, axis2: OPS["swapaxes"](a, axis1, axis2),
    "moveaxis": lambda a, source, destination: OPS["moveaxis"](a, source, destination),
    "matrix_transpose": lambda x: OPS["swapaxes"](x, -1, -2),
    "squeeze": lambda a, axis=None: OPS["squeeze"](a, axis),
    "broadcast_to": lambda array, shape, subok=False: OPS["expand"](array, _sizes(shape)),
    "broadcast_arrays": lambda *args, subok=False: OPS["broadcast_tensors"](*args),
    "atleast_1d": lambda *arys: OPS["atleast_1d"](*arys),
    "atleast_2d": lambda *arys: OPS["atleast_2d"](*arys),
    "atleast_3d": lambda *arys: OPS["atleast_3d"](*arys),
    "tile": lambda A, reps: OPS["tile"](A, _sizes(reps)),
    "flip": lambda m, axis=None: OPS["flip"](m, axis),
    "fliplr": lambda m: OPS["fliplr"](m),
    "flipud": lambda m: OPS["flipud"](m),
    "rot90": lambda m, k=1, axes=(0, 1): OPS["rot90"](m, k, axes),
    "roll": lambda a, shift, axis=None: OPS["roll"](a, shift, axis),
    "tril": lambda m, k=0: OPS["tril"](m, k),
    "triu": lambda m, k=0: OPS["triu"](m, k),
    "diag": lambda v, k=0: OPS["diag"](v, k),
    "diagflat": lambda v, k=0: OPS["diagflat"](OPS["flatten"](v), k),
    "diagonal": lambda a, offset=0, axis1=0, axis2=1: OPS["diagonal"](a, offset, axis1, axis2),
    "stack": lambda arrays, axis=0, out=None: OPS["stack"](arrays, axis),
    "dstack": lambda tup: OPS["dstack"](tup),
    "column_stack": lambda tup: OPS["column_stack"](tup),
    "hsplit": lambda ary, indices_or_sections: list(OPS["hsplit"](ary, indices_or_sections)),
    "vsplit": lambda ary, indices_or_sections: list(OPS["vsplit"](ary, indices_or_sections)),
    "dsplit": lambda ary, indices_or_sections: list(OPS["dsplit"](ary, indices_or_sections)),
    "array_split": lambda ary, indices_or_sections, axis=0: list(OPS["tensor_split"](ary, indices_or_sections, axis)),
    "unstack": lambda x, axis=0: OPS["unbind"](x, axis),
    "repeat": lambda a, repeats, axis=None: OPS["repeat_interleave"](a, repeats, axis),
    "copy": lambda a, order="K", subok=False: OPS["cast"](a, a.format),
    "astype": lambda x, dtype, copy=True, device=None: x.to(as_dtype(dtype)),
    "real": lambda val: val,
    "conjugate": lambda x: x,
    "imag": lambda val: OPS["zeros_like"](val),
    "ones_like": lambda a, dtype=None, order="K", subok=True, shape=None, device=None: _filled(a, 1, dtype, shape),
    "zeros_like": lambda a, dtype=None, order="K", subok=True, shape=None, device=None: _filled(a, 0, dtype, shape),
    "empty_like": lambda prototype, dtype=None, order="K", subok=True, shape=None, device=None: _filled(
        prototype, 0, dtype, shape
    ),
    "full_like": lambda a, fill_value, dtype=None, order="K", subok=True, shape=None, device=None: _filled(
        a, fill_value, dtype, shape
    ),
    "may_share_memory": lambda a, b, max_work=None: np.may_share_memory(plain(a), plain(b)),
    "shares_memory": lambda a, b, max_work=None: np.shares_memory(plain(a), plain(b)),
    "fft.fftshift": lambda x, axes=None: _shifted(x, axes, 1),
    "fft.ifftshift": lambda x, axes=None: _shifted(x, axes, -1),
    "lib.stride_tricks.sliding_window_view": lambda x, window_shape, axis=None, subok=False, writeable=False: _windows(
        x, window_shape, axis
    ),
}

for _name, _function in _ROWS.items():
    simulates(_name)(_function)
simulates("permute_dims")(_ROWS["transpose"])
simulates("linalg.matrix_transpose")(_ROWS["matrix_transpose"])


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(map(index, shape)) if isinstance(shape, (tuple, list, np.ndarray)) else (index(shape),)


def _filled(a: Any, value: Any, dtype: Any, shape: Any) -> Tensor:
    made = a.format if dtype is None else dtype
    return OPS["full"](shape_of(a) if shape is None else _sizes(shape), value, dtype=made)


def _shifted(x: Any, axes: Any, sign: int) -> Tensor:
    over = axes_of(axes, len(shape_of(x)))
    return OPS["roll"](x, [sign * (shape_of(x)[a] // 2) if sign > 0 else -(shape_of(x)[a] // 2) for a in over], over)


def _windows(x: Any, window_shape: Any, axis: Any) -> Tensor:
    sizes, axes = _sizes(window_shape), axes_of(axis, len(shape_of(x)))
    if len(sizes) != len(axes):
        raise ValueError(f"window_shape: {window_shape} does not fit {len(axes)} axes; allowed: a length for each")
    for a, size in zip(axes, sizes, strict=True):
        x = OPS["unfold_dim"](x, a, size, 1)
    return x


# Shapes.


@simulates()
def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    if order not in ("C", "F", "A"):
        raise ValueError(f"order: {order!r} is not allowed; allowed: 'C', 'F', 'A'")
    if order != "F":
        return OPS["reshape"](a, _sizes(shape))
    return OPS["transpose"](OPS["reshape"](OPS["transpose"](a), _sizes(shape)[::-1]))


@simulates()
def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, -1, "F" if order == "F" else "C")


@simulates()
def expand_dims(a: Any, axis: Any) -> Any:
    places = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    for place in sorted(axes_of(places, len(shape_of(a)) + len(places))):
        a = OPS["unsqueeze"](a, place)
    return a


@simulates()
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    before, end = axis_of(axis, len(shape_of(a))), start + len(shape_of(a)) * (start < 0)
    return OPS["moveaxis"](a, before, end - (before < end))


@simulates()
def resize(a: Any, new_shape: Any) -> Any:
    wanted = _sizes(new_shape)
    flat = OPS["reshape"](a, (-1,))
    return flat[(np.arange(int(np.prod(wanted))) % max(flat.shape[0], 1)).reshape(wanted)]


@simulates()
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    kept = np.argwhere(as_numpy(filt))
    if axis is not None or len(shape_of(filt)) != 1 or not len(kept):
        return filt[:0] if len(shape_of(filt)) == 1 and axis is None else exactly(np.trim_zeros, filt)
    first, last = int(kept[0, 0]), int(kept[-1, 0]) + 1
    return filt[first if "f" in trim.lower() else 0 : last if "b" in trim.lower() else None]


@simulates()
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    if not sparse:
        return OPS["meshgrid"](*xi, indexing=indexing)
    order = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        order[:2] = [1, 0]
    return tuple(
        OPS["reshape"](x, [-1 if i == place else 1 for i in range(len(xi))]) for x, place in zip(xi, order, strict=True)
    )


# Joining and splitting.


@simulates("concatenate", "concat")
def concatenate(arrays: Sequence[Any], axis: int | None = 0, out: None = None, *, dtype: Any = None) -> Any:
    parts = list(arrays) if axis is not None else [OPS["reshape"](x, (-1,)) for x in arrays]
    joined = OPS["cat"](parts, 0 if axis is None else axis)
    return joined if dtype is None else joined.to(as_dtype(dtype))


@simulates()
def hstack(tup: Sequence[Any], *, dtype: Any = None) -> Any:
    parts = [OPS["reshape"](x, (1,)) if not shape_of(x) else x for x in tup]
    return concatenate(parts, 1 if len(shape_of(parts[0])) > 1 else 0, dtype=dtype)


@simulates("vstack", "row_stack")
def vstack(tup: Sequence[Any], *, dtype: Any = None) -> Any:
    return concatenate([OPS["atleast_2d"](x) for x in tup], 0, dtype=dtype)


@simulates()
def block(arrays: Any) -> Any:
    def depth(x: Any) -> int:
        return 1 + max(map(depth, x)) if isinstance(x, list) else 0

    def leaves(x: Any) -> Any:
        return [y for item in x for y in leaves(item)] if isinstance(x, list) else [x]

    deep = depth(arrays)
    ndim = max([deep, *(len(shape_of(x)) for x in leaves(arrays))])

    def joined(x: Any, level: int) -> Any:
        if isinstance(x, list):
            return OPS["cat"]([joined(item, level + 1) for item in x], level - deep)
        return OPS["reshape"](x, (1,) * (ndim - len(shape_of(x))) + shape_of(x))

    return joined(arrays, 0)


@simulates()
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return concatenate([arr, values], axis)


@simulates()
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    arr, along = (arr, axis) if axis is not None else (OPS["reshape"](arr, (-1,)), 0)
    kept = np.delete(np.arange(shape_of(arr)[along]), as_numpy(obj))
    return OPS["index_select"](arr, along, kept)


@simulates()
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    arr, along = (arr, axis) if axis is not None else (OPS["reshape"](arr, (-1,)), 0)
    along, places, shape = axis_of(along, len(shape_of(arr))), as_numpy(obj), list(shape_of(arr))
    several = np.ndim(places) or isinstance(places, slice)
    new = as_tensor(values, arr)
    if not several and axis is not None:  # each value is a slice of its own
        new = OPS["moveaxis"](new, 0, along) if new.ndim == arr.ndim else new
    count = len(np.arange(shape[along])[places]) if isinstance(places, slice) else int(np.size(places))
    shape[along] = count if several else (new.shape[along] if new.ndim == arr.ndim else 1)
    both = OPS["cat"]([arr, OPS["expand"](new, shape)], along)
    order = np.insert(np.arange(arr.shape[along]), places, arr.shape[along] + np.arange(shape[along]))
    return OPS["index_select"](both, along, order)


@simulates()
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    lengths = [len(part) for part in np.split(np.arange(shape_of(ary)[axis]), indices_or_sections)]
    return list(OPS["split"](ary, lengths, axis))


_BY_INDEX = ("edge", "reflect", "symmetric", "wrap")


@simulates()
def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    if mode != "constant" and mode not in _BY_INDEX:
        allowed = ", ".join(("constant", *_BY_INDEX))
        raise TypeError(f"numpy.pad with mode={mode!r} is not simulated; allowed: {allowed}")
    ndim = len(shape_of(array))
    pairs = np.broadcast_to(pad_width, (ndim, 2)).tolist()
    if mode == "constant" and not np.ndim(as_numpy(constant_values)):
        return OPS["pad"](array, [n for pair in pairs[::-1] for n in pair], value=constant_values)
    values = np.broadcast_to(constant_values, (ndim, 2)).tolist()
    for along, (before, after) in enumerate(pairs):
        if mode != "constant":
            places: Any = np.arange(shape_of(array)[along])
            source = np.pad(places, (before, after), mode)  # type: ignore[call-overload]
            array = OPS["index_select"](array, along, source)
            continue
        ends = []
        for n, value in zip((before, after), values[along], strict=True):
            shape = [n if a == along else size for a, size in enumerate(shape_of(array))]
            ends.append(OPS["full"](shape, value, dtype=array.format))
        array = OPS["cat"]([ends[0], array, ends[1]], along)
    return array


# Choosing.


@simulates()
def take(a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise") -> Any:
    flat, along = (OPS["reshape"](a, (-1,)), 0) if axis is None else (a, axis_of(axis, len(shape_of(a))))
    places, size = indices_of("indices", indices), shape_of(flat)[along]
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"mode: {mode!r} is not allowed; allowed: 'raise', 'wrap', 'clip'")
    if mode != "raise":
        places = places % size if mode == "wrap" else places.clip(0, size - 1)
    return as_tensor(flat)[(slice(None),) * along + (places if places.ndim else int(places),)]


@simulates()
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    return OPS["take_along_dim"](arr, indices, axis)


@simulates()
def compress(condition: Any, a: Any, axis: int | None = None, out: None = None) -> Any:
    return take(a, np.flatnonzero(as_numpy(condition)), axis)


@simulates()
def extract(condition: Any, arr: Any) -> Any:
    return compress(np.ravel(as_numpy(condition)), arr)


@simulates()
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return np.nonzero(as_numpy(condition))
    truth = condition if isinstance(condition, Tensor) and condition.dtype == np.bool_ else as_numpy(condition) != 0
    return OPS["where"](truth, x, y)


@simulates()
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    chosen = default
    for condition, choice in list(zip(condlist, choicelist, strict=True))[::-1]:
        chosen = where(condition, choice, chosen)
    return chosen


@simulates()
def choose(a: Any, choices: Sequence[Any], out: None = None, mode: Literal["raise", "wrap", "clip"] = "raise") -> Any:
    if not isinstance(choices, (list, tuple, np.ndarray, Tensor)):
        raise refused("choices", choices, "a list of arrays")
    numbers, count = np.asarray(as_numpy(a)), len(choices)
    if mode == "raise" and numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise ValueError(
            f"a: numbers from {numbers.min()} to {numbers.max()} are not allowed; allowed: 0 to {count - 1}"
        )
    numbers = numbers % count if mode == "wrap" else numbers.clip(0, count - 1)
    return select([numbers == i for i in range(count)], choices)


@simulates()
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    for name, given in (("condlist", condlist), ("funclist", funclist)):
        if isinstance(given, str) or callable(given):
            raise refused(name, given, "a list")
    several = isinstance(condlist, (list, tuple)) and np.ndim(as_numpy(condlist[0])) == len(shape_of(x))
    truths = [np.asarray(as_numpy(c), bool) for c in (condlist if several else [condlist])]
    if len(funclist) == len(truths) + 1:
        truths.append(~np.any(truths, 0))
    y = OPS["zeros_like"](x)
    for truth, function in zip(truths, funclist, strict=True):
        part = function(x[truth], *args, **kw) if callable(function) else function
        y = OPS["where"](truth, OPS["masked_scatter"](y, truth, part) if callable(function) else part, y)
    return y


@simulates()
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    found: Any = np.unique  # whose types tell each combination of flags
    _, first, *others = found(plain(ar), True, return_inverse, return_counts, axis, equal_nan=equal_nan)
    values = take(ar, first, axis)
    return (values, *([first] if return_index else []), *others) if return_index or others else values


def _of_sets(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda ar1, ar2, assume_unique=False: exactly(function, ar1, ar2, assume_unique=assume_unique)


for _function in (np.intersect1d, np.setdiff1d, np.setxor1d):
    simulates(_function.__name__)(_of_sets(_function))


@simulates()
def union1d(ar1: Any, ar2: Any) -> Any:
    return exactly(np.union1d, ar1, ar2)


# In place.


@simulates()
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    values = as_numpy(src)
    if not isinstance(dst, Tensor):
        np.copyto(dst, values, casting, where=as_numpy(where))  # type: ignore[arg-type]
    elif where is True:
        dst.copy_(src)
    else:
        truth = np.broadcast_to(as_numpy(where), dst.shape)
        dst[truth] = np.broadcast_to(values, dst.shape)[truth]


@simulates()
def putmask(a: Any, mask: Any, values: Any) -> None:
    given = np.asarray(as_numpy(values))
    copyto(a, np.resize(given, shape_of(a)), where=mask)


@simulates()
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    every = np.arange(min(shape_of(a)))
    a[(every,) * len(shape_of(a))] = val


@simulates()
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int = -1) -> None:
    where = np.asarray(as_numpy(indices))
    places = list(np.ogrid[tuple(slice(n) for n in where.shape)])
    places[axis] = where
    arr[tuple(places)] = values


@simulates()
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    along, shape = axis_of(axis, len(shape_of(arr))), list(shape_of(arr))
    rows = OPS["reshape"](OPS["moveaxis"](arr, along, -1), (-1, shape.pop(along)))
    found = OPS["stack"]([as_tensor(func1d(row, *args, **kwargs), arr) for row in rows])
    made = OPS["reshape"](found, (*shape, *found.shape[1:]))
    axes = list(range(len(shape), made.ndim))
    return OPS["moveaxis"](made, axes, list(range(along, along + len(axes)))) if axes else made
