"""Norms of vectors and of matrices, distances, and what is scaled by a norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.ops._common import (
    Stepwise,
    as_category,
    as_tensor,
    axes_of,
    axis_of,
    choose,
    distinct,
    named,
    signs,
    spread,
    typed,
)
from halfsim.autograd.ops.elementwise import div, mul, power, sub
from halfsim.autograd.ops.reduce import amax, amin, sum
from halfsim.autograd.ops.select import clamp
from halfsim.autograd.ops.shape import expand, moveaxis, reshape, squeeze
from halfsim.autograd.ops.singular import svdvals
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array
from halfsim.options import shown

__all__ = [
    "cdist",
    "cosine_similarity",
    "dist",
    "linalg_norm",
    "matrix_norm",
    "norm",
    "normalize",
    "renorm",
    "vector_norm",
]


def norm(
    input: Any, p: float | str | None = 2, dim: Axis = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm ``sum(abs(x)**p)**(1/p)``; ``sqrt(sum(x * x))`` for p=2 or "fro", the sum for 1, the largest for inf.

    The smallest for -inf, the number of nonzero elements for 0, the sum of the singular values for "nuc". At zero the
    gradient is 0; for inf equal ones share it; as in PyTorch. ``ValueError`` for the extremes of no elements.
    """
    if p == "nuc":
        return matrix_norm(input, p, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return _size(input, 2 if p is None else p, dim, keepdim, dtype=dtype)


@typed
@op("fp32")
@named("norm")
def _size(fp: Arithmetic, x: Array, /, p: float | str = 2, axis: Axis = None, keepdims: bool = False) -> Any:
    p = _order(p)
    axes, shape = distinct(axis, x.ndim), x.shape
    y = _norm(fp, x, p, axes, keepdims)
    return y, lambda fp, g: _norm_slope(fp, x, p, spread(y, shape, axes), spread(g, shape, axes), axes)


def _order(p: float | str) -> float:
    if isinstance(p, str) and p not in ("fro", "inf"):
        raise ValueError(f"p: {p!r} is not allowed; allowed: numbers, inf, 'fro'")
    return 2.0 if p == "fro" else float(p)


def _norm(fp: Arithmetic, x: Array, p: float, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    size = np.abs(x)
    if (p < 0 or p == np.inf) and any(not x.shape[a] for a in axes):
        raise ValueError(f"p: {p} of no elements (shape {x.shape}) is not allowed; allowed: numbers from 0")
    if np.isinf(p):
        return size.max(axes, keepdims=keepdims) if p > 0 else size.min(axes, keepdims=keepdims)
    if p == 2:
        return fp.sqrt(fp.sum(fp.mul(x, x), axes, keepdims))
    if p in (0, 1):
        return fp.sum(size if p else (x != 0).astype(x.dtype), axes, keepdims)
    return fp.pow(fp.sum(fp.pow(size, fp.constant(p)), axes, keepdims), fp.constant(1 / p))


def _norm_slope(
    fp: Arithmetic, x: Array, p: float, y: Array, g: Array, axes: tuple[int, ...], stored: bool = True
) -> Array:
    """The gradient of a norm ``y`` whose own is ``g``, both as often as x has elements, by PyTorch's formulas.

    ``stored`` says that each step is.
    """
    s: Any = Stepwise(fp) if stored else fp
    size = np.abs(x)

    def powers(v: Array, k: float) -> Array:
        found = power(fp, v, fp.constant(k))
        return fp.spill(found) if stored else found

    if p == 2:
        return s.mul(s.keep(s.div(x, y), y != 0), g)
    if p in (0, 1):
        return s.mul(g, signs(x)) if p else np.zeros_like(x)
    if np.isinf(p):
        ties = np.equal(size, y) | np.isnan(size)
        count = ties.sum(axes, keepdims=True).astype(g.dtype)
        return s.mul(s.mul(s.div(g, count), ties.astype(g.dtype)), signs(x))
    if p < 1:
        scaled = s.keep(s.mul(signs(x), powers(size, p - 1)), x != 0)
        return s.mul(s.mul(scaled, g), powers(y, 1 - p))
    scaled = s.mul(x, powers(size, p - 2)) if p > 2 else s.mul(signs(x), powers(size, p - 1))
    return s.mul(scaled, s.keep(s.div(g, powers(y, p - 1)), y != 0))


def vector_norm(x: Any, ord: float = 2, dim: Axis = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`norm` of all elements, or along ``dim``.

    >>> from halfsim import tensor
    >>> vector_norm(tensor([3.0, -4.0])), vector_norm(tensor([3.0, -4.0]), 1)
    (tensor(5., float32), tensor(7., float32))
    """
    return _size(x, ord, dim, keepdim, dtype=dtype)


def matrix_norm(
    A: Any,  # noqa: N803  # PyTorch's name
    ord: float | str = "fro",
    dim: Axis = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """A norm of the matrices in the two axes ``dim``: "fro", the largest (smallest for -1) sum of a column for 1, of a
    row for inf; of its singular values (see `svdvals`) the sum for "nuc", the largest for 2, the smallest for -2.

    >>> from halfsim import tensor
    >>> A = tensor([[1.0, -2.0], [3.0, 4.0]])
    >>> matrix_norm(A, 1), matrix_norm(A, float("inf"))
    (tensor(6., float32), tensor(7., float32))
    """
    ndim = np.ndim(plain(A))
    axes = distinct(dim, ndim)
    if len(axes) != 2:
        raise ValueError(f"dim: {dim} is not allowed; allowed: two different axes")
    if ord in ("nuc", 2, -2):
        s = svdvals(moveaxis(A if dtype is None else as_tensor(A).to(dtype), axes, (-2, -1)))
        y = sum(s, -1) if ord == "nuc" else _most(s, -1, ord == 2, False)
        return reshape(y, [1 if i in axes else n for i, n in enumerate(np.shape(plain(A)))]) if keepdim else y
    if ord == "fro":
        return _size(A, 2, axes, keepdim, dtype=dtype)
    if isinstance(ord, str) or abs(ord) not in (1, np.inf):
        raise ValueError(f"ord: {ord!r} is not allowed; allowed: 'fro', 'nuc', 1, -1, 2, -2, inf, -inf")
    along, across = axes if abs(ord) == 1 else axes[::-1]
    sums = _size(A, 1, along, True, dtype=dtype)
    y = _most(sums, across, ord > 0, True)
    return y if keepdim else squeeze(y, axes)


def _most(x: Tensor, along: int, largest: bool, keepdim: bool) -> Tensor:
    """The largest (smallest) along an axis; the largest of none is 0."""
    empty = largest and not x.shape[along]
    return (sum if empty else amax if largest else amin)(x, along, keepdim)


def linalg_norm(
    A: Any,  # noqa: N803
    ord: float | str | None = None,
    dim: Axis = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """`torch.linalg.norm`: `matrix_norm` of two axes where ``ord`` is given, else `vector_norm`."""
    ndim = np.ndim(plain(A))
    axes = axes_of(dim, ndim)
    if ord is not None and (len(axes) == 2 or isinstance(ord, str)):
        if dim is None and ndim != 2:
            raise ValueError(f"ord: {ord!r} of an input of {ndim} dimensions is not allowed; allowed: dim, two of them")
        return matrix_norm(A, ord, axes, keepdim, dtype=dtype)
    if ord is not None and dim is None and ndim > 2:
        raise ValueError(f"ord: {ord!r} of an input of {ndim} dimensions is not allowed; allowed: dim, one or two")
    return _size(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """``x / max(norm(x), eps)`` along ``dim``, composed of `norm`, `clamp`, `div`; eps is 0 in float16."""
    return div(input, clamp(_size(input, p, _axis(input, dim), keepdims=True), eps))


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``sum((x1 / max(n1, eps)) * (x2 / max(n2, eps)))`` along ``dim``, n the norms; composed of those operations.

    The bound is none to the gradient, as in PyTorch: it is that of the norm. Operands of different shapes are first
    broadcast, ``dim`` is an axis of the common shape. Under autocast all of it is float32.
    """
    if not eps >= 0:
        raise ValueError(f"eps: {shown(eps)} is not allowed; allowed: numbers from 0")
    shapes = np.shape(plain(x1)), np.shape(plain(x2))
    if shapes[0] != shapes[1]:
        try:
            x1, x2 = (expand(x, np.broadcast_shapes(*shapes)) for x in (x1, x2))
        except ValueError:
            listed = "cosine_similarity: shapes {} and {} do not fit".format(*shapes)
            raise ValueError(f"{listed}; allowed: shapes that broadcast") from None
    if not eps >= 0:
        raise ValueError(f"eps: {eps} is not allowed; allowed: numbers from 0")
    a, b = (_unit(x, dim, eps) for x in as_category("fp32", x1, x2))
    return sum(mul(a, b), dim)


@op()
@named("at_least")
def at_least(fp: Arithmetic, x: Array, /, low: float) -> Any:
    return np.maximum(x, fp.constant(low)), lambda fp, g: g


def _unit(x: Any, dim: int, eps: float) -> Tensor:
    return div(x, at_least(_size(x, 2, _axis(x, dim), keepdims=True), eps))


def _axis(x: Any, dim: int) -> int:
    return axis_of(dim, np.ndim(plain(x)))


# Distances.


def dist(input: Any, other: Any, p: float = 2) -> Tensor:
    """The `norm` of the difference, composed of `sub` and `norm`; under autocast in float32."""
    return _size(sub(*as_category("fp32", input, other)), p)


_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The distances of all rows of ``x1`` (..., P, M) from all rows of ``x2`` (..., R, M), giving (..., P, R).

    They are norms of differences. As in PyTorch the Euclidean ones of more than 25 rows (or as ``compute_mode`` says)
    are ``sqrt(max(a**2 + b**2 - 2 * a @ b, 0))``, by one matrix product, which loses the small ones.

    >>> from halfsim import tensor
    >>> cdist(tensor([[0.0, 0.0]]), tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]], float32)
    """
    shapes = np.shape(plain(x1)), np.shape(plain(x2))
    if min(map(len, shapes)) < 2 or shapes[0][-1] != shapes[1][-1]:
        raise ValueError(f"cdist: shapes {shapes[0]} and {shapes[1]} do not fit; allowed: (..., P, M) and (..., R, M)")
    if not p >= 0:
        raise ValueError(f"p: {p} is not allowed; allowed: numbers from 0, inf")
    if compute_mode not in _MODES:
        raise unknown("compute_mode", compute_mode, _MODES)
    many = max(shapes[0][-2], shapes[1][-2]) > 25
    by_product = p == 2 and (compute_mode == _MODES[1] or (compute_mode == _MODES[0] and many))
    return _euclidean(x1, x2) if by_product else _cdist(x1, x2, float(p))


@op("fp32")
@named("cdist")
def _cdist(fp: Arithmetic, x1: Array, x2: Array, /, p: float) -> Any:
    d = fp.sub(x1[..., :, None, :], x2[..., None, :, :])
    y = _norm(fp, d, p, (d.ndim - 1,)) if d.shape[-1] else np.zeros(d.shape[:-1], d.dtype)

    def slope(fp: Arithmetic, g: Array) -> Array:
        g, whole = g[..., None], y[..., None]
        if p == np.inf:  # equal ones do not share it here
            return fp.keep(fp.mul(g, signs(d)), np.equal(np.abs(d), whole))
        return _norm_slope(fp, d, p, np.broadcast_to(whole, d.shape), g, (d.ndim - 1,), False)

    return y, (lambda fp, g: fp.sum(slope(fp, g), -2), lambda fp, g: -fp.sum(slope(fp, g), -3))


@op("fp32")
@named("euclidean_distance")
def _euclidean(fp: Arithmetic, x1: Array, x2: Array, /) -> Any:
    s = Stepwise(fp)
    a, b = (fp.spill(fp.sum(s.mul(x, x), -1, keepdims=True)) for x in (x1, x2))
    left = np.concatenate([s.mul(x1, fp.constant(-2.0)), a, np.ones_like(a)], -1)
    right = np.concatenate([x2, np.ones_like(b), b], -1)
    y = fp.sqrt(np.maximum(fp.spill(fp.matmul(left, right.swapaxes(-1, -2))), fp.constant(0.0)))

    def pull(fp: Arithmetic, g: Array, x: Array, other: Array, turned: bool) -> Array:
        s, whole = Stepwise(fp), y.swapaxes(-1, -2) if turned else y
        ratio = fp.keep(s.div(g.swapaxes(-1, -2) if turned else g, whole), whole != 0)
        total = fp.spill(fp.sum(ratio, -1, keepdims=True))
        return fp.sub(s.mul(x, total), fp.spill(fp.matmul(ratio, other)))

    return y, (lambda fp, g: pull(fp, g, x1, x2, False), lambda fp, g: pull(fp, g, x2, x1, True))


@op("fp32")
def renorm(fp: Arithmetic, x: Array, /, p: float, dim: int, maxnorm: float) -> Any:
    """Every slice along ``dim`` whose norm is above ``maxnorm`` times ``maxnorm / (norm + 1e-7)``, that stored.

    Gradient of such a slice ``f * (g - r * s)`` with ``r = 1 / (norm + 1e-7)``, ``f = maxnorm * r`` and s the gradient
    of the norm for ``sum(x * g)``, all but that product in ``compute``.
    """
    if not p > 0 or not maxnorm >= 0:
        raise ValueError(f"renorm: p={p}, maxnorm={maxnorm} is not allowed; allowed: p above 0, maxnorm from 0")
    if x.ndim < 2:
        raise ValueError(f"renorm: an input of {x.ndim} dimensions is not allowed; allowed: two or more")
    others = tuple(i for i in range(x.ndim) if i != axis_of(dim, x.ndim))
    limit, one = fp.constant(maxnorm), fp.constant(1.0)
    whole = _norm(fp, x, float(p), others, True)
    above, safe = whole > limit, fp.add(whole, fp.constant(1e-7))
    y = fp.mul(x, choose(above, fp.spill(fp.div(limit, safe)), one))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        total = fp.sum(fp.spill(fp.mul(x, g)), others, keepdims=True)
        whole_norm, gradient = (np.broadcast_to(v, x.shape) for v in (whole, total))
        slope = _norm_slope(fp, x, float(p), whole_norm, gradient, others, stored=False)
        r = fp.div(one, safe)
        return choose(above, fp.mul(fp.mul(limit, r), fp.sub(g, fp.mul(r, slope))), g)

    return y, pullback
