"""Seven roundings, saturation and flushing, against neighbours found by search, SoftFloat, Fraction and ml_dtypes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import softfloatpy as sf

import halfsim as hs
from halfsim.numerics._grid import _increment
from halfsim.numerics._modes import INTEGER
from halfsim.numerics.rounding import AWAY, as_rounding
from tests.oracles import CODES, HALVES, boundaries, same

DETERMINISTIC = [mode.value for mode in hs.Rounding if mode is not hs.Rounding.STOCHASTIC]
SOFTFLOAT = {
    "nearest_even": sf.RoundingMode.NEAR_EVEN, "nearest_away": sf.RoundingMode.NEAR_MAX_MAG,
    "toward_zero": sf.RoundingMode.MIN_MAG, "upward": sf.RoundingMode.MAX, "downward": sf.RoundingMode.MIN,
}  # fmt: skip


def by_search(x: np.ndarray, grid: np.ndarray, mode: str, largest: float) -> np.ndarray:
    """The definition: ``grid`` holds every finite number and, past ``largest``, those of the next binade."""
    x = x.astype(np.float64)
    above = np.searchsorted(grid, x)
    low, high = grid[np.maximum(above - 1, 0)], grid[np.minimum(above, len(grid) - 1)]
    high = np.where(x > grid[-1], grid[-1], high)
    low = np.where(high == x, x, low)
    inner, outer = (np.where(np.signbit(x), a, b) for a, b in ((high, low), (low, high)))
    rank = {value: i for i, value in enumerate(grid.tolist())}
    zero = rank[0.0]
    odd_inner = np.array([(rank[v] - zero) % 2 for v in inner.tolist()], bool)
    middle = (low + high) / 2
    nearer = np.where(x > middle, high, low)
    chosen = {
        "toward_zero": inner, "upward": high, "downward": low,
        "nearest_even": np.where(x == middle, np.where(odd_inner, outer, inner), nearer),
        "nearest_away": np.where(x == middle, outer, nearer),
        "to_odd": np.where(odd_inner | (inner == x), inner, outer),
    }[mode]  # fmt: skip
    inward = mode in ("toward_zero", "to_odd") or (np.signbit(x) if mode == "upward" else ~np.signbit(x))
    if mode in ("nearest_even", "nearest_away"):
        inward = False
    beyond = np.where(inward, largest, np.inf)
    chosen = np.where((np.abs(chosen) > largest) & np.isfinite(x), beyond, np.abs(chosen))
    return np.copysign(np.where(np.isfinite(x), chosen, np.abs(x)), x)


def grid_of(fmt: hs.Format) -> np.ndarray:
    codes = np.arange(2 ** (fmt.bits - 1))
    values = hs.decode(codes, fmt)
    values = values[np.isfinite(values)]
    next_binade = values[-1] + fmt.eps * 2.0**fmt.emax * np.arange(1, 4)
    values = np.concatenate([values, next_binade])
    return np.unique(np.concatenate([-values, values]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_every_half_midpoint_and_neighbour_in_every_mode(mode: str, dtype: type) -> None:
    x = boundaries(dtype)
    expected = by_search(x, grid_of(hs.float16), mode, 65504)
    assert same(hs.round_to(x, "float16", mode), expected).all()
    assert same(hs.decode(hs.encode(x, "float16", mode)), expected).all()


@pytest.mark.parametrize("mode", DETERMINISTIC)
@pytest.mark.parametrize(
    "fmt", [hs.Format("e4m3", 4, 4), hs.Format("e3m2", 3, 3), hs.Format("e5m5", 5, 6), hs.float8_e5m2]
)
def test_small_formats_in_every_mode(fmt: hs.Format, mode: str, rng: np.random.Generator) -> None:
    grid = grid_of(fmt)
    x = np.concatenate([grid, (grid[1:] + grid[:-1]) / 2, rng.uniform(-1.2 * fmt.max, 1.2 * fmt.max, 500)])
    x = np.concatenate([x, np.nextafter(x, np.inf), np.nextafter(x, -np.inf)])
    assert same(hs.round_to(x, fmt, mode), by_search(x, grid, mode, fmt.max)).all()


@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_bfloat16_rounds_its_encoding_in_every_mode(mode: str, rng: np.random.Generator) -> None:
    """The path for formats with the container's exponent range; the other path, in float64, is the oracle."""
    codes = rng.integers(0, 2**32, 200_000, dtype=np.uint32)
    halfway = (codes & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    x = np.concatenate([codes, halfway, halfway + np.uint32(1), halfway - np.uint32(1)]).view(np.float32)
    with np.errstate(all="ignore"):
        expected = hs.round_to(x.astype(np.float64), "bfloat16", mode)
    assert same(hs.round_to(x, "bfloat16", mode), expected).all()


@pytest.mark.parametrize("tininess", ["after"])
@pytest.mark.parametrize("mode", SOFTFLOAT)
def test_values_and_flags_are_softfloats(mode: str, tininess: str) -> None:
    x = boundaries(np.float32)[::41]
    snan = np.uint32([0x7F800001, 0xFFA00000, 0x7FC00001]).view(np.float32)
    tiny = np.float32(2.0**-14) * (1 - np.float32([2.0**-11, 2.0**-12, 2.0**-13, 3 * 2.0**-13]))
    x = np.concatenate([x, -x, snan, tiny, -tiny, np.float32([65504.01, 65519, 65520, 65535, 65536, 70000])])
    values, flags = hs.round_to(x, "float16", mode, return_flags=True)
    sf.set_rounding_mode(SOFTFLOAT[mode])
    sf.set_tininess_mode(sf.TininessMode.AFTER_ROUNDING)
    for code, value, flag in zip(x.view(np.uint32), values, flags, strict=True):
        sf.set_exception_flags(0)
        half = sf.Float32.from_bytes(int(code).to_bytes(4, "big")).to_f16()
        expected = np.uint16(int.from_bytes(half.to_bytes(), "big")).view(np.float16)
        assert same(value, expected).all(), hex(code)
        assert int(sf.get_exception_flags()) == flag, (hex(code), mode)


def test_overflow_toward_zero_is_judged_on_the_unbounded_result() -> None:
    x = [65530.0, 65536.0, 70000.0, -70000.0]
    values, flags = hs.round_to(x, "float16", "toward_zero", return_flags=True)
    assert values.tolist() == [65504, 65504, 65504, -65504]
    assert flags.tolist() == [1, 5, 5, 5]
    assert hs.round_to(x, "float16", "to_odd").tolist() == [65504, 65504, 65504, -65504]
    assert hs.round_to(x, "float16", "upward").tolist() == [np.inf, np.inf, np.inf, -65504]
    assert hs.round_to(x, "float16", "downward").tolist() == [65504, 65504, 65504, -np.inf]


@pytest.mark.parametrize("mode", [mode.value for mode in hs.Rounding])
def test_saturation_clamps_finite_numbers_only(mode: str) -> None:
    got, flags = hs.round_to([1e9, -1e9, np.inf, 1.0], "float16", mode, overflow="saturate", return_flags=True)
    assert got.tolist() == [65504, -65504, np.inf, 1]
    assert flags.tolist() == [5, 5, 0, 0]


def test_e4m3fn_is_ml_dtypes() -> None:
    codes = np.arange(256, dtype=np.uint8)
    expected = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    values = hs.decode(codes, "float8_e4m3fn")
    assert same(values, expected).all()
    np.testing.assert_array_equal(hs.encode(values, "float8_e4m3fn"), codes)
    x = np.float32(boundaries(np.float32)[::3] / 100)
    with np.errstate(all="ignore"):
        rounded = x.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    assert same(hs.round_to(x, "float8_e4m3fn"), rounded).all()
    assert same(hs.round_to([464, 465, np.inf, -1e9], "float8_e4m3fn"), [448, np.nan, np.nan, np.nan]).all()
    assert hs.round_to([465, -1e9], "float8_e4m3fn", overflow="saturate").tolist() == [448, -448]
    assert hs.round_to([465, -1e9], "float8_e4m3fn", "toward_zero").tolist() == [448, -448]
    assert hs.float8_e4m3fn.max == float(ml_dtypes.finfo(ml_dtypes.float8_e4m3fn).max)


def test_e5m2_is_ml_dtypes() -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert same(hs.decode(codes, "float8_e5m2"), codes.view(ml_dtypes.float8_e5m2).astype(np.float64)).all()
    x = boundaries(np.float32)
    with np.errstate(all="ignore"):
        assert same(hs.round_to(x, "float8_e5m2"), x.astype(ml_dtypes.float8_e5m2).astype(np.float32)).all()


def test_arms_alternative_half_has_numbers_only() -> None:
    fmt = hs.float16_ahp
    assert fmt.max == 131008
    assert np.isfinite(hs.decode(CODES, fmt)).all()
    np.testing.assert_array_equal(hs.encode(hs.decode(CODES, fmt), fmt), CODES)
    finite = np.isfinite(HALVES)
    np.testing.assert_array_equal(hs.decode(CODES[finite], fmt), HALVES[finite].astype(np.float64))
    values, flags = hs.round_to([70000, 1e9, -np.inf, np.nan, 131008], fmt, return_flags=True)
    assert values.tolist() == [70016, 131008, -131008, 0, 131008]
    assert flags.tolist() == [1, 16, 16, 16, 0]


def test_flushing_before_and_after_rounding_differ() -> None:
    up = 2.0**-14 * (1 - 2.0**-13)  # rounds to the smallest normal number
    x = [up, 2.0**-15, -(2.0**-24), 2.0**-14, 0.0]
    keep = hs.round_to(x, "float16")
    assert keep.tolist() == [2.0**-14, *x[1:]]
    inputs, flags = hs.round_to(x, "float16", subnormals="flush_inputs", return_flags=True)
    assert same(inputs, [0, 0, -0.0, 2.0**-14, 0]).all()
    assert not flags.any()
    outputs, flags = hs.round_to(x, "float16", subnormals="flush_outputs", return_flags=True)
    assert same(outputs, [2.0**-14, 0, -0.0, 2.0**-14, 0]).all()
    assert flags.tolist() == [1, 3, 3, 0, 0]
    assert same(hs.round_to(x, "float16", subnormals="flush"), inputs).all()
    assert same(hs.round_to(np.float32([1e-40, 1.0]), "float32", subnormals="flush_inputs"), [0, 1]).all()


@pytest.mark.parametrize("fmt", [hs.float16, hs.bfloat16, hs.Format("e3m3", 3, 4)])
def test_stochastic_rounding_is_unbiased_and_keeps_the_grid(fmt: hs.Format) -> None:
    n = 40_000
    ulp = fmt.smallest_subnormal
    for value in (1 + 0.3 * fmt.eps, -(1 + 0.7 * fmt.eps), 0.25 * ulp, -1.125 * ulp):
        low = float(hs.round_to(value, fmt, "downward"))
        high = float(hs.round_to(value, fmt, "upward"))
        got = hs.round_to(np.full(n, value), fmt, hs.Stochastic(seed=5))
        assert set(np.unique(got)) == {low, high}
        share = float(Fraction(value) - Fraction(low)) / (high - low)
        assert abs(np.mean(got == high) - share) < 5 * np.sqrt(share * (1 - share) / n)
        assert (np.signbit(got) == (value < 0)).all()
    grid = hs.decode(np.arange(0, 2**fmt.bits, 7, dtype=np.uint32), fmt)
    assert same(hs.round_to(grid, fmt, "stochastic"), grid).all()


def test_stochastic_streams_are_values_that_go_on() -> None:
    x = np.full(1000, 0.1)
    first = hs.round_to(x, "float16", hs.Stochastic(seed=3))
    np.testing.assert_array_equal(hs.round_to(x, "float16", hs.Stochastic(seed=3)), first)
    np.testing.assert_array_equal(hs.round_to(x, "float16", "stochastic"), hs.round_to(x, "float16", hs.Stochastic()))
    stream = hs.Stochastic(seed=3)
    assert (hs.round_to(x, "float16", stream) != hs.round_to(x, "float16", stream)).any()
    assert (first != hs.round_to(x, "float16", hs.Stochastic(seed=4))).any()
    x = np.full(1000, 1 + 0.6 * 2.0**-10)
    assert len(set(hs.round_to(x, "float16", hs.Stochastic(bits=1)).tolist())) == 2


def test_few_bits_give_probabilities_in_steps() -> None:
    """With 2 bits a quarter of an ulp is the least that can go up."""
    x = np.full(4000, 1 + 0.2 * 2.0**-10)
    assert (hs.round_to(x, "float16", hs.Stochastic(bits=2)) == 1).all()
    x = np.full(4000, 1 + 0.3 * 2.0**-10)
    assert abs(np.mean(hs.round_to(x, "float16", hs.Stochastic(bits=2)) > 1) - 0.25) < 0.05


BAD: list[tuple[dict[str, Any], str]] = [
    ({"rounding": "up"}, "rounding: 'up' is not allowed"),
    ({"rounding": "nearest"}, "did you mean"),
    ({"overflow": "clip"}, "overflow: 'clip' is not allowed; allowed: infinity, saturate, saturate_inf, saturate_nan"),
    ({"subnormals": "daz"}, "subnormals: 'daz' is not allowed; allowed: keep, flush_inputs, flush_outputs, flush"),
]


@pytest.mark.parametrize(("words", "text"), BAD)
def test_unknown_words_get_one_line(words: dict[str, Any], text: str) -> None:
    for function in (hs.round_to, hs.encode):
        with pytest.raises(ValueError) as caught:  # noqa: PT011  # the texts are compared below
            function([1.0], "float16", **words)
        assert text in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="rounding: expected"):
        as_rounding(3)
    for wrong in ({"seed": -1}, {"bits": 0}, {"bits": 33}):
        with pytest.raises(ValueError, match="allowed: integers"):
            hs.Stochastic(**wrong)
    with pytest.raises(ValueError, match="specials: 'ocp'"):
        hs.Format("x", 4, 4, "ocp")


