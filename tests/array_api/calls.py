"""How each function of the array API is called: arguments drawn by the standard's kinds of dtypes, for us and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
KINDS = {
    "floating": FLOATS,
    "integer": SIGNED + UNSIGNED,
    "real": SIGNED + UNSIGNED + FLOATS,
    "boolean": ("bool",),
    "whole": ("bool", *SIGNED, *UNSIGNED),
    "all": ("bool", *SIGNED, *UNSIGNED, *FLOATS),
}


class Draw:
    """Arguments of one call."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def of(self, *choices: Any) -> Any:
        return self.data.draw(st.sampled_from(choices))

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def dtype(self, kind: str) -> str:
        return self.of(*KINDS[kind])

    def shape(self, min_dims: int = 0) -> tuple[int, ...]:
        if not min_dims and self.of(False, False, True):
            return ()
        return self.data.draw(hnp.array_shapes(min_dims=max(min_dims, 1), max_dims=3, max_side=4))

    def array(
        self, kind: str = "real", shape: Any = None, *, tame: bool = False, dtype: Any = None, min_dims: int = 0
    ) -> Any:
        dtype = np.dtype(dtype or self.dtype(kind))
        shape = self.shape(min_dims) if shape is None else shape
        elements: Any = None
        if dtype.kind == "f":
            wide = {"allow_nan": False, "min_value": -64, "max_value": 64} if tame else {}
            elements = st.floats(width=8 * dtype.itemsize, allow_subnormal=False, **wide)  # type: ignore[arg-type]
        elif dtype.kind in "iu" and tame:
            elements = st.integers(0 if dtype.kind == "u" else -5, 5)
        return self.data.draw(hnp.arrays(dtype, shape, elements=elements))

    def pair(self, kind: str, **options: Any) -> tuple[Any, Any]:
        """Two arrays of one kind that promote and broadcast; sometimes of unlike dtypes."""
        one = self.dtype(kind)
        alike = [d for d in KINDS[kind] if d[0] == one[0] or (d[0] in "iu" and one[0] in "iu")]
        two = self.of(*alike)
        assume(np.result_type(one, two).kind in one[0] + two[0])  # signed with uint64 is undefined
        shape = self.shape()
        shapes = [shape, shape[self.integer(0, len(shape)) :] if shape else shape]
        shapes = shapes[:: self.of(1, -1)]
        return tuple(self.array(shape=s, dtype=d, **options) for s, d in zip(shapes, (one, two), strict=True))  # type: ignore[return-value]

    def axis(self, x: Any, *, none: bool = True) -> Any:
        return self.of(*([None] if none else []), *range(-x.ndim, x.ndim))

    def axes(self, x: Any) -> Any:
        return self.of(None, tuple(range(x.ndim)), *range(-x.ndim, x.ndim), *([(0, -1)] if x.ndim > 1 else []))


Call = Callable[[Draw], tuple[tuple[Any, ...], dict[str, Any]]]


def one(kind: str) -> Call:
    return lambda d: ((d.array(kind),), {})


def two(kind: str, **options: Any) -> Call:
    return lambda d: (d.pair(kind, **options), {})


def reduced(kind: str, **options: Any) -> Call:
    def call(d: Draw) -> Any:
        x = d.array(kind, tame=True)
        more = {name: d.of(*values) for name, values in options.items()}
        return (x,), {"axis": d.axes(x), "keepdims": d.of(True, False), **more}

    return call


def placed(d: Draw) -> Any:
    x = d.array("real")
    return (x,), {"axis": d.axis(x), "keepdims": d.of(True, False)}


def running(d: Draw) -> Any:
    x = d.array("real", tame=True, min_dims=1)
    return (x,), {"axis": d.axis(x, none=x.ndim == 1), "include_initial": d.of(True, False)}


def ordered(d: Draw) -> Any:
    x = d.array("real", min_dims=1)
    return (x,), {"axis": d.axis(x, none=False), "descending": d.of(True, False)}


def shifts(d: Draw) -> Any:
    x = d.array("integer")
    return (x, d.array(shape=x.shape, dtype=x.dtype, tame=True).clip(0, 5)), {}


def divided(d: Draw) -> Any:
    a, b = d.pair("real")
    return (a, np.where(b == 0, b.dtype.type(1), b) if b.dtype.kind in "iu" else b), {}


def powers(d: Draw) -> Any:
    a, b = d.pair("real", tame=True)
    return (a, np.abs(b) if b.dtype.kind in "iu" else b), {}


def along(name: str, kind: str = "all", none: bool = True) -> Call:
    def call(d: Draw) -> Any:
        x = d.array(kind, min_dims=1)
        return (x,), {name: d.axis(x, none=none)}

    return call


def several(d: Draw) -> Any:
    a, b = d.pair("real")
    a, b = np.broadcast_arrays(a, b)
    assume(a.ndim)
    return ([a.copy(), b.copy()],), {"axis": d.axis(a, none=False)}


def matrices(*shapes: Any) -> Call:
    def call(d: Draw) -> Any:
        dtype = d.dtype("real")
        return tuple(d.array(shape=d.of(*s), dtype=dtype, tame=True) for s in shapes), {}

    return call


