from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
import softfloatpy as sf

from halfsim.numerics import flags, ieee
from halfsim.numerics.formats import Format, as_format, bfloat16, float16, float32, float64
from tests.oracles import CODES

MODES = {
    "nearest_even": sf.RoundingMode.NEAR_EVEN,
    "nearest_away": sf.RoundingMode.NEAR_MAX_MAG,
    "toward_zero": sf.RoundingMode.MIN_MAG,
    "upward": sf.RoundingMode.MAX,
    "downward": sf.RoundingMode.MIN,
}
TININESS = {"after": sf.TininessMode.AFTER_ROUNDING, "before": sf.TininessMode.BEFORE_ROUNDING}
ALL_MODES = [*MODES, "to_odd"]
TYPES = {
    "float16": (sf.Float16, 2), "bfloat16": (sf.BFloat16, 2), "float32": (sf.Float32, 4), "float64": (sf.Float64, 8),
    "int32": (sf.Int32, 4), "uint32": (sf.UInt32, 4), "int64": (sf.Int64, 8), "uint64": (sf.UInt64, 8),
}  # fmt: skip
SHORT = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64"} | {
    name: name.replace("uint", "ui").replace("int", "i") for name in ("int32", "uint32", "int64", "uint64")
}

# Zero, subnormals, both sides of every border, ones, odd and even significands, ties, infinities, NaN of both kinds.
MAGNITUDES = [
    0x0000, 0x0001, 0x0002, 0x0003, 0x01FF, 0x0200, 0x03FE, 0x03FF, 0x0400, 0x0401, 0x0402, 0x07FF, 0x0800, 0x1000,
    0x13FF, 0x1400, 0x2E66, 0x37FF, 0x3800, 0x3801, 0x3BFF, 0x3C00, 0x3C01, 0x3C02, 0x3E00, 0x3FFF, 0x4000, 0x4200,
    0x4500, 0x63FF, 0x6400, 0x6801, 0x77FF, 0x7800, 0x7BFE, 0x7BFF, 0x7C00, 0x7C01, 0x7DFF, 0x7E00, 0x7E05,
]  # fmt: skip
HARD = np.array([m | s for m in MAGNITUDES for s in (0, 0x8000)], np.uint16)


def softfloat(name: str, fmt: str, arrays: list[Any], mode: str, tininess: str = "after") -> tuple[Any, Any]:
    """SoftFloat's function on arrays of encodings: results as Python integers, and its flags."""
    sf.set_rounding_mode(MODES[mode])
    sf.set_tininess_mode(TININESS[tininess])
    kind, size = TYPES[fmt]
    function, clear, raised = getattr(sf, name), sf.set_exception_flags, sf.get_exception_flags
    read, results, flags = kind.from_bytes, [], []
    columns = [[read(x.to_bytes(size, "big", signed=x < 0)) for x in array.tolist()] for array in arrays]
    for operands in zip(*columns, strict=True):
        clear(0)
        results.append(function(*operands))
        flags.append(raised())
    codes = [y if isinstance(y, bool) else int.from_bytes(y.to_bytes(), "big") for y in results]
    return codes, np.array(flags, np.uint8)


def nan(codes: Any, fmt: Format) -> Any:
    """Which encodings are NaN."""
    codes = np.asarray(codes, np.uint64)
    return (codes & np.uint64(2 ** (fmt.bits - 1) - 1)) > np.uint64((2**fmt.nexp - 1) << fmt.nmant)


def check(got: tuple[Any, Any], expected: tuple[Any, Any], arrays: list[Any], name: str) -> None:
    """The same flags and bits; SoftFloat's build gives the default NaN for every NaN, so ours only has to be quiet."""
    fmt = as_format(name)
    codes, wanted = got[0].astype(np.uint64), np.array(expected[0], np.uint64)
    quiet = codes & np.uint64(1 << (fmt.nmant - 1)) != 0
    same = (codes == wanted) | (nan(codes, fmt) & nan(wanted, fmt) & quiet)
    bad = np.flatnonzero(~same | (got[1] != expected[1]))
    shown = [([hex(a[i]) for a in arrays], hex(codes[i]), hex(wanted[i]), got[1][i], expected[1][i]) for i in bad[:4]]
    assert not bad.size, f"{bad.size} wrong: {shown}"