@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_numbers_that_scaling_takes_out_of_the_container(mode: str) -> None:
    fmt = hs.Format("e2m9", 2, 10)
    values, flags = hs.round_to([1.6e308, -1.6e308], fmt, mode, return_flags=True)
    assert same(values, by_search(np.array([1.6e308, -1.6e308]), grid_of(fmt), mode, fmt.max)).all()
    assert flags.tolist() == [5, 5]


def test_arguments_of_other_kinds_are_named() -> None:
    for wrong in ({"seed": "x"}, {"seed": None}, {"seed": 1.5}, {"bits": "8"}, {"bits": 8.0}):
        with pytest.raises(TypeError, match="allowed: integers"):
            hs.Stochastic(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="seed: 'x'"):
        hs.manual_seed("x")  # type: ignore[arg-type]
    for words in ({"subnormals": ["keep"]}, {"overflow": None}):
        with pytest.raises(TypeError, match="allowed: a string"):
            hs.round_to(1, **words)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="to_odd$"):
        hs.ieee.add(1, 1, rounding="x")
    with pytest.raises(TypeError, match="f: 'foo' is not allowed; allowed: a function"):
        hs.elementary.table("foo")  # type: ignore[arg-type]


def test_what_float16_cannot_hold_overflows_visibly() -> None:
    values, flags = hs.round_to(np.float16([65504, 1.0]), "bfloat16", return_flags=True)
    assert values.tolist() == [np.inf, 1]
    assert flags.tolist() == [5, 0]


