"""NumPy's functions on tensors that calculate: ranges, differences, interpolation, polynomials, products, `linalg`.

They take the steps of NumPy's own, each an operation of `halfsim.ops` whose result is stored, so that in half they
give what NumPy gives for float16 arrays; sums and products of matrices go by the accumulator in force.
"""

# ruff: noqa: D103, N803  # NumPy's names

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.making import tensor
from halfsim.autograd.numpy_protocol import as_numpy, simulates
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import Stepwise, as_tensor, axis_of
from halfsim.autograd.ops.numpy_functions import shape_of
from halfsim.autograd.tape import op, widest
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import Integer, as_dtype
from halfsim.numerics.inputs import numbers_of
from halfsim.numerics.neighbours import spacing as distance
from halfsim.numerics.quantize import Array
from halfsim.options import refused, shown

_ROWS: dict[str, Callable[..., Any]] = {
    "around": lambda a, decimals=0, out=None: OPS["round"](a, decimals=decimals),
    "round": lambda a, decimals=0, out=None: OPS["round"](a, decimals=decimals),
    "fix": lambda x, out=None: OPS["trunc"](x),
    "sinc": lambda x: _sinc(x),
    "i0": lambda x: OPS["i0"](x),
    "nan_to_num": lambda x, copy=True, nan=0.0, posinf=None, neginf=None: OPS["nan_to_num"](x, nan, posinf, neginf),
    "diff": lambda a, n=1, axis=-1, prepend=None, append=None: OPS["diff"](a, n, axis, prepend, append),
    "trapezoid": lambda y, x=None, dx=1.0, axis=-1: OPS["trapezoid"](y, x, dx=dx if x is None else None, dim=axis),
    "cross": lambda a, b, axisa=-1, axisb=-1, axisc=-1, axis=None: _cross(a, b, axisa, axisb, axisc, axis),
    "tensordot": lambda a, b, axes=2: OPS["tensordot"](a, b, axes),
    "outer": lambda a, b, out=None: OPS["outer"](OPS["flatten"](a), OPS["flatten"](b)),
    "kron": lambda a, b: OPS["kron"](a, b),
    "einsum": lambda *operands, out=None, optimize=False: OPS["einsum"](*operands),
    "vander": lambda x, N=None, increasing=False: OPS["vander"](x, N, increasing),
    "vdot": lambda a, b: OPS["dot"](OPS["flatten"](a), OPS["flatten"](b)),
    "trace": lambda a, offset=0, axis1=0, axis2=1, dtype=None, out=None: OPS["sum"](
        OPS["diagonal"](a, offset, axis1, axis2), -1, dtype=dtype
    ),
    "matvec": lambda x1, x2: OPS["squeeze"](OPS["matmul"](x1, OPS["unsqueeze"](x2, -1)), -1),
    "vecmat": lambda x1, x2: OPS["squeeze"](OPS["matmul"](OPS["unsqueeze"](x1, -2), x2), -2),
    "divmod": lambda x1, x2: (OPS["floor_divide"](x1, x2), OPS["remainder"](x1, x2)),
    "modf": lambda x: (_fraction(x), OPS["trunc"](x)),
    "sign": lambda x: OPS["where"](np.isnan(as_numpy(x)), x, OPS["sign"](x)),
    "heaviside": lambda x1, x2: OPS["where"](np.isnan(as_numpy(x1)), x1, OPS["heaviside"](x1, x2)),
    "cbrt": lambda x: cbrt(x),
    "spacing": lambda x: Tensor(distance(x.array, x.format).astype(x.array.dtype), x.format),
    "linalg.inv": lambda a: OPS["inv"](a),
    "linalg.det": lambda a: OPS["det"](a),
    "linalg.slogdet": lambda a: OPS["slogdet"](a),
    "linalg.cholesky": lambda a, upper=False: OPS["cholesky"](a, upper=upper),
    "linalg.cond": lambda x, p=None: OPS["linalg_cond"](x, p),
    "linalg.tensorinv": lambda a, ind=2: OPS["tensorinv"](a, ind),
    "linalg.svdvals": lambda x: OPS["svdvals"](x),
    "linalg.matrix_rank": lambda A, tol=None, hermitian=False, rtol=None: OPS["matrix_rank"](
        A, hermitian=hermitian, atol=tol, rtol=rtol
    ),
    "linalg.matrix_power": lambda a, n: OPS["matrix_power"](a, n),
    "linalg.multi_dot": lambda arrays, out=None: OPS["multi_dot"](arrays),
    "linalg.outer": lambda x1, x2: OPS["outer"](x1, x2),
    "linalg.cross": lambda x1, x2, axis=-1: _cross(x1, x2, -1, -1, -1, axis),
    "linalg.trace": lambda x, offset=0, dtype=None: OPS["sum"](OPS["diagonal"](x, offset, -2, -1), -1, dtype=dtype),
    "linalg.diagonal": lambda x, offset=0: OPS["diagonal"](x, offset, -2, -1),
    "linalg.matmul": lambda x1, x2: OPS["matmul"](x1, x2),
    "linalg.tensordot": lambda x1, x2, axes=2: OPS["tensordot"](x1, x2, axes),
    "linalg.vecdot": lambda x1, x2, axis=-1: _vecdot(x1, x2, axis),
    "vecdot": lambda x1, x2, axis=-1: _vecdot(x1, x2, axis),
    "ldexp": lambda x1, x2: OPS["ldexp"](x1, x2),
    "linalg.vector_norm": lambda x, axis=None, keepdims=False, ord=2: OPS["norm"](x, ord, axis, keepdims),
    "linalg.matrix_norm": lambda x, keepdims=False, ord="fro": norm(x, ord, (-2, -1), keepdims),
}