def random_codes(rng: np.random.Generator, fmt: Format, n: int) -> Any:
    """Random encodings: half all over the format, half of few ones and near exponents, where ties and borders are."""
    full = rng.integers(0, 2**64, n, dtype=np.uint64) >> np.uint64(64 - fmt.bits)
    border = rng.choice([0, fmt.emax - 2, 2 * fmt.emax - 3], n) + rng.integers(0, 5, n)
    near = rng.integers(fmt.emax - 6, fmt.emax + 6, n)
    field = np.clip(np.where(rng.random(n) < 0.6, near, border), 0, 2**fmt.nexp - 1)
    fraction = np.bitwise_xor(*(1 << rng.integers(0, max(fmt.nmant, 1), (2, n))))
    fraction = np.maximum(fraction - rng.integers(0, 2, n), 0)
    few = ((field << fmt.nmant) | fraction).astype(np.uint64) | (full & np.uint64(1 << (fmt.bits - 1)))
    word = next(f"u{size}" for size in (1, 2, 4, 8) if fmt.bits <= 8 * size)
    return np.where(rng.random(n) < 0.5, full, few).astype(word)


OPERATIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "add": (ieee.add, 2), "sub": (ieee.sub, 2), "mul": (ieee.mul, 2), "div": (ieee.div, 2), "sqrt": (ieee.sqrt, 1),
    "mul_add": (ieee.fma, 3),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_half_arithmetic_of_hard_operands_equals_softfloat(name: str, mode: str) -> None:
    a, b = (x.ravel() for x in np.meshgrid(HARD, HARD))
    for tininess in TININESS:
        expected = softfloat(f"f16_{name}", "float16", [a, b], mode, tininess)
        check(OPERATIONS[name][0](a, b, rounding=mode, tininess=tininess), expected, [a, b], "float16")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["add", "mul", "div", "mul_add"])
def test_half_arithmetic_of_random_operands_equals_softfloat(name: str, mode: str, rng: np.random.Generator) -> None:
    function, arity = OPERATIONS[name]
    for tininess, n in [("after", 8000), ("before", 4000)]:
        arrays = [random_codes(rng, float16, n) for _ in range(arity)]
        expected = softfloat(f"f16_{name}", "float16", arrays, mode, tininess)
        check(function(*arrays, rounding=mode, tininess=tininess), expected, arrays, "float16")


def test_half_fma_of_hard_operands_equals_softfloat(rng: np.random.Generator) -> None:
    for mode, tininess in itertools.product(MODES, TININESS):
        arrays = [rng.choice(HARD, 6000) for _ in range(3)]
        expected = softfloat("f16_mul_add", "float16", arrays, mode, tininess)
        check(ieee.fma(*arrays, rounding=mode, tininess=tininess), expected, arrays, "float16")


@pytest.mark.parametrize("mode", MODES)
def test_the_square_root_of_every_half(mode: str) -> None:
    check(ieee.sqrt(CODES, rounding=mode), softfloat("f16_sqrt", "float16", [CODES], mode), [CODES], "float16")


def test_remainders_equal_softfloat(rng: np.random.Generator) -> None:
    a, b = (x.ravel() for x in np.meshgrid(HARD, HARD))
    for x, y in [(a, b), (random_codes(rng, float16, 20000), random_codes(rng, float16, 20000))]:
        check(ieee.rem(x, y), softfloat("f16_rem", "float16", [x, y], "nearest_even"), [x, y], "float16")
    for fmt in (float32, float64):
        arrays = [random_codes(rng, fmt, 4000) for _ in range(2)]
        expected = softfloat(f"{SHORT[fmt.name]}_rem", fmt.name, arrays, "nearest_even")
        check(ieee.rem(*arrays, format=fmt), expected, arrays, fmt.name)


@pytest.mark.parametrize("fmt", [float32, float64])
@pytest.mark.parametrize("name", OPERATIONS)
def test_wider_formats_equal_softfloat(name: str, fmt: Format, rng: np.random.Generator) -> None:
    function, arity = OPERATIONS[name]
    for mode, tininess in itertools.product(MODES, TININESS):
        arrays = [random_codes(rng, fmt, 1500) for _ in range(arity)]
        expected = softfloat(f"{SHORT[fmt.name]}_{name}", fmt.name, arrays, mode, tininess)
        check(function(*arrays, format=fmt, rounding=mode, tininess=tininess), expected, arrays, fmt.name)