@pytest.mark.parametrize(
    "fmt", [hs.float16, hs.bfloat16, hs.float8_e4m3fn, hs.float8_e5m2, hs.float8_e5m2fnuz], ids=str
)
@pytest.mark.parametrize("container", [np.float16, np.float32, np.float64])
def test_saturation_of_infinities_is_an_overflow(fmt: hs.Format, container: type) -> None:
    x = np.array([np.inf, -np.inf, 1.0, np.nan], container)
    top = min(fmt.max, float(np.finfo(container).max) if fmt != hs.bfloat16 or container != np.float16 else 65280.0)
    got, flags = hs.round_to(x, fmt, overflow="saturate_inf", return_flags=True)
    assert got[:3].tolist() == [top, -top, 1.0]
    assert np.isnan(got[3])
    assert flags.tolist() == [5, 5, 0, 0]
    codes = hs.encode(x, fmt, overflow="saturate_inf")
    assert hs.decode(codes, fmt)[:3].tolist() == [fmt.max, -fmt.max, 1.0]
    bits, flags = hs.ieee.convert(x.view(f"u{x.itemsize}"), x.dtype.name, fmt, overflow="saturate_inf")
    assert bits.tolist() == codes.tolist()
    assert flags.tolist() == [5, 5, 0, 0]


