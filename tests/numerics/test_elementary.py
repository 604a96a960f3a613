from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
import pickle
import tracemalloc
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gmpy2
import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics import elementary
from tests.oracles import CODES, boundaries, same

MODES = ("nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd")
DTYPES: dict[str, Any] = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}

RENAMED = {"rsqrt": "rec_sqrt"}  # in MPFR
# Of the codes of float16 results to nearest even, little-endian: the start of their SHA-256.
CHECKSUMS = {
    "exp": "608c213c696b", "exp2": "6c319b8ad56f", "exp10": "c08745752eb7",
    "expm1": "326c848cd664", "log": "322c994520bd", "log2": "25c28eb051f4",
    "log10": "7403d4624166", "log1p": "ed9da01de8e1", "sin": "64be3022e5c2",
    "cos": "04631c5d39cd", "tan": "c4654d273a42", "asin": "49a513630eff",
    "acos": "d89ac7a370c9", "atan": "12289ac89a05", "sinh": "0b49d6b9ed91",
    "cosh": "92bf27474343", "tanh": "fe29dbdff0de", "asinh": "035dd33a7f26",
    "acosh": "7c71b8f39460", "atanh": "74767fa2748e", "cbrt": "09b7b923725c",
    "erf": "9bdc79d64641", "erfc": "5222b8d9f177", "sigmoid": "a1c114a164cf",
    "rsqrt": "87d0a874cbf7", "reciprocal": "5fd7378a5f83", "sqrt": "72fc6043a8d2",
    "square": "d14c79fcac2b", "softplus": "21d17512052c", "gelu": "6e527d1f66e7",
    "silu": "9920d6c12f34",
}  # fmt: skip
NAMES = [name for name, f in vars(elementary).items() if isinstance(f, elementary.Function)]

DOUBLE = gmpy2.context(precision=53, emax=1024, emin=-1073, subnormalize=True, round=gmpy2.RoundToZero)
WIDE: dict[str, Any] = {"precision": 200, "emax": gmpy2.get_emax_max(), "emin": gmpy2.get_emin_min()}
DOWN, UP = gmpy2.context(**WIDE, round=gmpy2.RoundToZero), gmpy2.context(**WIDE, round=gmpy2.RoundAwayZero)
ROOT = UP.sqrt(gmpy2.mpfr(2))


def _sigmoid(x: Any) -> Any:
    """From below, so that it stays below 1."""
    return DOWN.div(1, UP.add(1, UP.exp(-x)))


def _gelu(x: Any) -> Any:
    return DOWN.mul(x, DOWN.div(DOWN.erfc(DOWN.div(-x, ROOT)), 2))


def _silu(x: Any) -> Any:
    return DOWN.mul(x, _sigmoid(x))


def _softplus(x: Any) -> Any:
    """From above, so that it stays above x."""
    return UP.add(max(x, gmpy2.mpfr(0)), UP.log1p(UP.exp(-abs(x))))


# Irrational at every number but 0, so that rounding never meets a tie. Beside each, its limits at -inf and inf.
COMPOSED: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "sigmoid": (_sigmoid, 0.0, 1.0),
    "gelu": (_gelu, -0.0, math.inf),
    "silu": (_silu, -0.0, math.inf),
    "softplus": (_softplus, 0.0, math.inf),
}


def _one(name: str) -> Callable[[Any], tuple[float, bool]]:
    """What gives MPFR's result at a number, rounded to float64 toward zero, and whether anything was lost."""
    if name in COMPOSED:
        f, low, high = COMPOSED[name]

        def composed(x: Any) -> tuple[float, bool]:
            if not gmpy2.is_finite(x):
                return (math.nan if gmpy2.is_nan(x) else low if x < 0 else high), False
            return float(DOUBLE.plus(f(x))), x != 0 or name == "softplus"

        return composed
    own = (lambda x: DOUBLE.div(1, x)) if name == "reciprocal" else getattr(DOUBLE, RENAMED.get(name, name))

    def one(x: Any) -> tuple[float, bool]:
        y = own(x)
        return float(y), y.rc != 0

    def root(x: Any) -> tuple[float, bool]:  # IEEE 754-2019 clause 9.2.1; MPFR's is +inf at both zeros
        return one(x) if x else (math.copysign(math.inf, x), False)

    return root if name == "rsqrt" else one


def values_of(fmt: str | hs.Format) -> np.ndarray:
    """The value of every code, as NumPy and ml_dtypes read them; of a Format, as ours do (see test_codec)."""
    with np.errstate(all="ignore"):
        if isinstance(fmt, str):
            return CODES.view(DTYPES[fmt]).astype(np.float64)
        return np.asarray(hs.decode(np.arange(1 << fmt.bits), fmt))