for _name, _function in _ROWS.items():
    simulates(_name)(_function)


def _fraction(x: Any) -> Any:
    """What `trunc` leaves, with the sign of ``x``; 0 of infinities."""
    part = OPS["sub"](x, OPS["trunc"](x))
    return OPS["copysign"](OPS["where"](np.isinf(as_numpy(x)), 0.0, part), x)


def _vecdot(x1: Any, x2: Any, axis: int) -> Any:
    y, fmt = OPS["vecdot"](x1, x2, dim=axis), widest((x1, x2))
    return y.to(fmt) if isinstance(fmt, Integer) else y


def _sinc(x: Any) -> Any:
    x = as_tensor(x)
    y = OPS["mul"](x, tensor(np.pi, x.format))  # which NumPy rounds to the format, too
    y = OPS["where"](plain(y) == 0, y.format.eps, y)
    return OPS["div"](OPS["sin"](y), y)


@op()
def cbrt(fp: Arithmetic, x: Array, /) -> Any:
    """The cube root, rounded once; gradient ``g / (3 * (y * y))``, each step stored."""
    y = fp.function("cbrt", x)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        s = Stepwise(fp)
        return fp.div(g, s.mul(s.constant(3.0), s.mul(y, y)))

    return y, pullback


# Limits, ranges, differences.


@simulates()
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: None = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    return OPS["cast"](a, a.format) if low is None and high is None else OPS["clamp"](a, low, high)


def _ends(start: Any, stop: Any, dtype: Any) -> tuple[Any, Any]:
    """Two ends as tensors of floats of one shape."""
    fmt = widest((start, stop)) if dtype is None else dtype
    ends = (as_tensor(x).to(np.float64 if isinstance(fmt, Integer) else fmt) for x in (start, stop))
    first, last = OPS["broadcast_tensors"](*ends)
    return first, last


@simulates()
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    first, last = _ends(start, stop, None)
    parts = num - 1 if endpoint else num
    count = np.arange(num, dtype=np.float64).reshape(-1, *[1] * first.ndim)
    step = OPS["div"](OPS["sub"](last, first), float(parts)) if parts > 0 else OPS["full_like"](first, np.nan)
    y = OPS["add"](OPS["mul"](count, step if parts > 0 else OPS["sub"](last, first)), first)
    if endpoint and num > 1:
        y = OPS["cat"]([y[:-1], OPS["unsqueeze"](last, 0)], 0)
    y = OPS["moveaxis"](y, 0, axis) if axis != 0 else y
    y = y if dtype is None else y.to(as_dtype(dtype))
    return (y, step) if retstep else y


