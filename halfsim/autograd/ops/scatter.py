"""Values put at places, or added there: each is a new tensor, which methods in place give to the old one."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import axis_of, choose, indices, mask_of, named
from halfsim.autograd.ops.index import from_zero, getitem, own_part, owned, pick, scatter_sum, split_index, within
from halfsim.autograd.ops.shape import broadcast_to, reshape
from halfsim.autograd.scope import resolve_for
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import Integer
from halfsim.numerics.inputs import array_of
from halfsim.numerics.quantize import Array
from halfsim.options import refused

__all__ = [
    "copy",
    "diagonal_scatter",
    "fill",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_reduce",
    "masked_scatter",
    "put",
    "put_at",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "select_scatter",
    "setitem",
    "slice_scatter",
    "zero",
]


def setitem(input: Any, value: Any, index: Any) -> Tensor:
    """``input`` with ``value``, broadcast and in its format, at ``index``: what ``x[index] = value`` gives to x.

    The gradient of ``value`` is that of the places it went to; ``input`` has none there.
    """
    index = owned(index)
    parts = split_index(index, input.ndim)
    if parts is None:
        return _placed(input, value, index)
    places = pick(pick(np.arange(prod(input.shape)).reshape(input.shape), parts[0]), parts[1])
    return _placed(input, value, np.unravel_index(indices("places", places), input.shape))


def put_at(input: Any, value: Any, places: Any) -> Tensor:
    """`setitem` at places that are counted through the whole tensor in C order."""
    if not input.ndim:
        return _placed(input, reshape(value, ()), (...,))
    return _placed(input, value, np.unravel_index(array_of(places, "places"), input.shape))


def _placed(input: Any, value: Any, index: Any) -> Tensor:
    fmt = input.format
    if isinstance(fmt, Integer):
        y = input.array.copy()
        _store(y, index, numbers(value))
        return Tensor(y, fmt)
    value = value.to(fmt) if isinstance(value, Tensor) else tensor(value, fmt)
    return apply(SPECS["setitem"], (input, value), (index,), None, resolve_for(fmt))


@op(exact=True)
@named("setitem")
def _setitem(fp: Arithmetic, x: Array, value: Array, /, index: Any) -> Any:
    y, shape = x.copy(), value.shape
    _store(y, index, value)

    def pull_x(fp: Arithmetic, g: Array) -> Array:
        g = g.copy()
        g[index] = 0
        return g

    return y, (
        pull_x,
        lambda fp, g: fp.sum_to(g[index], shape) if g[index].ndim >= len(shape) else g[index].reshape(shape),
    )


def _store(y: Array, index: Any, value: Array) -> None:
    if y.dtype.kind in "iu" and value.dtype.kind == "f":
        info = np.iinfo(y.dtype)
        wide = value.astype(np.float64)
        if not ((wide >= info.min) & (wide < float(info.max) + 1)).all():
            raise ValueError(f"value: it holds what {y.dtype} does not; allowed: {info.min} to {info.max}")
    try:
        y[index] = value
    except IndexError as error:
        raise IndexError(f"index: it does not fit shape {y.shape} ({error}); allowed: places of each axis") from None
    except ValueError:
        room = y[index].shape
        raise ValueError(
            f"value: shape {value.shape} does not fit {room}; allowed: shapes that broadcast to it"
        ) from None


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """``input`` with the values of ``source`` at the places ``index`` of the flattened tensor, or added there."""
    shape, where = np.shape(plain(input)), indices("index", index)
    size = prod(shape)
    places = np.where(where < 0, within("index", where, size) + size, where)
    if prod(np.shape(plain(source))) != where.size:
        raise ValueError(f"source: shape {np.shape(plain(source))} does not fit index {where.shape}; allowed: as many")
    part = reshape(source, where.shape)
    if accumulate:
        return _added(input, part, places)
    return reshape(_placed(reshape(input, -1), part, (places,)), shape)


def _scattered(input: Any, src: Any, index: tuple[Any, ...]) -> Tensor:
    if np.shape(plain(src)) != plain(input)[index].shape:
        shapes = f"{np.shape(plain(src))} does not fit {plain(input)[index].shape}"
        raise ValueError(f"src: shape {shapes}; allowed: the shape of the part")
    return _placed(input, src, index)


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Tensor:
    """``input`` with ``src`` in place of its part ``index`` along ``dim``."""
    return _scattered(input, src, (slice(None),) * axis_of(dim, np.ndim(plain(input))) + (index,))


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """``input`` with ``src`` in place of its slice from ``start`` to ``end`` by ``step`` along ``dim``."""
    if step < 1:
        raise ValueError(f"step: {step} is not allowed; allowed: integers from 1")
    return _scattered(input, src, (slice(None),) * axis_of(dim, np.ndim(plain(input))) + (slice(start, end, step),))


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """``input`` with ``src`` in place of its diagonal."""
    x = plain(input)
    pair = axis_of(dim1, x.ndim), axis_of(dim2, x.ndim)
    places = np.diagonal(np.arange(x.size).reshape(x.shape), offset, *pair)
    if np.shape(plain(src)) != places.shape:
        raise ValueError(f"src: shape {np.shape(plain(src))} does not fit {places.shape}; allowed: the diagonal's")
    return _placed(input, src, np.unravel_index(places, x.shape))


def copy(input: Any, source: Any) -> Tensor:
    """``source`` broadcast to the shape of ``input`` and in its format."""
    return _placed(input, source, (...,))


def fill(input: Any, value: Any) -> Tensor:
    """``value``, a number, everywhere."""
    if np.ndim(plain(value)):
        raise ValueError(f"value: shape {np.shape(plain(value))} is not allowed; allowed: a number")
    return _placed(input, value, (...,))


def zero(input: Any) -> Tensor:
    """Zeros of the shape and the format of ``input``."""
    return fill(input, 0)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """``values`` at the places ``indices`` (a tuple of index tensors), or with ``accumulate`` added there."""
    if not isinstance(indices, (tuple, list, Tensor, np.ndarray)):
        raise refused("indices", indices, "a tuple of index tensors")
    where = tuple(slice(None) if part is None else own_part(part) for part in indices)
    if not accumulate:
        return _placed(input, values, where)
    places = np.arange(prod(input.shape)).reshape(input.shape)[where]
    return _added(input, broadcast_to(values, places.shape), places)


def _added(input: Any, source: Any, places: Array) -> Tensor:
    """``input`` with the values of ``source`` added at ``places``, counted through the whole tensor in C order."""
    if isinstance(input, Tensor) and isinstance(input.format, Integer):
        y = input.array.copy()
        values = numbers(source).reshape(-1)
        if not (np.abs(values) < 2.0**63).all():
            raise ValueError("source: infinities and NaN are not allowed beside integers; allowed: integers")
        np.add.at(y.reshape(-1), places.reshape(-1), values)
        return Tensor(y, input.format)
    return _scatter_add(input, source, where=places)


@op()
@named("scatter_add")
def _scatter_add(fp: Arithmetic, x: Array, source: Array, /, where: Array) -> Any:
    total = scatter_sum(fp, source.reshape(-1), where.reshape(-1), x.size).reshape(x.shape)
    hit = np.zeros(x.size, np.bool_)
    hit[where.reshape(-1)] = True
    y = choose(hit.reshape(x.shape), fp.add(x, total), x)
    return y, (lambda fp, g: g, lambda fp, g: g.reshape(-1)[where])


def _spread(name: str, input: Any, dim: int, index: Any) -> Array:
    """The places, counted through ``input`` in C order, of ``input[i, index[i, j], k]`` along ``dim``."""
    shape, where = np.shape(plain(input)), indices("index", index)
    shape, where = (shape, where) if shape else ((1,), np.atleast_1d(where))
    along = axis_of(dim, len(shape))
    if where.size and (where.ndim != len(shape) or any(where.shape[i] > n for i, n in enumerate(shape) if i != along)):
        raise ValueError(f"index: shape {where.shape} does not fit input {shape}; allowed: no longer but along dim")
    if not where.size:
        return np.zeros(where.shape, np.int64)
    if where.min() < 0 or where.max() >= shape[along]:
        raise ValueError(f"index: {where.min()} to {where.max()} is not allowed; allowed: 0 to {shape[along] - 1}")
    places = list(np.ogrid[tuple(slice(n) for n in where.shape)])
    places[along] = where
    return np.asarray(np.ravel_multi_index(tuple(np.broadcast_arrays(*places)), shape))


def _picked_part(name: str, source: Any, places: Array) -> Any:
    """The part of ``source`` that has the shape of the index."""
    shape = np.shape(plain(source))
    if not shape:
        return broadcast_to(source, places.shape)
    if len(shape) != places.ndim or any(n > m for n, m in zip(places.shape, shape, strict=True)):
        raise ValueError(f"{name}: shape {shape} does not fit index {places.shape}; allowed: no shorter along any axis")
    return getitem(source, tuple(slice(n) for n in places.shape))


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """``input`` with ``src`` (a tensor no smaller than ``index``, or a number) at ``index`` along ``dim``.

    ``reduce`` "add" or "multiply" combines them instead. Where places repeat, the last one stays.
    """
    if src is not None and value is not None:
        raise TypeError("scatter: src and value are not allowed together; allowed: one of them")
    src = value if src is None else src
    places = _spread("scatter", input, dim, index)
    part = _picked_part("src", src, places)
    if reduce is not None:
        words = {"add": "sum", "multiply": "prod"}
        if reduce not in words:
            raise ValueError(f"reduce: {reduce!r} is not allowed; allowed: add, multiply")
        return reduced(input, part, places, words[reduce], True)
    return (
        _placed(input, part, np.unravel_index(places, np.shape(plain(input))))
        if input.ndim
        else reshape(_placed(reshape(input, (1,)), part, (places,)), ())
    )


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """``input`` with ``src`` added at ``index`` along ``dim``; each sum accumulated as ``accumulate`` says."""
    places = _spread("scatter_add", input, dim, index)
    return _added(input, _picked_part("src", src, places), places)


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """``src`` combined at ``index`` along ``dim`` by it (sum, prod, mean, amax, amin), with ``input`` or not."""
    places = _spread("scatter_reduce", input, dim, index)
    return reduced(input, _picked_part("src", src, places), places, reduce, include_self)


def reduced(input: Any, source: Any, places: Array, how: str, include: bool) -> Tensor:
    """Values combined in groups: those that go to one place, and that place's own with ``include``.

    The groups of one size are formed together, as rows of an operation that reduces.
    """
    kinds = {"sum": "sum", "prod": "prod", "mean": "mean", "amax": "amax", "amin": "amin"}
    if how not in kinds:
        raise ValueError(f"reduce: {how!r} is not allowed; allowed: {', '.join(kinds)}")
    shape, size = np.shape(plain(input)), prod(np.shape(plain(input)))
    flat, values = reshape(input, (size,)), reshape(source, (places.size,))
    where = places.reshape(-1)
    order, counts = np.argsort(where, kind="stable"), np.bincount(where, minlength=size)
    ends = np.cumsum(counts)
    for count in np.unique(counts[counts > 0]):
        (rows,) = np.nonzero(counts == count)
        group = getitem(values, order[(ends[rows] - count) + np.arange(count)[:, None]])
        if include:
            group = OPS["cat"]([reshape(getitem(flat, rows), (1, len(rows))), group.to(flat.format)])
        if how == "mean" and isinstance(group.format, Integer):
            made = OPS["floor_divide"](OPS["sum"](group, 0), len(group.array))  # downwards, unlike quotients
        else:
            made = OPS[kinds[how]](group, 0)
        flat = _placed(flat, made, (rows,))
    return reshape(flat, shape)


def slices(name: str, input: Any, dim: int, index: Any) -> tuple[Any, ...]:
    """The index of the slices ``index`` (N,) along ``dim``."""
    shape, where = np.shape(plain(input)), np.atleast_1d(indices("index", index))
    if where.ndim > 1:
        raise ValueError(f"index: shape {where.shape} is not allowed; allowed: (N,)")
    along = axis_of(dim, len(shape))
    check = within if name == "index_fill" else from_zero
    return (slice(None),) * along + (check("index", where, shape[along] if shape else 1),)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """``input`` with ``alpha * source`` added to its slices ``index`` along ``dim``."""
    if not np.ndim(plain(input)):
        return reshape(index_add(reshape(input, (1,)), 0, index, reshape(source, (1,)), alpha=alpha), ())
    where = slices("index_add", input, dim, index)
    places = np.arange(prod(input.shape)).reshape(input.shape)[where]
    source = source if np.ndim(plain(source)) or places.ndim == 0 else reshape(source, places.shape)
    if np.shape(plain(source)) != places.shape:
        raise ValueError(
            f"source: shape {np.shape(plain(source))} does not fit {places.shape}; allowed: the slices' shape"
        )
    return _added(input, source if alpha == 1 else OPS["mul"](source, alpha), places)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Tensor:
    """``input`` with ``source`` in place of its slices ``index`` along ``dim``."""
    if not np.ndim(plain(input)):
        return reshape(index_copy(reshape(input, (1,)), 0, index, reshape(source, (1,))), ())
    where = slices("index_copy", input, dim, index)
    room = np.shape(plain(input)[where])
    source = source if np.ndim(plain(source)) else reshape(source, room)
    if np.shape(plain(source)) != room:
        raise ValueError(f"source: shape {np.shape(plain(source))} does not fit slices {room}; allowed: theirs")
    return _placed(input, source, where)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Tensor:
    """``input`` with ``value``, a number, in its slices ``index`` along ``dim``."""
    if np.ndim(plain(value)):
        raise ValueError(f"value: shape {np.shape(plain(value))} is not allowed; allowed: a number")
    if np.ndim(plain(index)) > 1:
        raise ValueError(f"index: shape {np.shape(plain(index))} is not allowed; allowed: (N,), a number")
    if not np.ndim(plain(input)):
        return reshape(index_fill(reshape(input, (1,)), 0, index, value), ())
    return _placed(input, value, slices("index_fill", input, dim, np.unique(indices("index", index))))


def masked_scatter(input: Any, mask: Any, source: Any) -> Tensor:
    """``input`` with the values of ``source``, in order, where ``mask`` is true."""
    chosen = np.broadcast_to(mask_of("mask", mask), np.broadcast_shapes(np.shape(plain(mask)), np.shape(plain(input))))
    count, given = int(np.count_nonzero(chosen)), prod(np.shape(plain(source)))
    if given < count:
        raise ValueError(f"source: {given} values are too few for {count} places; allowed: at least as many")
    return _placed(broadcast_to(input, chosen.shape), getitem(reshape(source, (given,)), slice(count)), (chosen,))


def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """The slices of ``source`` combined at ``index`` along ``dim`` by ``reduce`` (prod, mean, amax, amin).

    With ``include_self`` those of ``input`` take part.

    >>> from halfsim import tensor
    >>> index_reduce(tensor([1.0, 2.0]), 0, [0, 0], tensor([3.0, 5.0]), "prod")
    tensor([15.,  2.], float32)
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ValueError(f"reduce: {reduce!r} is not allowed; allowed: prod, mean, amax, amin")
    shape = np.shape(plain(input))
    x = input if shape else reshape(input, (1,))
    places = np.arange(prod(x.shape)).reshape(x.shape)[slices("index_reduce", x, dim, index)]
    if np.shape(plain(source)) != places.shape and prod(np.shape(plain(source))) + places.size != 2:  # one is a number
        given = np.shape(plain(source))
        raise ValueError(f"source: shape {given} does not fit {places.shape}; allowed: the slices' shape")
    return reshape(reduced(x, reshape(source, places.shape), places, reduce, include_self), shape)