def invertible(d: Draw) -> Any:
    x = d.array("floating", d.of((3, 3), (2, 2, 2)), tame=True)
    return (x + x.dtype.type(200) * np.eye(x.shape[-1], dtype=x.dtype),), {}


def definite(d: Draw) -> Any:
    ((x,), _) = invertible(d)
    return ((x + np.swapaxes(x, -1, -2)) / 2,), {}


def made(*shape: Any) -> Call:
    return lambda d: ((d.shape(), *(d.of(*s) for s in shape)), {"dtype": np.dtype(d.dtype("all"))})


def like(*values: Any) -> Call:
    return lambda d: ((d.array("all"), *(d.of(*v) for v in values)), {"dtype": d.of(None, np.dtype(d.dtype("all")))})


def taken(d: Draw) -> Any:
    x = d.array("all", min_dims=1)
    axis = d.axis(x, none=False)
    return (x, d.array(shape=(3,), dtype="int64", tame=True).clip(-1, x.shape[axis] - 1)), {"axis": axis}


def taken_along(d: Draw) -> Any:
    x = d.array("all", min_dims=1)
    axis = d.axis(x, none=False)
    return (x, np.argsort(x, axis=axis)), {"axis": axis}


def repeated(d: Draw) -> Any:
    x = d.array("all", min_dims=1)
    axis = d.axis(x)
    size = x.size if axis is None else x.shape[axis]
    return (x, d.of(2, d.array(shape=(size,), dtype="int64", tame=True).clip(0, 3))), {"axis": axis}


def bounds(d: Draw) -> Any:
    x = d.array("real", tame=True)
    return (x, d.of(None, 1, np.asarray(1, x.dtype)), d.of(None, 3, np.full(x.shape, 3, x.dtype))), {}


def chosen(d: Draw) -> Any:
    a, b = d.pair("real")
    return (d.array("boolean", np.broadcast_shapes(a.shape, b.shape)), a, d.of(b, b)), {}


def searched(d: Draw) -> Any:
    dtype = d.dtype("real")
    rows = d.array(shape=(5,), dtype=dtype, tame=True)
    options = {"side": d.of("left", "right"), **d.of({}, {"sorter": np.argsort(rows)})}
    return (rows if "sorter" in options else np.sort(rows), d.array(dtype=dtype, tame=True)), options


def differences(d: Draw) -> Any:
    x = d.array("real", tame=True, min_dims=1)
    return (x,), {"axis": d.axis(x, none=False), "n": d.integer(1, 2), "append": d.of(None, x)}


def moved(d: Draw) -> Any:
    x = d.array("all", min_dims=1)
    return (x, d.axis(x, none=False), d.axis(x, none=False)), {}


def singles(d: Draw) -> Any:
    x = d.array("all", d.of((1, 2), (2, 1, 1), (1,)))
    return (x, d.of(*(a for a in range(x.ndim) if x.shape[a] == 1))), {}


def shaped(name: str) -> Call:
    def call(d: Draw) -> Any:
        x = d.array("all", (2, 6))
        return (x, d.of(*{"reshape": [(12,), (3, -1), (2, 3, 2)], "broadcast_to": [(4, 2, 6), (2, 6)],
                          "permute_dims": [(1, 0), (0, 1)], "tile": [(2,), (2, 1, 2)]}[name])), {}  # fmt: skip

    return call


def triangle(d: Draw) -> Any:
    return (d.array("all", d.of((3, 4), (2, 3, 2))),), {"k": d.integer(-2, 2)}


def dotted(d: Draw) -> Any:
    dtype = d.dtype("real")
    a, b = (d.array(shape=s, dtype=dtype, tame=True) for s in d.of([(2, 3), (3,)], [(3,), (4, 3)], [(2, 3), (2, 3)]))
    return (a, b), {"axis": -1}


def normed(d: Draw) -> Any:
    x = d.array("floating", tame=True, min_dims=1)
    return (x,), {"axis": d.axis(x), "keepdims": d.of(True, False), "ord": d.of(1, 2, 3, np.inf, -np.inf, 0)}


_FLOATING = ("acos acosh asin asinh atan atanh cos cosh exp expm1 imag log log10 log1p log2 reciprocal signbit sin "
             "sinh sqrt tan tanh")  # fmt: skip
_REAL = "abs ceil conj floor isfinite isinf isnan negative positive real round sign square trunc"
_PAIRS = "add greater greater_equal less less_equal maximum minimum multiply subtract"