@simulates()
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    y = OPS["pow"](base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.to(as_dtype(dtype))


@simulates()
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    first, last = _ends(start, stop, None)
    sign = OPS["sign"](first)
    first, last = OPS["mul"](first, sign), OPS["mul"](last, sign)
    if (plain(first) <= 0).any() or (plain(last) <= 0).any():
        raise ValueError("start, stop: zero and numbers of different signs are not allowed; allowed: of one sign")
    y = logspace(OPS["log10"](first), OPS["log10"](last), num, endpoint)
    ends = [OPS["unsqueeze"](x, 0) for x in (first, last)]
    inner = [y[1:-1], ends[1]] if endpoint and num > 1 else [y[1:]]
    y = OPS["mul"](OPS["cat"]([ends[0], *inner], 0) if num else y, sign)
    y = OPS["moveaxis"](y, 0, axis) if axis != 0 else y
    return y if dtype is None else y.to(as_dtype(dtype))


@simulates()
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    parts = [to_begin, OPS["diff"](OPS["flatten"](ary)), to_end]
    given = [OPS["reshape"](as_tensor(x, ary), (-1,)) for x in parts if x is not None]
    return OPS["cat"](given, 0) if len(given) > 1 else given[0]


def _part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop),)]


@simulates()
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = as_tensor(f)
    axes = [axis_of(a, f.ndim) for a in (range(f.ndim) if axis is None else axis if np.ndim(axis) else [axis])]
    given = list(varargs) * (len(axes) if len(varargs) == 1 else 1) or [1.0] * len(axes)
    if len(given) != len(axes) or edge_order not in (1, 2):
        raise TypeError(f"numpy.gradient of {len(varargs)} distances for {len(axes)} axes, edge_order={edge_order}: "
                        "allowed: none, one, or one for each axis; 1 or 2")  # fmt: skip
    found = [_slope(f, h, a, edge_order) for h, a in zip(given, axes, strict=True)]
    return found[0] if len(axes) == 1 else tuple(found)