@pytest.mark.parametrize("fmt", [float16, float32, float64], ids=str)
def test_sums_a_trace_away_from_the_borders(fmt: Format) -> None:
    """Sixty ones in a row: the sticky bit alone tells the sum from a power of two, or from the overflow threshold."""
    one, infinity, minus = 1 << fmt.nmant, (2**fmt.nexp - 1) << fmt.nmant, 1 << (fmt.bits - 1)
    centres = [one, one + 1, 2 * one, fmt.emax << fmt.nmant, infinity - 1]
    triples = [(s, t | m, c) for s in (1, one) for t in (1, one - 1, one, fmt.emax << fmt.nmant) for m in (0, minus)
               for c in [*centres, *(c | minus for c in centres)]]  # fmt: skip
    arrays = [np.array(column, f"u{fmt.bits // 8}") for column in zip(*triples, strict=True)]
    for mode, tininess in itertools.product(MODES, TININESS):
        expected = softfloat(f"{SHORT[fmt.name]}_mul_add", fmt.name, arrays, mode, tininess)
        check(ieee.fma(*arrays, format=fmt, rounding=mode, tininess=tininess), expected, arrays, fmt.name)


@pytest.mark.parametrize("mode", MODES)
def test_integral_values_of_every_half(mode: str) -> None:
    for exact in (True, False):
        sf_exact = softfloat_with(exact, mode)
        expected = softfloat_call(sf_exact, CODES)
        check(ieee.round_to_integral(CODES, rounding=mode, exact=exact), expected, [CODES], "float16")


def softfloat_with(exact: bool, mode: str, name: str = "f16_round_to_int") -> Callable[[Any], Any]:
    return lambda x: getattr(sf, name)(x, MODES[mode], exact)