CALLS: dict[str, Call] = {
    **{name: one("floating") for name in _FLOATING.split()},
    **{name: one("real") for name in _REAL.split()},
    "logical_not": one("boolean"),
    "bitwise_invert": one("whole"),
    **{name: two("floating") for name in "atan2 copysign divide hypot logaddexp nextafter".split()},  # noqa: SIM905
    **{name: two("real") for name in _PAIRS.split()},
    **{name: two("all") for name in ("equal", "not_equal")},
    **{name: two("boolean") for name in ("logical_and", "logical_or", "logical_xor")},
    **{name: two("whole") for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    "bitwise_left_shift": shifts,
    "bitwise_right_shift": shifts,
    "floor_divide": divided,
    "remainder": divided,
    "pow": powers,
    "clip": bounds,
    "sum": reduced("real"),
    "prod": reduced("real"),
    "max": reduced("real"),
    "min": reduced("real"),
    "mean": reduced("floating"),
    "var": reduced("floating", correction=(0.0, 0.5)),
    "std": reduced("floating", correction=(0.0, 0.5)),
    "all": reduced("all"),
    "any": reduced("all"),
    "count_nonzero": reduced("all"),
    "cumulative_sum": running,
    "cumulative_prod": running,
    "diff": differences,
    "argmax": placed,
    "argmin": placed,
    "argsort": ordered,
    "sort": ordered,
    "nonzero": lambda d: ((d.array("all", min_dims=1),), {}),
    "searchsorted": searched,
    "where": chosen,
    **{name: one("all") for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values")},
    "take": taken,
    "take_along_axis": taken_along,
    "repeat": repeated,
    "flip": along("axis"),
    "unstack": along("axis", none=False),
    "roll": lambda d: ((d.array("all", (3, 4)), d.integer(-5, 5)), {"axis": d.of(None, 0, -1)}),
    "expand_dims": lambda d: ((d.array("all"),), {"axis": d.of(0, -1)}),
    "squeeze": singles,
    "moveaxis": moved,
    **{name: shaped(name) for name in ("reshape", "broadcast_to", "permute_dims", "tile")},
    "broadcast_arrays": two("all"),
    "concat": several,
    "stack": several,
    "matmul": matrices([(2, 3), (4, 2, 3)], [(3, 2), (3,)]),
    "matrix_transpose": matrices([(2, 3), (2, 3, 4)]),
    "tensordot": matrices([(2, 3, 4)], [(3, 4), (3, 4, 2)]),
    "vecdot": dotted,
    "tril": triangle,
    "triu": triangle,
    "meshgrid": lambda d: (matrices([(3,)], [(2,)])(d)[0], {"indexing": d.of("xy", "ij")}),
    "zeros": made(),
    "ones": made(),
    "full": made((0, 1)),
    "zeros_like": like(),
    "ones_like": like(),
    "full_like": like((0, 1)),
    "eye": lambda d: ((3, d.of(None, 4)), {"k": d.integer(-2, 2), "dtype": np.dtype(d.dtype("all"))}),
    "arange": lambda d: (
        (d.integer(-3, 3), d.integer(-3, 9), d.of(1, 2, -1)),
        {"dtype": np.dtype(d.dtype("floating"))},
    ),
    "linspace": lambda d: (
        (d.integer(-3, 3), d.integer(-3, 9), d.integer(1, 9)),
        {"dtype": np.dtype(d.dtype("floating")), "endpoint": d.of(True, False)},
    ),
    "asarray": lambda d: ((d.array("all"),), {"dtype": d.of(None, np.dtype("float64"))}),
    "astype": lambda d: ((d.array("all", tame=True), np.dtype(d.dtype("all"))), {}),
    "from_dlpack": one("all"),
    "result_type": lambda d: tuple_of(d, "real"),
    "can_cast": lambda d: ((np.dtype(d.dtype("whole")), np.dtype(d.dtype("whole"))), {}),
    "isdtype": lambda d: (
        (np.dtype(d.dtype("all")), d.of("bool", "integral", "numeric", "real floating", ("bool", "signed integer"))),
        {},
    ),
}


def tuple_of(d: Draw, kind: str) -> Any:
    a, b = d.pair(kind)
    return (a, b.dtype), {}


def matrices_of_floats(d: Draw) -> Any:
    return (d.array("floating", d.of((2, 3), (2, 3, 2)), tame=True),), {}


LINALG: dict[str, Call] = {
    **{name: CALLS[name] for name in ("matmul", "matrix_transpose", "tensordot", "vecdot")},
    "outer": matrices([(3,)], [(2,)]),
    "cross": matrices([(3,), (2, 3)], [(3,), (2, 3)]),
    "diagonal": lambda d: ((d.array("all", (2, 3, 4)),), {"offset": d.integer(-1, 2)}),
    "trace": lambda d: ((d.array("real", (2, 3, 4), tame=True),), {"offset": d.integer(-1, 2)}),
    "vector_norm": normed,
    "matrix_norm": lambda d: (
        (d.array("floating", (2, 3, 4), tame=True),),
        {"ord": d.of("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf), "keepdims": d.of(True, False)},
    ),
    "matrix_power": lambda d: ((*invertible(d)[0], d.integer(0, 3)), {}),
    "cholesky": definite,
    "det": invertible,
    "svdvals": matrices_of_floats,
    "matrix_rank": matrices_of_floats,
    "slogdet": invertible,
    "inv": invertible,
}


def solved(d: Draw) -> Any:
    ((a,), _) = invertible(d)
    return (a, d.array(shape=(a.shape[-1], 2), dtype=a.dtype, tame=True)), {}


LINALG["solve"] = solved