def _slope(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Central differences along an axis, one-sided ones at its ends."""
    size = f.shape[axis]
    if size < edge_order + 1:
        raise ValueError(f"f: {size} values along axis {axis} are too few; allowed: at least {edge_order + 1}")
    if len(shape_of(h)):
        if shape_of(h) != (size,):
            raise ValueError(f"varargs: shape {shape_of(h)} does not fit {size} values; allowed: a coordinate for each")
        steps = OPS["diff"](as_tensor(h, f))
        even = plain(steps)
        h = steps[0] if (even == even[0]).all() else steps
    if not len(shape_of(h)):
        inner = OPS["div"](OPS["sub"](_part(f, axis, 2, None), _part(f, axis, None, -2)), OPS["mul"](2.0, h))
        first, last = h, h
    else:
        column = OPS["reshape"](h, [-1 if a == axis else 1 for a in range(f.ndim)])
        before, after = _part(column, axis, None, -1), _part(column, axis, 1, None)
        both = before + after
        weights = -after / (before * both), (after - before) / (before * after), before / (after * both)
        inner = _weighted(weights, [_part(f, axis, i, (size - 2 + i) or None) for i in range(3)])
        first, last = h[0], h[-1]
    if edge_order == 1:
        ends = [
            OPS["div"](OPS["sub"](_part(f, axis, i + 1, i + 2), _part(f, axis, i, i + 1)), step)
            for i, step in ((0, first), (size - 2, last))
        ]
    else:
        second, before_last = (h[1], h[-2]) if len(shape_of(h)) else (h, h)
        ends = [
            _weighted(_of_three(a, b, end), [_part(f, axis, i + k, i + k + 1) for k in range(3)])
            for i, a, b, end in ((0, first, second, False), (size - 3, before_last, last, True))
        ]
    return OPS["cat"]([ends[0], inner, ends[1]], axis)


def _of_three(a: Any, b: Any, end: bool) -> Sequence[Any]:
    """The weights of three values, ``a`` and ``b`` apart, for the slope at the first of them, or the last."""
    if isinstance(a, Tensor) and a is not b:
        if end:
            return b / (a * (a + b)), -(b + a) / (a * b), (2.0 * b + a) / (b * (a + b))
        return -(2.0 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b))
    one, two, three = OPS["div"](0.5, a), OPS["div"](2.0, a), OPS["div"](1.5, a)
    return (one, OPS["neg"](two), three) if end else (OPS["neg"](three), two, OPS["neg"](one))


def _weighted(weights: Sequence[Any], values: Sequence[Any]) -> Any:
    a, b, c = (OPS["mul"](w, x) for w, x in zip(weights, values, strict=True))
    return OPS["add"](OPS["add"](a, b), c)


@simulates()
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: float | None = None) -> Any:
    for name, end in (("left", left), ("right", right)):  # which a period leaves unused
        if isinstance(end, str) or callable(end):
            raise refused(name, end, "numbers, None")
    fmt = next(y.format for y in (fp, x, xp) if isinstance(y, Tensor))
    x, xp, fp = (y if isinstance(y, Tensor) else tensor(y, fmt) for y in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.shape[0]:
        raise ValueError(
            f"xp, fp: shapes {xp.shape} and {fp.shape} are not allowed; allowed: as many of each, at least 1"
        )
    if period is not None:
        x, xp = OPS["remainder"](x, abs(period)), OPS["remainder"](xp, abs(period))
        order = np.argsort(plain(xp), kind="stable")
        xp, fp = xp[order], fp[order]
        xp = OPS["cat"]([xp[-1:] - abs(period), xp, xp[:1] + abs(period)], 0)
        fp, left, right = OPS["cat"]([fp[-1:], fp, fp[:1]], 0), None, None
    points, asked, last = plain(xp), plain(x), xp.shape[0] - 1
    j = np.clip(np.searchsorted(points, asked, "right") - 1, 0, max(last - 1, 0))
    y = fp[j]
    if last:
        rise, run = OPS["sub"](fp[j + 1], fp[j]), OPS["sub"](xp[j + 1], xp[j])
        slope = OPS["div"](rise, OPS["where"](plain(run) == 0, 1.0, run))
        y = OPS["where"](asked == points[j], y, OPS["add"](OPS["mul"](slope, OPS["sub"](x, xp[j])), y))
    y = OPS["where"](np.isnan(asked), x, y)
    y = OPS["where"](asked >= points[-1], fp[-1], y)
    y = OPS["where"](asked > points[-1], fp[-1] if right is None else right, y)
    return OPS["where"](asked < points[0], fp[0] if left is None else left, y)


# Sums of products.


def _cross(a: Any, b: Any, axisa: int, axisb: int, axisc: int, axis: int | None) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a, b = OPS["moveaxis"](a, axisa, -1), OPS["moveaxis"](b, axisb, -1)
    y = OPS["linalg_cross"](*OPS["broadcast_tensors"](a, b), -1)
    return OPS["moveaxis"](y, -1, axisc)


@simulates()
def dot(a: Any, b: Any, out: None = None) -> Any:
    left, right = len(shape_of(a)), len(shape_of(b))
    if not left or not right:
        return OPS["mul"](a, b)
    if left == right == 1:
        return OPS["dot"](a, b)
    return OPS["matmul"](a, b) if right <= 2 else OPS["tensordot"](a, b, ([left - 1], [right - 2]))


@simulates()
def inner(a: Any, b: Any) -> Any:
    return OPS["inner"](a, b) if shape_of(a) and shape_of(b) else OPS["mul"](a, b)


@simulates()
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = (as_tensor(x, v if isinstance(v, Tensor) else a) for x in (a, v))
    if a.ndim > 1 or v.ndim > 1 or not a.size or not v.size:
        raise ValueError(f"a, v: shapes {a.shape} and {v.shape} are not allowed; allowed: vectors with values")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"mode: {mode!r} is not allowed; allowed: 'full', 'same', 'valid'")
    a, v = OPS["atleast_1d"](a), OPS["atleast_1d"](v)
    a, v = (a, v) if len(a) >= len(v) else (v, a)
    around = {"full": len(v) - 1, "same": len(v) - 1, "valid": 0}[mode]
    y = OPS["conv1d"](a[None, None], OPS["flip"](v)[None, None], padding=around)[0, 0]
    return y[(len(v) - 1) // 2 :][: len(a)] if mode == "same" else y


@simulates()
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    if shape_of(v) > shape_of(a):
        return OPS["flip"](correlate(v, a, mode))
    turned = OPS["flip"](as_tensor(v, a))
    if mode != "same":
        return convolve(a, turned, mode)
    full = convolve(a, turned, "full")
    return full[len(turned) // 2 :][: len(full) - len(turned) + 1] if len(turned) % 2 else convolve(a, turned, mode)


@simulates("linalg.norm")
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    over = len(shape_of(x)) if axis is None else len(axis) if isinstance(axis, tuple) else 1
    if ord is None or (ord == "fro" and over == 2):
        return OPS["norm"](x, 2, axis, keepdims)
    if over == 2 and ord in (1, -1, 2, -2, np.inf, -np.inf, "nuc"):
        return OPS["matrix_norm"](x, ord, (-2, -1) if axis is None else axis, keepdims)
    if isinstance(ord, str) or over != 1:
        allowed = "None, 'fro', 'nuc', 1, -1, 2, -2, inf, -inf of matrices, any number of vectors"
        raise TypeError(f"numpy.linalg.norm of {over} axes with ord={ord!r} is not simulated; allowed: {allowed}")
    return OPS["norm"](x, ord, axis, keepdims)


@simulates("linalg.solve")
def solve(a: Any, b: Any) -> Any:
    missing = len(shape_of(a)) - len(shape_of(b)) if len(shape_of(b)) > 1 else 0  # only one axis makes a vector
    return OPS["solve"](a, OPS["reshape"](b, (*[1] * max(missing, 0), *shape_of(b))) if missing > 0 else b)


# Polynomials, the highest power first.


@simulates()
def polyval(p: Any, x: Any) -> Any:
    x = as_tensor(x, p)
    y = OPS["zeros_like"](x)
    for coefficient in p:
        y = OPS["add"](OPS["mul"](y, x), coefficient)
    return y


def _aligned(sign: str) -> Callable[..., Any]:
    def join(a1: Any, a2: Any) -> Any:
        a, b = (OPS["atleast_1d"](as_tensor(x, other)) for x, other in ((a1, a2), (a2, a1)))
        size = max(len(a), len(b))
        return OPS[sign](*(OPS["pad"](x, (size - len(x), 0)) for x in (a, b)))

    return join


simulates("polyadd")(_aligned("add"))
simulates("polysub")(_aligned("sub"))
simulates("polymul")(lambda a1, a2: convolve(a1, a2))


@simulates()
def polyder(p: Any, m: int = 1) -> Any:
    if not isinstance(m, (int, np.integer)) or m < 0:
        raise ValueError(f"m: {shown(m)} is not allowed; allowed: integers from 0")
    for _ in range(min(m, len(p))):  # nothing is left after that
        p = OPS["mul"](p[:-1], np.arange(len(p) - 1, 0, -1, dtype=np.float64))
    return p


@simulates()
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    if not 0 <= m <= 10_000:
        raise ValueError(f"m: {m} is not allowed; allowed: 0 to 10000 times")
    constants = np.broadcast_to(0.0 if k is None else numbers_of(as_numpy(k)), m).tolist()
    for constant in constants:
        powers = OPS["div"](p, np.arange(len(p), 0, -1, dtype=np.float64))
        p = OPS["cat"]([powers, tensor([constant], p.format)], 0)
    return p