def softfloat_call(function: Callable[[Any], Any], codes: Any, fmt: str = "float16") -> tuple[Any, Any]:
    results, flags = [], []
    kind, size = TYPES[fmt]
    for code in codes.tolist():
        x = kind.from_bytes(code.to_bytes(size, "big"))
        sf.set_exception_flags(0)
        results.append(int.from_bytes(function(x).to_bytes(), "big"))
        flags.append(int(sf.get_exception_flags()))
    return results, np.array(flags, np.uint8)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_integers_of_numbers_equal_softfloat(dtype: str, rng: np.random.Generator) -> None:
    for fmt, mode, exact in itertools.product((float16, float32, float64), MODES, (True, False)):
        codes = random_codes(rng, fmt, 1500)
        if fmt is not float16:  # exponents around the bounds of the integers
            field = rng.integers(fmt.emax + 28, fmt.emax + 67, codes.size).astype(codes.dtype)
            around = (codes & codes.dtype.type(2**fmt.nmant - 1)) | field << codes.dtype.type(fmt.nmant)
            codes = np.concatenate([codes, around, around | codes.dtype.type(1 << (fmt.bits - 1))])
        function = softfloat_with(exact, mode, f"{SHORT[fmt.name]}_to_{SHORT[dtype]}")
        results, expected = softfloat_call(function, codes, fmt.name)
        got, flags = ieee.to_int(codes, dtype, format=fmt, rounding=mode, exact=exact)
        np.testing.assert_array_equal(flags, expected)
        valid = flags < 16  # SoftFloat's results of invalid conversions are a processor's; ours saturate
        unsigned = got.view(f"u{got.itemsize}")
        np.testing.assert_array_equal(unsigned[valid], np.array(results, np.uint64)[valid].astype(unsigned.dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint64"])
def test_integers_saturate(dtype: str) -> None:
    info = np.iinfo(dtype)
    values, flags = ieee.to_int(CODES, dtype, rounding="toward_zero")
    assert values.dtype == dtype
    with np.errstate(all="ignore"):
        exact = np.trunc(CODES.view(np.float16).astype(np.float64))
    number = ~np.isnan(exact)
    inside = number & (exact >= info.min) & (exact <= info.max)
    clipped = [min(max(x, info.min), info.max) if abs(x) < np.inf else info.max if x > 0 else info.min
               for x in exact[number].tolist()]  # fmt: skip
    assert [int(v) for v in values[number]] == [int(x) for x in clipped]
    assert not values[~number].any()
    np.testing.assert_array_equal(flags == 16, ~inside)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_numbers_of_integers_equal_softfloat(dtype: str, rng: np.random.Generator) -> None:
    info = np.iinfo(dtype)
    n = rng.integers(info.min, info.max, 3000, dtype=dtype, endpoint=True) >> rng.integers(0, info.bits, 3000).astype(
        dtype
    )
    edges = [
        0,
        info.min,
        info.max,
        info.max - 1,
        65519,
        65520,
        *(2**k + d for k in range(info.bits - 1) for d in (-1, 1)),
    ]
    n = np.concatenate([n, np.array(edges, dtype)])
    for fmt, mode in itertools.product(("float16", "float32", "float64"), MODES):
        name = f"{SHORT[dtype]}_to_{SHORT[fmt]}"
        check(ieee.from_int(n, fmt, rounding=mode), softfloat(name, dtype, [n], mode), [n], fmt)
    assert ieee.from_int(np.array([-3, 100], np.int8))[0].tolist() == [0xC200, 0x5640]


PAIRS = [("float16", "float32"), ("float16", "float64"), ("float32", "float16"), ("float32", "float64"),
         ("float64", "float16"), ("float64", "float32"), ("float32", "bfloat16"), ("bfloat16", "float32")]  # fmt: skip


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversions_equal_softfloat(source: str, target: str, rng: np.random.Generator) -> None:
    for mode, tininess in itertools.product(MODES, TININESS):
        codes = random_codes(rng, as_format(source), 3000)
        if source in ("float32", "float64"):  # around the range of the target, subnormals included
            wide = random_codes(rng, as_format(target), 2000)
            values = ieee.convert(wide, target, source)[0]
            codes = np.concatenate([codes, values, values + 1, values ^ values.dtype.type(1 << 12)]).astype(
                values.dtype
            )
        name = f"{SHORT[source]}_to_{SHORT[target]}"
        expected = softfloat(name, source, [codes], mode, tininess)
        got = ieee.convert(codes, source, target, rounding=mode, tininess=tininess)
        check(got, expected, [codes], target)


@pytest.mark.parametrize("name", ["eq", "lt", "le", "eq_signaling", "lt_quiet", "le_quiet"])
def test_comparisons_equal_softfloat(name: str, rng: np.random.Generator) -> None:
    a, b = (x.ravel() for x in np.meshgrid(HARD, HARD))
    for fmt, arrays in [
        (float16, [a, b]),
        (float32, [random_codes(rng, float32, 2000) for _ in range(2)]),
        (float64, [np.repeat(random_codes(rng, float64, 60), 60), np.tile(random_codes(rng, float64, 60), 60)]),
    ]:
        got, flags = getattr(ieee, name)(*arrays, format=fmt)
        expected, raised = softfloat(f"{SHORT[fmt.name]}_{name}", fmt.name, arrays, "nearest_even")
        assert got.dtype == np.bool_
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(flags, raised)


# Exact fractions: to_odd, which SoftFloat's binding lacks, and formats that it does not have.


def value(code: int, fmt: Format) -> Fraction:
    """The number that an encoding of ``fmt`` stands for, from the definition in clause 3.4."""
    field, fraction = code >> fmt.nmant & (2**fmt.nexp - 1), code & (2**fmt.nmant - 1)
    significand = fraction + (2**fmt.nmant if field else 0)
    size = Fraction(significand) * Fraction(2) ** (max(field, 1) + fmt.emin - 1 - fmt.nmant)
    return -size if code >> (fmt.bits - 1) else size


class Place(NamedTuple):
    """Where an exact magnitude lies among the multiples of 2 to the power ``unit``."""

    unit: int
    low: int  # the multiple at or below it
    rest: int  # on top of it: 0 nothing, 1 less than half of the unit, 2 half of it, 3 more

    @classmethod
    def of(cls, size: Fraction, unit: int) -> Place:
        low, rest = divmod(size / Fraction(2) ** unit, 1)
        return cls(unit, int(low), (rest > 0) + (rest >= Fraction(1, 2)) + (rest > Fraction(1, 2)))

    def multiple(self, sign: int, mode: str) -> int:
        """The one that is chosen, by looking at the two next to the number."""
        low, rest = self.low, self.rest
        up = {
            "nearest_even": rest == 3 or (rest == 2 and low % 2 == 1), "nearest_away": rest >= 2,
            "toward_zero": False, "upward": rest > 0 and not sign, "downward": rest > 0 and bool(sign),
            "to_odd": rest > 0 and low % 2 == 0,
        }[mode]  # fmt: skip
        return low + up


def places(x: Fraction, fmt: Format) -> tuple[int, Place, Place]:
    """The sign of a nonzero exact number, its place in ``fmt``, and that where exponents have no end."""
    size = abs(x)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unbounded = Place.of(size, exponent - fmt.nmant)
    subnormal = exponent < fmt.emin
    return int(x < 0), Place.of(size, fmt.emin - fmt.nmant) if subnormal else unbounded, unbounded


def rounded(at: tuple[int, Place, Place], fmt: Format, mode: str, tininess: str = "after") -> tuple[int, int]:
    """The encoding of the number at these `places`, and its flags, by the words of clauses 4.3, 7.4 and 7.5."""
    sign, place, unbounded = at
    count, unit, minus = place.multiple(sign, mode), place.unit, sign << (fmt.bits - 1)
    if count.bit_length() + unit > fmt.emax + 1:  # 2**(emax + 1) or more
        away = {"nearest_even": 1, "nearest_away": 1, "upward": not sign, "downward": sign}.get(mode, 0)
        infinity = (2**fmt.nexp - 1) << fmt.nmant
        return (infinity if away else infinity - 1) | minus, 5
    before = unbounded.low if tininess == "before" else unbounded.multiple(sign, mode)
    tiny = before.bit_length() + unbounded.unit <= fmt.emin  # below 2**emin
    if count >= 2**fmt.precision:  # carried into the next binade
        count, unit = count // 2, unit + 1
    code = count + ((unit - fmt.emin + fmt.nmant) << fmt.nmant)
    inexact = place.rest > 0
    return code | minus, inexact + 2 * (inexact and tiny)


EXACT: dict[str, Callable[..., Fraction]] = {
    "add": lambda a, b: a + b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b, "fma": lambda a, b, c: a * b + c,
}  # fmt: skip
FORMATS = [Format("e4m0", 4, 1), Format("e3m3", 3, 4), Format("e2m9", 2, 10), float16, bfloat16]
FORMATS += [Format(f"e8m{p - 1}", 8, p) for p in (28, 29, 30, 31, 36)] + [Format("e11m41", 11, 42), float64]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("name", EXACT)
def test_every_mode_and_format_against_exact_fractions(name: str, fmt: Format, rng: np.random.Generator) -> None:
    arity = 3 if name == "fma" else 2
    arrays = [random_codes(rng, fmt, 350) for _ in range(arity)]
    mask = (1 << (fmt.bits - 1)) - 1
    top = (2**fmt.nexp - 1) << fmt.nmant
    finite = np.all([(a & a.dtype.type(mask) < top) & (a & a.dtype.type(mask) > 0) for a in arrays], axis=0)
    arrays = [a[finite] for a in arrays]
    exact = [EXACT[name](*(value(c, fmt) for c in row)) for row in zip(*(a.tolist() for a in arrays), strict=True)]
    at = [places(x, fmt) if x else None for x in exact]
    for mode, tininess in itertools.product(ALL_MODES, TININESS):
        got, flags = getattr(ieee, name)(*arrays, format=fmt, rounding=mode, tininess=tininess)
        for i, (code, raised, where) in enumerate(zip(got.tolist(), flags.tolist(), at, strict=True)):
            if where is not None:
                right = rounded(where, fmt, mode, tininess)
                assert (code, raised) == right, (mode, tininess, [hex(a[i]) for a in arrays])


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_roots_and_remainders_of_every_format_against_exact_fractions(fmt: Format, rng: np.random.Generator) -> None:
    infinity = (2**fmt.nexp - 1) << fmt.nmant
    mask = (1 << (fmt.bits - 1)) - 1
    a, b = (random_codes(rng, fmt, 400).astype(np.uint64) & np.uint64(mask) for _ in range(2))
    low, low_flags = ieee.sqrt(a, format=fmt, rounding="toward_zero")
    high, high_flags = ieee.sqrt(a, format=fmt, rounding="upward")
    rest, flags = ieee.rem(a, b, format=fmt)
    for i, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        if x < infinity:
            r, s = value(int(low[i]), fmt), value(int(high[i]), fmt)
            assert r * r <= value(x, fmt) <= s * s
            assert high[i] - low[i] == low_flags[i] & 1 == high_flags[i] & 1 == (r != s)
        if x < infinity and 0 < y < infinity:
            quotient = value(x, fmt) / value(y, fmt)
            exact = value(x, fmt) - value(y, fmt) * round(quotient)
            assert (value(int(rest[i]), fmt), flags[i]) == (exact, 0)


@pytest.mark.parametrize("fmt", [float16, bfloat16, float32, float64], ids=str)
def test_fma_next_to_ties(fmt: Format, rng: np.random.Generator) -> None:
    """c is far above the product's last bits, and half an ulp of the sum lies in the product, or just beside it."""
    n, one = 1500, fmt.emax << fmt.nmant
    a = one + rng.integers(0, 2**fmt.nmant, n)
    b = one + (1 << rng.integers(0, fmt.nmant, n)) - rng.integers(0, 2, n)
    c = one + rng.integers(0, 2**fmt.nmant, n) + (rng.integers(-12, min(fmt.precision + 4, fmt.emax), n) << fmt.nmant)
    a, b, c = (x.astype(np.uint64) for x in (a, b, c))
    c |= rng.integers(0, 2, n, dtype=np.uint64) << np.uint64(fmt.bits - 1)
    rows = list(zip(a.tolist(), b.tolist(), c.tolist(), strict=True))
    exact = [value(x, fmt) * value(y, fmt) + value(z, fmt) for x, y, z in rows]
    at = [places(x, fmt) if x else None for x in exact]
    for mode in ALL_MODES:
        got, _ = ieee.fma(a, b, c, format=fmt, rounding=mode)
        for row, where, code in zip(rows, at, got.tolist(), strict=True):
            if where is not None:
                assert code == rounded(where, fmt, mode)[0], (mode, *map(hex, row))


def test_to_odd_of_every_half() -> None:
    for code, root, whole in zip(
        CODES[1:0x7C00].tolist(),
        ieee.sqrt(CODES[1:0x7C00], rounding="to_odd")[0].tolist(),
        ieee.round_to_integral(CODES[1:0x7C00], rounding="to_odd")[0].tolist(),
        strict=True,
    ):
        x, r = value(code, float16), value(root, float16)
        assert r * r == x or (root & 1 and value(root - 1, float16) ** 2 < x < value(root + 1, float16) ** 2)
        floor, rest = divmod(x, 1)
        assert value(whole, float16) == floor + (rest > 0 and floor % 2 == 0)


def test_scaleb_and_logb(rng: np.random.Generator) -> None:
    codes = CODES[(CODES & 0x7FFF < 0x7C00) & (CODES & 0x7FFF > 0)]
    n = rng.integers(-45, 45, codes.size)
    for mode in ALL_MODES:
        got, _ = ieee.scaleb(codes, n, rounding=mode)
        for code, by, result in zip(codes[::9].tolist(), n[::9].tolist(), got[::9].tolist(), strict=True):
            exact = value(code, float16) * Fraction(2) ** by
            assert result == rounded(places(exact, float16), float16, mode)[0]
    exponents, flags = ieee.logb(codes)
    _, expected = np.frexp(codes.view(np.float16).astype(np.float64))
    np.testing.assert_array_equal(exponents.view(np.float16), expected - 1)
    assert not flags.any()
    codes, flags = ieee.logb([0x8000, 0xFC00, 0x7D01])
    assert (codes.tolist(), flags.tolist()) == ([0xFC00, 0x7C00, 0x7F01], [8, 0, 16])
    for far in (np.array(2**63 - 1), np.array(-(2**63)), np.array(2**64 - 1, np.uint64), np.array(-128, np.int8)):
        assert int(ieee.scaleb(0x3C00, far)[0]) == (0x7C00 if far > 0 else 0)
    assert [x.tolist() for x in ieee.scaleb([0x8000, 0xFC00, 0x7C01], 5)] == [[0x8000, 0xFC00, 0x7E01], [0, 0, 16]]


def test_neighbours_of_every_half() -> None:
    number = CODES & 0x7FFF <= 0x7C00
    halves = CODES[number].view(np.float16)
    for function, target in [(ieee.next_up, np.inf), (ieee.next_down, -np.inf)]:
        got, flags = function(CODES)
        with np.errstate(all="ignore"):
            expected = np.nextafter(halves, np.float16(target))
        np.testing.assert_array_equal(got[number].view(np.float16), expected)
        np.testing.assert_array_equal(np.signbit(got[number].view(np.float16)), np.signbit(expected))
        np.testing.assert_array_equal(got[~number], CODES[~number] | 0x200)
        np.testing.assert_array_equal(flags, 16 * (~number & (CODES & 0x200 == 0)))


def test_extrema_order_zeros_and_treat_nan() -> None:
    a, b = (x.ravel() for x in np.meshgrid(HARD, HARD))
    x, y = a.view(np.float16).astype(np.float64), b.view(np.float16).astype(np.float64)
    signaling = (np.isnan(x) & (a & 0x200 == 0)) | (np.isnan(y) & (b & 0x200 == 0))
    before = ieee.total_order(a, b)[0]
    for name, low in [("minimum", True), ("maximum", False)]:
        ordered = np.where(before == low, a, b)
        first = np.where(np.isnan(x), a, b) | 0x200
        got, flags = getattr(ieee, name)(a, b)
        np.testing.assert_array_equal(got, np.where(np.isnan(x) | np.isnan(y), first, ordered))
        np.testing.assert_array_equal(flags, 16 * signaling)
        got, flags = getattr(ieee, f"{name}_number")(a, b)
        one = np.where(np.isnan(x), np.where(np.isnan(y), first, b), a)
        np.testing.assert_array_equal(got, np.where(np.isnan(x) | np.isnan(y), one, ordered))
        np.testing.assert_array_equal(flags, 16 * signaling)


def test_total_order_is_the_order_of_numbers_and_of_encodings() -> None:
    ladder = np.concatenate([np.arange(0xFFFF, 0x7FFF, -1), np.arange(0x8000)]).astype(np.uint16)
    assert ieee.total_order(ladder[:-1], ladder[1:])[0].all()
    assert not ieee.total_order(ladder[1:], ladder[:-1])[0].any()
    assert ieee.total_order(ladder, ladder)[0].all()
    number = ladder[(ladder & 0x7FFF) <= 0x7C00].view(np.float16)
    assert (number[:-1] <= number[1:]).all()
    assert ieee.total_order([2**64 - 1, 1 << 63], [1 << 63, 0], format="float64")[0].all()


def test_classes_of_every_half() -> None:
    classes, flags = ieee.classify(CODES)
    h = CODES.view(np.float16)
    with np.errstate(all="ignore"):
        size, minus = np.abs(h), np.signbit(h)
    kinds = [np.isnan(h), size == 0, size < np.float16(2.0**-14), np.isinf(h)]
    kind = np.select(kinds, ["nan", "zero", "subnormal", "infinity"], "normal")
    prefix = np.where(
        kinds[0], np.where(CODES & 0x200, "quiet_", "signaling_"), np.where(minus, "negative_", "positive_")
    )
    np.testing.assert_array_equal(classes, np.char.add(prefix, kind))
    assert not flags.any()


def test_copy_sign_moves_bits() -> None:
    got, flags = ieee.copy_sign(CODES, CODES[::-1])
    np.testing.assert_array_equal(got, (CODES & 0x7FFF) | (CODES[::-1] & 0x8000))
    assert not flags.any()


NANS = [
    ("add", [0x7E03, 0xFC05], 0x7E03, 16), ("add", [0x3C00, 0xFD05], 0xFF05, 16), ("sub", [0x3C00, 0xFE05], 0xFE05, 0),
    ("sub", [0x7C00, 0x7C00], 0x7E00, 16), ("mul", [0x8000, 0x7C00], 0x7E00, 16), ("div", [0x7E01, 0x0000], 0x7E01, 0),
    ("rem", [0x3C00, 0x8000], 0x7E00, 16), ("sqrt", [0xFE07], 0xFE07, 0), ("fma", [0, 0x7C00, 0x7E09], 0x7E09, 16),
    ("fma", [0x3C00, 0x7E01, 0xFC02], 0x7E01, 16), ("fma", [0x7C00, 0x3C00, 0xFC00], 0x7E00, 16),
    ("fma", [0x7C00, 0x7E01, 0xFC00], 0x7E01, 0), ("fma", [0xFE01, 0x7C00, 0x7C00], 0xFE01, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operands", "code", "flag"), NANS)
def test_the_first_nan_survives_quieted(name: str, operands: list[int], code: int, flag: int) -> None:
    assert [int(x) for x in getattr(ieee, name)(*operands)] == [code, flag]


def test_payloads_keep_their_leading_bits_in_conversions() -> None:
    wide, flags = ieee.convert([0x7E01, 0xFC01, 0x7F55], "float16", "float64")
    assert [hex(x) for x in wide] == ["0x7ff8040000000000", "0xfff8040000000000", "0x7ffd540000000000"]
    assert flags.tolist() == [0, 16, 0]
    assert ieee.convert(wide, "float64", "float16")[0].tolist() == [0x7E01, 0xFE01, 0x7F55]
    assert [x.tolist() for x in ieee.convert([0x7F800001], "float32", "float16")] == [[0x7E00], [16]]


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "bfloat16"])
def test_conversions_to_narrow_formats_equal_ml_dtypes(name: str) -> None:
    with np.errstate(all="ignore"):
        values = CODES.view(np.float16).astype(np.float32)
        narrow = values.astype(getattr(ml_dtypes, name))
        back = narrow.astype(np.float32)
    got, flags = ieee.convert(CODES, "float16", name)
    number = ~np.isnan(values)
    np.testing.assert_array_equal(got[number], narrow[number].view(got.dtype))
    assert np.isnan(got[~number].view(narrow.dtype).astype(np.float32)).all()
    finite = np.isfinite(values)
    np.testing.assert_array_equal(flags[finite] & 1, (back != values)[finite])
    np.testing.assert_array_equal(flags[finite] & 4 > 0, ~np.isfinite(back)[finite])


def test_formats_without_infinity_or_nan() -> None:
    assert [x.tolist() for x in ieee.add([0x7E, 0x7E, 0x7F], [0x58, 0x59, 1], format="float8_e4m3fn")] == [
        [0x7E, 0x7F, 0x7F], [1, 5, 0]]  # fmt: skip
    assert [int(x) for x in ieee.mul(0x7E, 0xFE, format="float8_e4m3fn", rounding="toward_zero")] == [0xFE, 5]
    assert [int(x) for x in ieee.div(0xB8, 0, format="float8_e4m3fn")] == [0xFF, 8]
    assert [int(x) for x in ieee.add(0x7C00, 0x7C00, format="float16_ahp")] == [0x7FFF, 16]  # 65536 + 65536
    assert [int(x) for x in ieee.mul(0x7BFF, 0x4000, format="float16_ahp")] == [0x7FFF, 0]
    codes, flags = ieee.convert([0x7FC00000, 0xFF800000, 0x47FFE000], "float32", "float16_ahp")
    assert (codes.tolist(), flags.tolist()) == ([0, 0xFFFF, 0x7FFF], [16, 16, 0])
    assert [int(x) for x in ieee.convert(0xFC00, "float16", "float8_e4m3fn")] == [0xFF, 16]


def test_shapes_broadcast_and_inputs_stay(rng: np.random.Generator) -> None:
    a, b = random_codes(rng, float16, 600).reshape(20, 30), random_codes(rng, float16, 30)
    kept = a.copy()
    code, flags = ieee.add(a[::-1, ::2], b[::2])
    assert code.shape == flags.shape == (20, 15)
    assert (code.dtype, flags.dtype) == (np.uint16, np.uint8)
    flat = ieee.add(a[::-1, ::2].ravel(), np.tile(b[::2], 20))
    np.testing.assert_array_equal(code.ravel(), flat[0])
    np.testing.assert_array_equal(flags.ravel(), flat[1])
    np.testing.assert_array_equal(a, kept)
    a.flags.writeable = False
    ieee.fma(a, 0x3C00, b.astype(">u2"))
    assert ieee.add(0x3C00, 0x3C00)[0].shape == ()
    assert ieee.sqrt([])[0].shape == ieee.add(np.zeros((0, 3), int), 1)[0].shape[:1] == (0,)
    large = np.resize(CODES, 200_001)
    np.testing.assert_array_equal(ieee.sqrt(large)[0][-65536:], np.resize(ieee.sqrt(CODES)[0], 200_001)[-65536:])


def test_flags_reach_those_who_watch() -> None:
    with flags.flags() as counts:
        ieee.mul([0x7BFF, 0x0001, 0x3C00], [0x7BFF, 0x3801, 0x3C00])
        ieee.lt(0x7E00, 0)
    assert (counts.overflow, counts.underflow, counts.inexact, counts.invalid, counts.size) == (1, 1, 2, 1, 4)
    with (
        flags.errstate(divide_by_zero="raise"),
        pytest.raises(FloatingPointError, match="div: divide by zero in 1 of 2"),
    ):
        ieee.div([0x3C00, 0x0000], 0x0000)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ieee.add(-1, 0), ValueError, "a: allowed are codes from 0 to 0xffff for float16"),
    (lambda: ieee.add(0, 1 << 16), ValueError, "b: allowed are codes"),
    (lambda: ieee.add(1.0, 2), TypeError, "a: dtype float64"),
    (lambda: ieee.add(1, [2j]), TypeError, "b: dtype complex128"),
    (lambda: ieee.add(["1"], 2), TypeError, "a: dtype <U1"),
    (lambda: ieee.add(np.array([1], object), 2), TypeError, "a: dtype object"),
    (
        lambda: ieee.add([1, 2], [1, 2, 3]),
        ValueError,
        r"a, b: allowed are shapes that broadcast, not \(2,\) and \(3,\)",
    ),
    (lambda: ieee.add(1, 2, rounding="nearest"), ValueError, "rounding: 'nearest' is not allowed"),
    (lambda: ieee.add(1, 2, rounding="stochastic"), ValueError, "rounding: 'stochastic' is not allowed"),
    (lambda: ieee.add(1, 2, tininess="now"), ValueError, "tininess: 'now' is not allowed; allowed: after, before"),
    (lambda: ieee.add(1, 2, format="float17"), ValueError, "format: 'float17'"),
    (lambda: ieee.convert(1, "float17", "float16"), ValueError, "source: 'float17'"),
    (lambda: ieee.convert(1, "float16", "float17"), ValueError, "target: 'float17'"),
    (lambda: ieee.to_int(1, "int128"), ValueError, "dtype: 'int128' is not allowed"),
    (lambda: ieee.to_int(1, "float32"), ValueError, "dtype: 'float32' is not allowed"),
    (lambda: ieee.from_int([0.5]), TypeError, "n: dtype float64"),
    (lambda: ieee.scaleb(1, 1.5), TypeError, "n: dtype float64"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_bad_input_is_refused_in_one_line(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{message}") as caught:
        call()
    assert "\n" not in str(caught.value)