@lru_cache(maxsize=2)
def numbers(fmt: str | hs.Format) -> list[Any]:
    """The values of all codes, as MPFR's numbers."""
    return [gmpy2.mpfr(x) for x in values_of(fmt).tolist()]


@lru_cache(maxsize=2)
def to_odd(name: str, fmt: str | hs.Format) -> np.ndarray:
    """MPFR's results at every code of ``fmt``, rounded to odd in float64: a later rounding is as of the exact value."""
    values, lost = (np.array(column) for column in zip(*map(_one(name), numbers(fmt)), strict=True))
    return np.asarray((values.view(np.int64) | lost).view(np.float64))


@lru_cache(maxsize=2)
def grid_of(fmt: str | hs.Format) -> np.ndarray:
    """-inf, the finite numbers in order, zero once, inf."""
    grid = np.unique(values_of(fmt))
    return grid[~np.isnan(grid)]


def round_on(v: np.ndarray, fmt: str | hs.Format) -> dict[str, np.ndarray]:
    """``v`` rounded in each mode by finding its neighbours among all numbers of ``fmt``."""
    grid = grid_of(fmt)
    index = np.minimum(np.searchsorted(grid, v), len(grid) - 1)
    high, low = grid[index], grid[np.maximum(index - 1, 0)]
    edge = grid[-2] / 2 + (grid[-2] / 2 - grid[-3] / 2)  # to nearest, infinity stands where the next number would
    middle = np.maximum(low / 2, -edge) + np.minimum(high / 2, edge)
    inner, outer = np.where(v < 0, high, low), np.where(v < 0, low, high)
    even = (index - 1 - len(grid) // 2) % 2 == 0  # whether `low` is: codes alternate outward from zero
    nearest = np.where(v < middle, low, high)
    modes = {
        "toward_zero": inner,
        "upward": high,
        "downward": low,
        "nearest_away": np.where(v == middle, outer, nearest),
        "nearest_even": np.where(v == middle, np.where(even, low, high), nearest),
        "to_odd": np.where(even, high, low),
    }
    kept = (high == v) | np.isnan(v)
    return {mode: np.copysign(np.where(kept, v, y), v) for mode, y in modes.items()}


def test_the_oracles_rounding_is_numpys_where_numpy_has_one(rng: np.random.Generator) -> None:
    v = np.concatenate(
        [rng.standard_normal(20_000) * 2.0 ** rng.integers(-26, 18, 20_000), [65519.9, 65520, -65520, 2.0**-25]]
    )
    with np.errstate(all="ignore"):
        assert same(round_on(v, "float16")["nearest_even"], v.astype(np.float16)).all()
    odd = round_on(v, "float16")["to_odd"]
    assert (odd.astype(np.float16).view(np.uint16) & 1)[odd != v].all()


def check(name: str, fmt: str | hs.Format) -> None:
    """Every number of ``fmt``, in every mode."""
    x, every = values_of(fmt), round_on(to_odd(name, fmt), fmt)
    for mode in MODES:
        got, want = getattr(elementary, name)(x, fmt, mode), every[mode]
        wrong = np.flatnonzero(~same(got, want))
        assert wrong.size == 0, (
            f"{wrong.size} wrong in {mode}; first: {name}({x[wrong[0]]!r}) = {got[wrong[0]]!r}, not {want[wrong[0]]!r}"
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_half_in_every_mode_equals_mpfr(name: str) -> None:
    check(name, "float16")


@pytest.mark.parametrize("name", ["exp", "log", "sin", "tanh", "erf", "expm1", "rsqrt"])
def test_every_bfloat16_in_every_mode_equals_mpfr(name: str) -> None:
    check(name, "bfloat16")


# Where a function comes nearest to a midpoint without reaching it (sigmoid(-2**-13), to 2**-43.6), the most digits, and
# the widest range, in which float64 itself underflows and overflows.
NEAREST, DIGITS, RANGE = hs.Format("e3m12", 3, 13), hs.Format("e2m13", 2, 14), hs.Format("e11m4", 11, 5)
SIXTEEN_BITS = [hs.Format(f"e{e}", e, 16 - e) for e in range(2, 12)]


@pytest.mark.parametrize(("name", "fmt"), [("sigmoid", NEAREST), ("exp", RANGE), ("square", RANGE)])
def test_extreme_formats_equal_mpfr(name: str, fmt: hs.Format) -> None:
    check(name, fmt)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", ["bfloat16", hs.tfloat32, *SIXTEEN_BITS], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_every_format_of_sixteen_bits_equals_mpfr(name: str, fmt: str | hs.Format) -> None:
    check(name, fmt)  # the numbers and midpoints of a narrower format are among these


@pytest.mark.parametrize("name", NAMES)
def test_another_libm_makes_the_same_table(name: str) -> None:
    function, x = getattr(elementary, name), values_of("float16")
    for error in (2.0**-47, -(2.0**-47)):

        def other(x: np.ndarray, error: float = error) -> Any:
            return function.formula(x) * (1 + error * (1 - 2 * (np.arange(x.size) % 3 == 0)))

        libm = dataclasses.replace(function, formula=other)
        for mode in MODES:
            assert same(libm(x, rounding=mode), function(x, rounding=mode)).all()
    checksum = hashlib.sha256(hs.encode(function(x)).astype("<u2").tobytes()).hexdigest()[:12]
    assert checksum == CHECKSUMS[name]


def test_functions_that_approach_a_number_stay_on_their_side() -> None:
    below, above, least = 1 - 2.0**-11, 1 + 2.0**-10, 2.0**-24
    assert elementary.tanh(20.0, rounding="toward_zero") == below
    assert elementary.tanh(np.inf, rounding="toward_zero") == 1
    assert elementary.exp(-60000.0, rounding="upward") == least
    assert elementary.exp(-np.inf, rounding="upward") == 0
    assert elementary.exp(least, rounding="upward") == above
    assert elementary.exp(60000.0, rounding="downward") == 65504
    assert elementary.cos(least, rounding="toward_zero") == below
    assert elementary.gelu(-60000.0, rounding="downward") == -least
    assert elementary.softplus(60000.0, rounding="upward") == 60032


@pytest.mark.parametrize("mode", MODES)
def test_zeros_and_poles(mode: str) -> None:
    for name in [
        "expm1",
        "log1p",
        "sin",
        "tan",
        "asin",
        "atan",
        "sinh",
        "tanh",
        "asinh",
        "atanh",
        "cbrt",
        "erf",
        "sqrt",
    ]:
        assert same(getattr(elementary, name)([0.0, -0.0], rounding=mode), [0.0, -0.0]).all(), name
    for name in ["log", "log2", "log10", "acos", "acosh"]:
        assert same(getattr(elementary, name)(1.0, rounding=mode), 0.0), name
    assert same(elementary.gelu([-0.0, -np.inf], rounding=mode), [-0.0, -0.0]).all()
    assert same(elementary.silu([-0.0, -np.inf], rounding=mode), [-0.0, -0.0]).all()
    assert same(elementary.square(-0.0, rounding=mode), 0.0)
    assert same(elementary.log([0.0, -0.0, -1.0], rounding=mode), [-np.inf, -np.inf, np.nan]).all()
    assert same(elementary.rsqrt([0.0, -0.0, np.inf], rounding=mode), [np.inf, -np.inf, 0.0]).all()
    assert same(elementary.reciprocal([0.0, -0.0, -np.inf], rounding=mode), [np.inf, -np.inf, -0.0]).all()
    assert same(elementary.atanh([1.0, -1.0, 2.0], rounding=mode), [np.inf, -np.inf, np.nan]).all()


def arguments(dtype: type, rng: np.random.Generator) -> list[np.ndarray]:
    """Blocks that differ in what they hold: few, many or no subnormals, midpoints, infinities, NaN of all payloads."""
    wide = rng.standard_normal(40_000)
    small = np.concatenate([wide * 2.0**-16, np.arange(-3000, 3000) / 2 * 2.0**-24])
    nan = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFC00000], np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        parts = [wide, np.abs(wide) + 1, small, np.where(rng.random(46_000) < 0.02, small, 1.5), boundaries(dtype)]
        parts.append(np.where(rng.random(46_000) < 0.01, 1.0008, 0.5))  # few outside the domain of acos, once rounded
        return [np.concatenate([part, extra]).astype(dtype) for part in parts for extra in (nan[:0], nan)]


@pytest.mark.parametrize("fmt", ["float16", "bfloat16", "tfloat32", "e4m3", "e5m2", "ahp", DIGITS, RANGE], ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arguments_are_first_rounded_to_nearest_even(dtype: type, fmt: Any, rng: np.random.Generator) -> None:
    for x in arguments(dtype, rng):
        with np.errstate(all="ignore"):
            wide = x.astype(np.float64)
        rounded = round_on(wide, fmt)["nearest_even"] if fmt in DTYPES else hs.round_to(wide, fmt)
        for f in (elementary.exp, elementary.log, elementary.reciprocal, elementary.acos):
            got = f(x, fmt)
            assert same(got, f(rounded, fmt)).all()  # of float64 on the grid, which the sweeps above compare with MPFR


@pytest.mark.parametrize(
    ("dtype", "fmt", "result"),
    [
        (np.float16, "float16", np.float16), (np.float32, "float16", np.float32), (np.float64, "float16", np.float64),
        (np.float16, "bfloat16", np.float32), (np.float32, "bfloat16", np.float32), (np.float16, "e5m2", np.float16),
        (np.float32, RANGE, np.float64), (np.float16, "ahp", np.float32), (np.longdouble, "float16", np.float64),
        (np.int8, "float16", np.float64), (">f4", "float16", np.float32),
    ],
)  # fmt: skip
def test_the_dtype_of_the_results(dtype: Any, fmt: Any, result: type) -> None:
    y = elementary.exp(np.array([0, 1], dtype), fmt)
    assert y.dtype == result
    assert same(y, hs.round_to([1.0, math.e], fmt)).all()


def test_shape_layout_and_the_argument_are_kept(rng: np.random.Generator) -> None:
    x = rng.standard_normal((300, 401)).astype(np.float32)
    x.flags.writeable = False
    before, y = x.copy(), elementary.tanh(x)
    for view in (x.T, x[::-2, ::3], np.asfortranarray(x), np.broadcast_to(x[:1], (7, 401)), x[:0], x[0, 0]):
        with np.errstate(all="ignore"):
            expected = elementary.tanh(np.array(view, order="C"))
        np.testing.assert_array_equal(elementary.tanh(view), expected, strict=True)
        assert elementary.tanh(view).shape == np.shape(view)
    np.testing.assert_array_equal(elementary.tanh(x.T), y.T)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_no_temporary_is_as_large_as_the_input(dtype: type) -> None:
    x = np.linspace(-1, 1, 2_000_000).astype(dtype)
    for view in (x, x[::2]):
        elementary.log(view[:100])
        tracemalloc.start()
        y = elementary.log(view)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < y.nbytes + 2**20


def test_stochastic_results_are_neighbours_drawn_from_the_seed() -> None:
    x = np.full(4000, 0.3, np.float32)
    y = elementary.exp(x, rounding=hs.Stochastic(seed=3))
    low, high = (elementary.exp(x[:1], rounding=mode)[0] for mode in ("downward", "upward"))
    assert set(y.tolist()) == {low, high}
    assert abs(y.mean(dtype=np.float64) - math.exp(float(np.float16(0.3)))) < (high - low) / 20
    np.testing.assert_array_equal(y, elementary.exp(x, rounding=hs.Stochastic(seed=3)), strict=True)
    np.testing.assert_array_equal(elementary.exp2([1.0, 2.0], rounding="stochastic"), [2.0, 4.0])


def test_a_table_of_ones_own_function() -> None:
    calls = []

    def mish(x: np.ndarray) -> Any:
        calls.append(x.size)
        return x * np.tanh(np.logaddexp(0, x))

    for fmt, dtype in DTYPES.items():
        f = elementary.table(mish, fmt)
        x = values_of(fmt)
        with np.errstate(all="ignore"):
            expected = round_on(np.asarray(mish(x)), fmt)["nearest_even"]
        calls.clear()
        assert same(f(x), expected).all()
        assert same(f(x.reshape(256, 256).T[::2]), expected.reshape(256, 256).T[::2]).all()
        assert calls == [65536]
        with np.errstate(all="ignore"):
            assert same(f(CODES.view(dtype).astype(np.float32)), expected).all()
    assert elementary.table(lambda x: x / 3, rounding="upward")(1.0) == 0.33349609375


def test_functions_copy_and_pickle_by_name() -> None:
    assert copy.deepcopy(elementary.gelu) is elementary.gelu
    assert pickle.loads(pickle.dumps(elementary.exp)) is elementary.exp
    assert repr(elementary.exp) == "<elementary function exp>"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: elementary.exp(1.0, "float32"), ValueError, "format: float32 has 32 bits; allowed"),
        (lambda: elementary.exp(1.0, "flaot16"), ValueError, "format: 'flaot16' is not allowed"),
        (lambda: elementary.exp(1.0, rounding="up"), ValueError, "rounding: 'up' is not allowed"),
        (lambda: elementary.exp(1j), TypeError, "x: dtype complex128 is not allowed"),
        (lambda: elementary.exp("one"), ValueError, "x: 'one' is not a number"),
        (lambda: elementary.table(np.exp, "float64"), ValueError, "format: float64 has 64 bits"),
        (lambda: elementary.table(np.exp, rounding="stochastic"), ValueError, "rounding: 'stochastic' is not allowed"),
        (lambda: elementary.table(np.sum)(1.0), ValueError, "f: returned shape () for an argument of shape (65536,)"),
    ],
)
def test_errors_name_the_argument_in_one_line(call: Callable[[], object], error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