def test_without_nan_infinities_are_invalid_in_every_word() -> None:
    for word in ("infinity", "saturate", "saturate_inf"):
        got, flags = hs.round_to([np.inf, 1e9, np.nan], "float6_e2m3fn", overflow=word, return_flags=True)
        assert got.tolist() == [7.5, 7.5, 0.0]
        assert flags.tolist() == [16, 16, 16]


def test_float32_to_itself_saturates_infinities() -> None:
    x = np.float32([np.inf, -np.inf, 1.0])
    got, flags = hs.round_to(x, "float32", overflow="saturate_inf", return_flags=True)
    assert got.tolist() == [hs.float32.max, -hs.float32.max, 1.0]
    assert flags.tolist() == [5, 5, 0]
    assert hs.round_to(x, "float32", overflow="saturate").tolist() == [np.inf, -np.inf, 1.0]


@pytest.mark.parametrize("mode", [mode for mode in hs.Rounding if mode is not hs.Rounding.STOCHASTIC])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_on_scaled_numbers_read_the_table(mode: hs.Rounding, dtype: type) -> None:
    """In sixteenths up to 64, both signs, zeros too."""
    size = np.arange(0, 64, 1 / 16)
    for sign in (0, 1):
        t = np.copysign(size, 1 - 2 * sign).astype(dtype)
        kept, part = np.divmod(size, 1)
        case = 8 * sign + 4 * (kept % 2) + 2 * (part >= 0.5) + ((part != 0) & (part != 0.5))
        expected = np.copysign(kept + AWAY[mode][case.astype(int)], t)
        INTEGER[mode](t, np.empty_like(t))
        assert same(t, expected).all()


