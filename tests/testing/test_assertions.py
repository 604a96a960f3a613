"""The assertions pass and fail where NumPy's integers, exact fractions and ml_dtypes say that they should."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.testing.assertions import assert_no, assert_representable, assert_same_bits, assert_ulp_close

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = EVERY[np.isfinite(EVERY)]


def _fails(assertion: Callable[..., None], *args: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        assertion(*args, **options)
    return str(raised.value)


def test_every_half_is_close_to_itself() -> None:
    assert_ulp_close(EVERY, EVERY.astype(np.float64), 0)
    assert_same_bits(EVERY, EVERY.view(np.uint16), "float16")
    quiet = np.where(np.isnan(EVERY), np.float16(np.nan), EVERY)
    assert_representable(quiet)


def test_every_neighbour_is_one_ulp_away_and_infinity_is_not() -> None:
    positive = FINITE[(FINITE >= 0) & ~np.signbit(FINITE)]
    with np.errstate(over="ignore"):
        up = np.nextafter(positive, np.float16(np.inf))  # NumPy's own
    ends = np.isinf(up)
    assert_ulp_close(up[~ends], positive[~ends].astype(np.float64), 1)
    assert "inf (0x7c00" in _fails(assert_ulp_close, up[ends], positive[ends].astype(np.float64), 1)
    _fails(assert_ulp_close, up[~ends], positive[~ends].astype(np.float64), 0.999)


def test_what_numpy_lets_pass_fails() -> None:
    np.testing.assert_array_max_ulp(np.float16([65504]), np.float16([np.inf]), maxulp=1)
    _fails(assert_ulp_close, np.float16([65504]), [np.inf], 1)
    _fails(assert_ulp_close, np.float16([np.inf]), [65504.0], 1)
    tiny = np.float16(2.0**-24)
    assert_ulp_close(-tiny, tiny, 2)
    assert "its sign is another" in _fails(assert_ulp_close, -tiny, tiny, 2, signs=True)


def test_infinity_is_close_to_what_rounds_to_it() -> None:
    assert_ulp_close(np.float16([np.inf, -np.inf]), [65520.0, -1e9], 0)
    _fails(assert_ulp_close, np.float16([np.inf]), [65519.9], 1e6)
    _fails(assert_ulp_close, np.float16([np.inf]), [-1e9], 1e6)
    assert_ulp_close(np.float16([65504.0]), [65520.0], 0.5)


def test_zeros_and_nan_by_choice() -> None:
    zeros = np.float16([0.0, -0.0])
    assert_ulp_close(zeros, -zeros, 0)
    _fails(assert_ulp_close, zeros, -zeros, 1e9, signs=True)
    _fails(assert_same_bits, zeros, -zeros)
    nans = np.uint16([0x7E00, 0x7E01]).view(np.float16)
    assert_ulp_close(nans, nans, 0)
    _fails(assert_ulp_close, nans, nans, 0, equal_nan=False)
    _fails(assert_same_bits, nans, nans[::-1])
    assert_same_bits(nans, nans[::-1], equal_nan=True)
    _fails(assert_ulp_close, nans, [1.0, np.nan], 1e9)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float4_e2m1fn"])
def test_the_distance_is_that_of_exact_fractions(name: str) -> None:
    fmt = hs.formats.as_format(name)
    rng = np.random.default_rng(0)
    grid = hs.decode(np.arange(1 << fmt.bits), fmt) if fmt.bits < 16 else hs.round_to(rng.standard_normal(500), fmt)
    grid = grid[np.isfinite(grid)]
    for x in grid[:: max(1, grid.size // 50)]:
        reference = float(x) * 1.07 + 1e-3
        if abs(reference) > fmt.max or (reference < 0) != (x < 0):
            continue
        exponent = max(int(np.floor(np.log2(abs(reference)))), fmt.emin)
        unit = Fraction(2) ** (exponent - fmt.nmant)
        exact = float(abs(Fraction(float(x)) - Fraction(reference)) / unit)
        assert_ulp_close(float(x), reference, exact * (1 + 1e-12), fmt)
        if exact:
            _fails(assert_ulp_close, float(x), reference, exact * (1 - 1e-12), fmt)


def test_arrays_of_ml_dtypes_have_their_own_format_and_bits() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2):
        x = np.array([1.0, -0.0, 3.5], dtype)
        assert_ulp_close(x, x.astype(np.float64), 0)
        assert_same_bits(x, x.copy())
        assert_representable(x, hs.formats.as_format(np.dtype(dtype)))
        _fails(assert_same_bits, x, -x)
        codes = np.arange(1 << 8 * x.itemsize, dtype=f"u{x.itemsize}")
        assert_same_bits(codes.view(dtype), codes, hs.formats.as_format(np.dtype(dtype)))


def test_the_message_names_the_worst_element() -> None:
    text = _fails(assert_ulp_close, np.float16([[1.0, 2048.0], [3.0, 4.0]]), [[1.0, 2056.0], [3.0, 4.01]], 0.5)
    assert text.splitlines() == [
        "2 of 4 elements (50.0 %) are not within 0.5 ulp of the reference",
        "worst at [0, 1]: 2048 (0x6800 = 0 11010 0000000000) for 2056, 4 ulp of float16 away",
        "float16 has 2056 (0x6804 = 0 11010 0000000100) there, below it 2054 and above it 2058",
    ]


def test_the_message_names_the_operation_that_a_trace_blames() -> None:
    with hs.trace("fp64"):
        total = _swamped()
    assert "made in sum" in _fails(assert_ulp_close, total, 4096.0, 1)


def _swamped() -> hs.Tensor:
    with hs.precision("pure_fp16"):
        return hs.tensor(np.ones(4096), "fp16").sum()


@pytest.mark.parametrize("x", [0.1, 2049.0, 65505.0, 1e-9, np.float32(1 / 3)])
def test_what_is_off_the_grid_is_named(x: float) -> None:
    below, above = float(hs.next_down(x)), float(hs.next_up(x))
    text = _fails(assert_representable, [1.0, x])
    assert text.startswith("1 of 2 elements (50.0 %) is no number of float16\nworst at [1]: ")
    assert ("outside -65504 to 65504" in text) if x > 65504 else (f"{below:.9g} (" in text and f"{above:.9g} (" in text)


def test_no_trouble_of_a_kind() -> None:
    def overflows() -> hs.Tensor:
        return hs.tensor([300.0, 1.0], "fp16") ** 2

    assert_no(["underflow", "cancellation"], overflows)
    text = _fails(assert_no, "overflow", overflows)
    assert text.startswith("overflow (step 1, forward, pow, test_assertions.py:")
    assert "1 of 2 values became infinite" in text
    with hs.trace() as t:
        overflows()
    _fails(assert_no, "overflow", t)
    assert_no("swamping", _swamped_in("fp16:pairwise"))
    _fails(assert_no, "swamping", _swamped_in("fp16:sequential"))
    _fails(assert_no, "overflow", lambda: hs.tensor([300.0]) ** 2, precision="fp16")
    assert_no("overflow", lambda: hs.tensor([300.0]) ** 2)


def _swamped_in(accumulate: str) -> Callable[[], Any]:
    def run() -> Any:
        with hs.precision(hs.Precision("fp16", accumulate=accumulate)):
            return hs.tensor(np.ones(8192), "fp16").sum()

    return run


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: assert_ulp_close([1.0], [1.0]), ValueError, "format: it is missing for [1.0]"),
    (
        lambda: assert_ulp_close(np.float16([1, 2]), [1, 2, 3]),
        ValueError,
        "actual: shape (2,) is not allowed; allowed: (3,)",
    ),
    (
        lambda: assert_ulp_close([np.nan], [1.0], 1, "float4_e2m1fn"),
        ValueError,
        "actual: NaN is not allowed; allowed: numbers",
    ),
    (lambda: assert_ulp_close([1.0], [np.nan], 1, "float6_e2m3fn"), ValueError, "reference: NaN is not allowed"),
    (lambda: assert_ulp_close(np.float16([1]), [1.0], -1), ValueError, "max_ulp: -1 is not allowed"),
    (lambda: assert_ulp_close(np.float16([1]), [1.0], "one"), TypeError, "max_ulp: 'one' is not allowed"),  # type: ignore[arg-type]
    (lambda: assert_ulp_close("x", [1.0], 1, "fp16"), TypeError, "actual: 'x' is not allowed"),
    (lambda: assert_ulp_close(np.float16([1]), [1.0], 1, "fp17"), ValueError, "format: 'fp17' is not allowed"),
    (lambda: assert_representable([1j]), TypeError, "x: "),
    (lambda: assert_representable([1.0], "half16"), ValueError, "format: 'half16' is not allowed"),
    (lambda: assert_same_bits(np.uint16([1]), np.uint16([1])), ValueError, "format: it is missing"),
    (
        lambda: assert_same_bits(np.float16([1]), np.float32([1])),
        ValueError,
        "actual: float16 is not allowed; allowed: float32",
    ),
    (lambda: assert_same_bits(np.float16([1]), np.float16([1, 2])), ValueError, "actual: shape (1,) is not allowed"),
    (
        lambda: assert_no("overfow", lambda: None),
        ValueError,
        "kind: 'overfow' is not allowed (did you mean 'overflow'?)",
    ),
    (lambda: assert_no("overflow", 3), TypeError, "f_or_trace: 3 is not allowed"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED)
def test_bad_arguments_are_refused_in_one_line(call: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_another_shape_fails_the_test_too() -> None:
    _fails(assert_ulp_close, np.float16([1, 2]), [1, 2, 3])
    assert_ulp_close(np.float16([1, 1]), 1.0)
