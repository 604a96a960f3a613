"""Block formats against fractions, gfloat, ml_dtypes and PyTorch: scales by every rule, elements in every mode."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import gfloat
import gfloat.formats as gformats
import ml_dtypes
import numpy as np
import pytest
from gfloat.block import decode_block, quantize_block

import halfsim as hs
from halfsim.numerics.block_rounding import scales_of
from halfsim.numerics.blocks import NAMES, RULES, as_block_format

MX = {name: fmt for name, fmt in NAMES.items() if name != "nvfp4"}
GFLOAT = {
    "mxfp8_e4m3": gformats.format_info_mxfp8_e4m3,
    "mxfp8_e5m2": gformats.format_info_mxfp8_e5m2,
    "mxfp6_e2m3": gformats.format_info_mxfp6_e2m3,
    "mxfp6_e3m2": gformats.format_info_mxfp6_e3m2,
    "mxfp4": gformats.format_info_mxfp4_e2m1,
    "mxint8": gformats.format_info_mxint8,
}
MODES = {
    "nearest_even": gfloat.RoundMode.TiesToEven,
    "nearest_away": gfloat.RoundMode.TiesToAway,
    "toward_zero": gfloat.RoundMode.TowardZero,
    "upward": gfloat.RoundMode.TowardPositive,
    "downward": gfloat.RoundMode.TowardNegative,
}


def floor_log2(x: Fraction) -> int:
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def exponent(amax: Fraction, rule: str, largest: Fraction, digits: int) -> int:
    """The exponent of a scale by its rule, in words of the standard and of arXiv 2506.08027."""
    if rule == "floor":
        return floor_log2(amax) - floor_log2(largest)
    if rule == "even":
        ulp = Fraction(2) ** (floor_log2(amax) - digits + 1)
        return floor_log2(round(amax / ulp) * ulp) - floor_log2(largest)
    q = amax / largest
    below = floor_log2(q)
    if rule == "ceil":
        return below + (q > Fraction(2) ** below)
    return below + (q >= Fraction(3, 2) * Fraction(2) ** below)


def hard_rows(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Blocks of all sizes, with ties, zeros of both signs, subnormal numbers and the largest."""
    x = rng.standard_normal((count, width)) * np.exp2(rng.integers(-130, 110, (count, 1)))
    few = np.exp2(rng.integers(-140, 127, (count // 4, 1))) * rng.choice(
        [1, 1.25, 1.5, 1.75, 1.875, 1.9375], (count // 4, width)
    )
    x[: len(few)] = few * rng.choice([-1, 1], few.shape)
    x[len(few) : 2 * len(few)] = rng.integers(-24, 25, (len(few), width)) / 4
    x = x.astype(np.float32)
    x[-1], x[-2, 5], x[-3] = 0, -0.0, np.float32(1e-45)
    x[-4] = np.finfo(np.float32).max
    x[-5, 1:] = 0
    return x


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MX)
def test_scales_are_those_of_fractions(name: str, rule: str) -> None:
    fmt = as_block_format(f"{name}(rule={rule})")
    significands = np.concatenate(
        [1 + np.arange(1024) / 1024, np.nextafter(1 + np.arange(16) / 16, 0), 1 + 1e-7 * np.arange(9)]
    )
    exponents = np.resize([-148, -127, -100, -8, -1, 0, 1, 7, 60, 120, 127], significands.size)
    amax = np.ldexp(significands, exponents)
    got = scales_of(amax, fmt)
    digits, largest = fmt.element.precision, Fraction(fmt.largest)
    expected = [min(max(exponent(Fraction(float(a)), rule, largest, digits), -127), 127) for a in amax]
    np.testing.assert_array_equal(got, np.ldexp(1.0, expected))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MX)
def test_elements_are_gfloats(name: str, rule: str, mode: str, rng: np.random.Generator) -> None:
    spec = f"{name}(rule={rule})"
    fmt, x = as_block_format(spec), hard_rows(rng, 48, 32)
    got = hs.round_to(x.astype(np.float64), spec, mode)
    for row, result in zip(x.astype(np.float64), got, strict=True):
        scale = float(scales_of(np.abs(row).max(), fmt))
        expected = np.array(list(quantize_block(GFLOAT[name], row, lambda *_, s=scale: s, MODES[mode])))
        if name == "mxint8":  # gfloat has -2 too, and a minus zero of what two's complement has not
            expected = np.maximum(expected, -fmt.largest * scale) + 0.0
        np.testing.assert_array_equal(result, expected)
        assert name == "mxint8" or (np.signbit(result) == np.signbit(expected)).all()
    narrow = hs.round_to(x, spec, mode)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(narrow, got.astype(np.float32))


@pytest.mark.parametrize("name", MX)
def test_every_code_of_every_scale_is_gfloats(name: str) -> None:
    fmt = as_block_format(name)
    codes, scales = np.arange(1 << fmt.element_bits), np.arange(256)
    row = np.zeros((256, -(-codes.size // 32) * 32), np.uint8)
    row[:, : codes.size] = codes
    got = hs.decode((row, np.repeat(scales[:, None], row.shape[1] // 32, 1).astype(np.uint8)), name)
    for scale in (0, 1, 64, 126, 127, 128, 200, 254, 255):
        block = [scale, *codes.tolist()]
        expected = np.array(list(decode_block(GFLOAT[name], block)))
        np.testing.assert_array_equal(got[scale, : codes.size], expected)


@pytest.mark.parametrize("name", ["mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4"])
def test_codes_are_ml_dtypes(name: str, rng: np.random.Generator) -> None:
    fmt, x = as_block_format(name), hard_rows(rng, 4000, 32)
    blocks = hs.encode(x, name)
    scales = hs.decode(blocks.scales, "float8_e8m0fnu")
    with np.errstate(all="ignore"):
        elements = np.clip(x / scales, -fmt.largest, fmt.largest).astype(np.float32)
    expected = elements.astype(getattr(ml_dtypes, fmt.element.name)).view(np.uint8)
    np.testing.assert_array_equal(blocks.codes, expected)
    np.testing.assert_array_equal(hs.decode(blocks, name).astype(np.float32), hs.round_to(x, name))


@pytest.mark.parametrize("name", ["mxfp8_e4m3", "mxfp4"])
def test_the_ceiling_is_pytorchs(name: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.testing._internal.common_quantized import to_mxfp

    x = hs.round_to(hard_rows(rng, 4000, 32), "bfloat16")  # by way of which PyTorch makes 4-bit numbers
    x = x[np.isfinite(x).all(axis=1)]  # the scale of an infinity is NaN as OCP has it; PyTorch takes 2**127
    scales, codes = to_mxfp(torch.tensor(x), 32, {"mxfp8_e4m3": "mxfp8", "mxfp4": "mxfp4"}[name])
    got = hs.encode(x, f"{name}(rule=ceil)")
    # PyTorch has no subnormal scales: it takes 1 for a scale below the smallest, and codes of such blocks differ.
    whole = got.scales[:, 0] > 0
    np.testing.assert_array_equal(got.scales, scales.view(torch.uint8).numpy().reshape(got.scales.shape))
    if name == "mxfp8_e4m3":
        np.testing.assert_array_equal(got.codes[whole], codes.view(torch.uint8).numpy()[whole])
    else:
        packed = codes.view(torch.uint8).numpy()
        unpacked = np.stack([packed & 15, packed >> 4], -1).reshape(got.codes.shape)
        np.testing.assert_array_equal(got.codes[whole], unpacked[whole])


@pytest.mark.parametrize("name", MX)
def test_the_nearest_scale_is_ml_dtypes(name: str) -> None:
    fmt = as_block_format(f"{name}(rule=nearest)")
    quotients = np.ldexp((1 + np.arange(4096) / 4096), np.resize(np.arange(-110, 110), 4096))  # ties among them
    expected = quotients.astype(np.float32).astype(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    np.testing.assert_array_equal(scales_of(quotients * fmt.largest, fmt), expected)


def nearest(x: Fraction, grid: list[Fraction]) -> Fraction:
    """The nearest of numbers in order, whose indices say which is even."""
    at = min(range(len(grid)), key=lambda i: (abs(grid[i] - abs(x)), i % 2))
    return grid[at] if x >= 0 else -grid[at]


def test_nvfp4_is_that_of_fractions(rng: np.random.Generator) -> None:
    """The scale of all in float32, of a block of 16 in e4m3 to nearest, elements in e2m1: each rounded once."""
    fours = [Fraction(v) for v in (0, 0.5, 1, 1.5, 2, 3, 4, 6)]
    scales = [Fraction(float(v)) for v in hs.decode(np.arange(127, dtype=np.uint8), "float8_e4m3fn")]
    x = rng.standard_normal((24, 16)) * np.exp2(rng.integers(-6, 6, (24, 1)))
    x[3], x[4], x[5] = 0, 1e-9, rng.integers(-6, 7, 16)
    for given in (x.astype(np.float32), x):
        blocks = hs.encode(given, "nvfp4")
        amax = Fraction(float(np.abs(given).max()))
        second = Fraction(float(np.float32(float(amax / (6 * 448)))))
        assert Fraction(blocks.second_scale) == second
        for row, codes, code in zip(given, blocks.codes, blocks.scales[:, 0], strict=True):
            scale = nearest(max(abs(Fraction(float(v))) for v in row) / 6 / second, scales)
            assert Fraction(float(hs.decode(code, "float8_e4m3fn"))) == scale
            expected = [nearest(Fraction(float(v)) / (scale * second), fours) if scale else Fraction(0) for v in row]
            assert [Fraction(float(v)) for v in hs.decode(codes, "float4_e2m1fn")] == expected


def test_numbers_beside_a_tie_fall_on_their_side() -> None:
    for amax in (0.7, 5.3, 6.1):
        blocks = hs.encode([amax] * 16, "nvfp4")
        by = Fraction(float(hs.decode(blocks.scales, "float8_e4m3fn")[0])) * Fraction(blocks.second_scale)
        for tie, below, above in ((0.25, 0, 0.5), (0.75, 0.5, 1), (1.25, 1, 1.5), (2.5, 2, 3)):
            at = float(Fraction(tie) * by)
            assert Fraction(at) == Fraction(tie) * by
            x = np.array([amax, math.nextafter(at, 0), math.nextafter(at, 9), at])
            got = hs.decode(hs.encode(x, "nvfp4").codes, "float4_e2m1fn")
            assert got[1:3].tolist() == [below, above]
            assert got[3] == (below if tie in (0.25, 1.25, 2.5) else above)  # whose code is even


def test_blocks_lie_along_an_axis_and_the_last_may_be_short(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 70, 5)).astype(np.float32)
    got = hs.round_to(x, "mxfp4", axis=1)
    for i in range(3):
        for j in range(5):
            for part in (slice(0, 32), slice(32, 64), slice(64, 70)):
                np.testing.assert_array_equal(got[i, part, j], hs.round_to(x[i, part, j], "mxfp4"))
    np.testing.assert_array_equal(got, hs.round_to(x, "mxfp4", axis=-2))
    blocks = hs.encode(x, "mxfp4", axis=1)
    assert blocks.codes.shape == x.shape
    assert blocks.scales.shape == (3, 3, 5)
    np.testing.assert_array_equal(hs.decode(blocks, "mxfp4", axis=1).astype(np.float32), got)


@pytest.mark.parametrize("name", NAMES)
def test_small_and_odd_arrays(name: str) -> None:
    assert hs.round_to(np.zeros((0, 4), np.float32), name).shape == (0, 4)
    assert hs.round_to(np.zeros((4, 0), np.float32), name).shape == (4, 0)
    assert hs.round_to(np.float32(1.0), name).shape == ()
    assert hs.round_to(1.0, name) == pytest.approx(1.0, rel=1e-7)  # but for the second scale, in float32
    assert hs.round_to([1, 2], name).dtype == np.float32
    assert hs.round_to(np.ones(3, np.float16), name).dtype == np.float16
    np.testing.assert_allclose(hs.round_to(np.full(40, 3.0), name), 3.0, rtol=1e-7)
    zeros = hs.round_to(np.array([0.0, -0.0]), name)
    assert zeros.tolist() == [0.0, 0.0]
    assert np.signbit(zeros).tolist() == [False, name != "mxint8"]  # two's complement has one zero
    with pytest.raises(ValueError, match="did you mean 'mxfp4'"):
        hs.Precision("storage=fp16, operands=mxpf4")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_block_with_no_number_is_nan_and_others_are_not(name: str, bad: float) -> None:
    x = np.ones((2, 64), np.float32)
    x[0, 3] = bad
    width = as_block_format(name).block
    got, flags = hs.round_to(x, name, return_flags=True)
    assert np.isnan(got[0, :width]).all()
    np.testing.assert_array_equal(got[0, width:], 1)
    np.testing.assert_array_equal(got[1], 1)
    assert hs.encode(x, name).scales[0, 0] == (0x7F if name == "nvfp4" else 0xFF)
    assert flags.shape == x.shape


def test_elements_past_the_largest_are_clipped_and_flagged() -> None:
    y, flags = hs.round_to(np.array([7.0, 6.5, 6.0, 1.0, 0.1], np.float32), "mxfp4", return_flags=True)
    assert y.tolist() == [6, 6, 6, 1, 0]
    assert [bool(f & hs.Flag.OVERFLOW) for f in flags] == [True, True, False, False, False]
    assert [bool(f & hs.Flag.INEXACT) for f in flags] == [True, True, False, False, True]
    assert hs.round_to(np.array([7.0], np.float32), "mxfp4(rule=ceil)").tolist() == [8]
    with hs.flags() as counts:
        hs.round_to(np.array([7.0, 1.0]), "mxfp4")
    assert (counts.overflow, counts.inexact) == (1, 1)


def test_what_is_rounded_stays_as_it_was() -> None:
    x = np.linspace(-9, 9, 64, dtype=np.float32)
    kept = x.copy()
    for name in NAMES:
        hs.round_to(x, name)
        hs.encode(x, name)
    np.testing.assert_array_equal(x, kept)
    with pytest.raises(TypeError, match="element: expected a Format or its name, got ndarray"):
        hs.BlockFormat(np.full(3, np.nan), 2)  # type: ignore[arg-type]


def test_stochastic_rounding_is_right_on_average_and_reproducible() -> None:
    x = np.full(32 * 4000, 0.7, np.float32)
    x[::32] = 6
    runs = [hs.round_to(x, "mxfp4", hs.Stochastic(seed=3)) for _ in range(2)]
    np.testing.assert_array_equal(*runs)
    rest = np.delete(runs[0].reshape(-1, 32), 0, axis=1)
    assert set(rest.ravel()) == {0.5, 1.0}
    assert abs(rest.mean() - 0.7) < 4 * 0.25 / math.sqrt(rest.size)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_random_hadamard_transform_goes_there_and_back(axis: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((40, 40))
    x[7, 7] = 300  # an outlier, which the transform spreads
    plain = np.linalg.norm(hs.round_to(x, "mxfp4", axis=axis) - x)
    turned = np.linalg.norm(hs.round_to(x, "mxfp4(hadamard=32)", axis=axis) - x)
    assert turned < plain
    near = hs.round_to(x, hs.BlockFormat("float16", 16, hadamard=16), axis=axis)
    np.testing.assert_allclose(near, x, rtol=0, atol=0.2)
    blocks = hs.encode(x, "mxfp4(hadamard=32)", axis=axis)
    assert blocks.codes.shape == ((64, 40), (40, 64))[axis]


@pytest.mark.parametrize("spec", ["mxfp8_e4m3", "mxfp4(rule=even)", "nvfp4", "nvfp4(hadamard=16)", "mxint8"])
def test_products_take_operands_in_blocks_along_what_is_summed(spec: str, rng: np.random.Generator) -> None:
    shapes = ((16, 80), (80, 48), (16, 48))  # whole groups of a transform
    a, b, g = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    rule = hs.Precision(f"storage=fp32, accumulate=fp64, operands={spec}")
    x, y = (hs.tensor(v, "fp32", requires_grad=True) for v in (a, b))
    with hs.precision(rule):
        out = x @ y
        out.backward(hs.tensor(g))

    def product(p: Any, q: Any) -> Any:
        return hs.round_to(p, spec, axis=1).astype(np.float64) @ hs.round_to(q, spec, axis=0).astype(np.float64)

    for got, expected in ((out, product(a, b)), (x.grad, product(g, b.T)), (y.grad, product(a.T, g))):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-4)
    with hs.precision(rule), hs.trace():
        np.testing.assert_array_equal((x @ y).numpy(), out.numpy())
    assert hs.Precision(str(rule)) == rule


def test_a_trace_counts_what_blocks_clip_and_names_the_worst() -> None:
    a = np.ones((2, 64), np.float32)
    a[1, 32:64] = 7.5
    with hs.precision("storage=fp32, operands=mxfp4"), hs.trace() as t:
        hs.tensor(a) @ hs.tensor(np.ones((64, 1), np.float32))
    found = t.verdict()
    assert found.klass == "clipped"
    assert "32 of 128 operands of the product were clipped to 6 times" in found.message
    assert "most in block 1, 1" in found.message
    assert "operands=mxfp4(rule=ceil)" in str(found.fixes[0])
    with hs.precision("storage=fp32, operands=mxfp4(rule=ceil)"), hs.trace() as mended:
        hs.tensor(a) @ hs.tensor(np.ones((64, 1), np.float32))
    assert mended.verdict().klass == "benign rounding"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: hs.round_to([1.0], "mxfp5"), "format: 'mxfp5' is not allowed"),
        (
            lambda: hs.round_to([1.0], "mxfp4(rule=up)"),
            "rule: 'up' is not allowed; allowed: floor, ceil, even, nearest",
        ),
        (lambda: hs.round_to([1.0], "nvfp4(rule=floor)"), "rule: 'floor' is not allowed; allowed: ceil, nearest"),
        (lambda: hs.round_to([1.0], "mxfp4(blocks=3)"), "format: 'blocks' is not allowed"),
        (lambda: hs.round_to([1.0], "mxfp4", axis=1), "axis: 1 is not allowed; allowed: -1 to 0"),
        (lambda: hs.round_to([1.0], "fp16", axis=0), "axis: 0 is not allowed with 'fp16'; allowed: with block formats"),
        (lambda: hs.BlockFormat("fp4", 0), "block: 0 is not allowed; allowed: 1 or more elements"),
        (lambda: hs.BlockFormat("fp4", 32, rule=np.zeros(2)), "rule: "),
        (lambda: hs.BlockFormat("fp4", 32, "fp4"), "scale: float4_e2m1fn is not allowed"),
        (lambda: hs.BlockFormat("fp16", 32, "fp32", "ceil", "fp32"), "scale: float32 with second_scale float32 is not"),
        (lambda: hs.BlockFormat("e8m0", 32), "element: float8_e8m0fnu is not allowed"),
        (lambda: hs.BlockFormat("fp4", 32, hadamard=12), "hadamard: 12 is not allowed; allowed: 0, powers of two"),
        (lambda: hs.decode(([0], [0, 1]), "mxfp4"), "bits: scales of shape (2,) are not allowed; allowed: (1,)"),
        (lambda: hs.decode(([256], [127]), "mxint8"), "bits: allowed are codes from 0 to 0xff for int8"),
        (lambda: hs.tensor([1.0], "mxfp4"), "mxfp4"),
    ],
)
def test_errors_are_one_line(make: Any, error: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make()
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)