@pytest.mark.parametrize("mode", [mode for mode in hs.Rounding if mode is not hs.Rounding.STOCHASTIC])
def test_increments_of_encodings_read_the_table(mode: hs.Rounding) -> None:
    """Every magnitude of 8 bits, cut by 1 to 6 of them."""
    for drop in range(1, 7):
        even, odd_step, sign_step = _increment(mode, drop)
        for sign in (0, 1):
            for magnitude in range(256):
                kept, part = divmod(magnitude, 1 << drop)
                half, rest = divmod(part, 1 << (drop - 1))
                away = AWAY[mode][8 * sign + 4 * (kept & 1) + 2 * half + (rest != 0)]
                assert (magnitude + even + (kept & 1) * odd_step + sign * sign_step) >> drop == kept + away


@pytest.mark.parametrize("bits", [1, 5, 13, 20, 32])
def test_stochastic_rounding_counts_from_the_integer_below(bits: int, rng: np.random.Generator) -> None:
    """The definition in fractions, on the same draws: normal numbers, a few tiny ones, and ties with the draw."""
    x = np.float32(rng.standard_normal(600))
    x[::50] *= np.float32(2.0**-18)
    x[7::100] = 0
    x[11::100] = np.float32(-1e-7)
    draws = hs.Stochastic(3, bits).draw(x.size)
    got = hs.round_to(x, "float16", hs.Stochastic(3, bits))
    for value, draw, result in zip(x, draws, got, strict=True):
        exact = Fraction(float(value))
        low = Fraction(float(hs.round_to(value, "float16", "downward")))
        ulp = Fraction(float(hs.round_to(value, "float16", "upward"))) - low
        share = (exact - low) / ulp if ulp else Fraction(0)
        up = int(share * 2**bits) > int(draw)
        assert Fraction(float(result)) == low + up * ulp
        assert np.signbit(result) == np.signbit(value)
