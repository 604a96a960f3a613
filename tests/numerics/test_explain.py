from __future__ import annotations

import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser

import gmpy2
import numpy as np
import pytest
import softfloatpy as sf

import halfsim as hs
from halfsim.numerics.explain import MODES, Explanation, explain
from halfsim.numerics.explain.exact import Number
from tests.oracles import CODES, HALVES, boundaries, mpfr, nearest_half

DIRECTIONS = {
    "nearest_even": sf.RoundingMode.NEAR_EVEN,
    "nearest_away": sf.RoundingMode.NEAR_MAX_MAG,
    "toward_zero": sf.RoundingMode.MIN_MAG,
    "upward": sf.RoundingMode.MAX,
    "downward": sf.RoundingMode.MIN,
}
SOFT = {"float16": (sf.Float16, "f16"), "float32": (sf.Float32, "f32"), "float64": (sf.Float64, "f64")}
TEXTS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "sqrt": "sqrt({})",
    "mul_add": "fma({}, {}, {})",
}
FORMATS = ("float16", "bfloat16", "tfloat32", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "float16_ahp")


def soft(name: str, fmt: str, rounding: str, *codes: int) -> tuple[int, int]:
    kind, prefix = SOFT[fmt]
    size = {"float16": 2, "float32": 4, "float64": 8}[fmt]
    sf.set_rounding_mode(DIRECTIONS[rounding])
    sf.set_tininess_mode(sf.TininessMode.AFTER_ROUNDING)
    sf.set_exception_flags(0)
    try:
        result = getattr(sf, f"{prefix}_{name}")(*(kind.from_bytes(c.to_bytes(size, "big")) for c in codes))
        return int.from_bytes(result.to_bytes(), "big"), int(sf.get_exception_flags())
    finally:
        sf.set_rounding_mode(sf.RoundingMode.NEAR_EVEN)


def code(e: Explanation) -> int:
    return e.result.code


def agree(e: Explanation, expected: tuple[int, int]) -> bool:
    """The same flags and the same code; any NaN for a NaN, whose payloads differ between machines."""
    same = code(e) == expected[0]
    return (same or (e.result.kind == "NaN" == Number(e.format, expected[0]).kind)) and int(e.flags) == expected[1]


def test_the_fields_of_every_half_are_numpys() -> None:
    for bits, half in zip(CODES.tolist(), HALVES, strict=True):
        x = Number(hs.float16, bits)
        value = float(half)
        sign, exponent, trailing = x.fields
        assert int(sign + exponent + trailing, 2) == bits == int(x.hex, 16)
        assert x.sign == np.signbit(half)
        if np.isnan(half):
            assert x.kind == "NaN"
        elif np.isinf(half):
            assert x.kind == "infinity"
        else:
            assert x.value == Fraction(value)
            small = abs(value) < 2.0**-14
            assert x.kind == ("zero" if value == 0 else "subnormal" if small else "normal")
            assert abs(value) == x.significand * 2.0 ** (x.exponent - 10)
            assert small or x.exponent == x.biased_exponent - 15 == np.frexp(value)[1] - 1


def test_every_37th_code_read_as_a_pattern_gives_itself() -> None:
    for bits in range(0, 65536, 37):
        e = explain(bits, bits=True)
        assert code(e) == bits
        assert e.flags == 0
        if e.exact is not None:
            assert (e.error, e.ulp_error, e.midpoint) == (0, 0, None)
            around = np.nextafter(HALVES[bits], np.array([-np.inf, np.inf], np.float16))
            assert e.below is not None
            assert e.above is not None
            assert [e.below.hex, e.above.hex] == [f"0x{c:04x}" for c in around.view(np.uint16)]


@pytest.mark.parametrize("rounding", DIRECTIONS)
def test_values_round_as_softfloat_rounds_them(rounding: str) -> None:
    points = boundaries(np.float32)[:: 173 if rounding == "nearest_even" else 311]
    for x in points[np.isfinite(points)]:
        sf.set_rounding_mode(DIRECTIONS[rounding])
        sf.set_exception_flags(0)
        half = sf.f32_to_f16(sf.Float32.from_bytes(np.float32(x).tobytes()[::-1]))
        expected = int.from_bytes(half.to_bytes(), "big"), int(sf.get_exception_flags())
        sf.set_rounding_mode(sf.RoundingMode.NEAR_EVEN)
        e = explain(float(x), rounding=rounding)
        assert (code(e), int(e.flags)) == expected, x


def test_decimals_round_once() -> None:
    rng = random.Random(1)
    for _ in range(500):
        text = f"{rng.uniform(-1, 1):.{rng.randint(1, 25)}f}e{rng.randint(-8, 5)}"
        e = explain(text)
        assert e.exact == Fraction(text)
        assert e.result.value is None or float(e.result.value) == nearest_half(Fraction(text))


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("rounding", [mode.value for mode in MODES])
def test_encode_and_explain_agree(fmt: str, rounding: str) -> None:
    form = explain(1, fmt).format
    edges = [1, form.max, form.smallest_normal, form.smallest_subnormal, 0.1, 464, 465, 480]
    scales = [sign * m for sign in (1, -1) for m in (Fraction(1), Fraction(4097, 4096), Fraction(1, 2))]
    for x in [m * Fraction(edge) for edge in edges for m in scales]:
        if form.name == "float64" and x != Fraction(float(x) if abs(x) < 2**1023 else 0):
            continue  # encode's own input is float64 there
        assert code(explain(x, fmt, rounding=rounding)) == int(hs.encode(x, fmt, rounding)), x
    for text in ("inf", "-inf", "nan", "-0.0"):
        assert code(explain(text, fmt, rounding=rounding)) == int(hs.encode(text, fmt, rounding)), text


HARD = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x8400, 0x3BFF, 0x3C00, 0xBC00, 0x3C01, 0x6800, 0x7BFF, 0xFBFF]
HARD += [0x7C00, 0xFC00, 0x7E00, 0x7D01, 0x1400, 0x2E66]


def operands(fmt: str, count: int, seed: int) -> Iterator[tuple[int, int, int]]:
    rng = random.Random(seed)
    form = explain(0, fmt).format
    for _ in range(count):
        a, b, c = (rng.getrandbits(form.bits) for _ in range(3))
        if rng.random() < 0.4:  # cancellation and ties
            b = a ^ (1 << (form.bits - 1)) ^ rng.getrandbits(rng.randint(1, form.nmant))
        if rng.random() < 0.3:
            c = (b ^ rng.getrandbits(3)) & ((1 << form.bits) - 1)
        yield a, b, c


@pytest.mark.parametrize("rounding", DIRECTIONS)
@pytest.mark.parametrize("name", TEXTS)
def test_operations_on_halves_are_softfloats(name: str, rounding: str) -> None:
    arity = TEXTS[name].count("{}")
    hard = [(a, b, c) for a in HARD for b in HARD for c in HARD[:: 1 if arity == 3 else 100]]
    step = {1: 20, 2: 1, 3: 41}[arity]
    for triple in [*hard[::step], *operands("float16", 300, 2)]:
        codes = triple[:arity]
        e = explain(TEXTS[name].format(*map(hex, codes)), rounding=rounding, bits=True)
        assert agree(e, soft(name, "float16", rounding, *codes)), [hex(c) for c in codes]


@pytest.mark.parametrize("fmt", ["float32", "float64"])
@pytest.mark.parametrize("name", TEXTS)
def test_operations_on_wide_formats_are_softfloats(name: str, fmt: str) -> None:
    arity = TEXTS[name].count("{}")
    for i, triple in enumerate(operands(fmt, 150, 3)):
        rounding = list(DIRECTIONS)[i % 5]
        e = explain(TEXTS[name].format(*map(hex, triple[:arity])), fmt, rounding=rounding, bits=True)
        assert agree(e, soft(name, fmt, rounding, *triple[:arity])), [hex(c) for c in triple]


@pytest.mark.parametrize("name", ["exp", "log", "tanh"])
def test_functions_are_mpfrs(name: str) -> None:
    finite = HALVES[np.isfinite(HALVES)][::67].astype(np.float64)
    for x in [*finite.tolist(), 0.0, -0.0, float("inf"), 2.0**-24, 11.1, 1.0]:
        e = explain(f"{name}({x})")
        expected = np.float16(mpfr(name, float(np.float16(x))))
        assert (e.result.kind == "NaN" and np.isnan(expected)) or code(e) == int(expected.view(np.uint16)), x
    for x in (5e-324, 1e-300, 0.7, 1.0000000000000002, 20.0, 700.0):
        with gmpy2.context(precision=53):
            assert explain(f"{name}({x})", "float64").result.value == Fraction(float(getattr(gmpy2, name)(x))), x


def test_sigmoid_is_mpfrs() -> None:
    for x in HALVES[np.isfinite(HALVES)][::97].astype(np.float64).tolist():
        with gmpy2.context(precision=400, emin=-200000, emax=200000):
            exact = Fraction(*(1 / (1 + gmpy2.exp(-gmpy2.mpfr(x)))).as_integer_ratio())
        assert float(explain(f"sigmoid({x})").result.value or 0) == nearest_half(exact), x


def test_directed_functions_keep_to_their_side() -> None:
    assert explain("tanh(20)", rounding="toward_zero").result.hex == "0x3bff"
    assert explain("exp(-60000)", rounding="upward").result.hex == "0x0001"
    assert explain("exp(5.9604644775390625e-8)", rounding="upward").result.hex == "0x3c01"
    assert explain("log(1)", rounding="downward").result.hex == "0x0000"
    assert explain("log(0)").flags == hs.Flag.DIVIDE_BY_ZERO
    assert explain("log(-1)").flags == hs.Flag.INVALID


def test_rounding_to_odd_never_loses_that_something_was_lost() -> None:
    for text in ("0.1", "1 + 0.0004", "2048 + 1", "1e-7", "-1 / 3"):
        e = explain(text, rounding="to_odd")
        assert e.exact is not None
        assert e.result.code & 1 or e.error == 0
        assert abs(e.ulp_error or 0) < 1
    assert explain("1e9", rounding="to_odd").result.hex == "0x7bff"


def test_the_facts_of_a_tie() -> None:
    e = explain("2048 + 1", "float16")
    assert (e.exact, e.midpoint, e.result.value) == (2049, 2049, 2048)
    assert (e.guard, e.round, e.sticky) == (0, 1, 0)
    assert (e.error, e.ulp_error, e.relative_error) == (-1, Fraction(-1, 2), Fraction(-1, 2049))
    assert e.below is not None
    assert e.above is not None
    assert (e.below.value, e.above.value) == (2048, 2050)
    assert e.flags == hs.Flag.INEXACT
    assert explain("2050 + 1").decision == ("Round bit 1, sticky 0: a tie; the last kept bit is 1 (odd), so round up.")


def test_operands_that_rounding_changes_say_so() -> None:
    e = explain("1 + 0.0004")
    assert [o.changed for o in e.operands] == [False, True]
    assert "0.0004 is first rounded to 0.000400066375732421875" in str(e)
    assert "(inexact, overflow)" in str(explain("1 + 1e6"))


def drawn(e: Explanation) -> dict[str, tuple[str, str]]:
    """Sign and digits of each row of the alignment, as columns of the same weights."""
    rows = [line for line in str(e).splitlines() if re.match(r" *\S.*  [+-] ", line) and "|" in line]
    return {line[:18].strip(): (line[18], line[20:]) for line in rows}


def test_columns_line_up_and_the_rows_add_up() -> None:
    rng, checked = random.Random(4), 0
    for _ in range(400):
        a, b = (rng.choice([-1, 1]) * Fraction(rng.randint(1024, 2047), 2 ** rng.randint(8, 18)) for _ in range(2))
        e = explain(f"{float(a)} {rng.choice('+-')} {float(b)}")
        match = re.search(r"\(times 2\^(-?\d+)\)", str(e))
        rows = list(drawn(e).items())
        if match is None or len(rows) < 3:  # operands of one name
            continue
        points = {digits.index(".") for _, (_, digits) in rows}
        assert len(points) == 1
        values = []
        for _, (sign, digits) in rows:
            before, after = digits.replace("|", "").replace(" ", "0").split(".")
            number = Fraction(int(before + after, 2), 2 ** len(after)) * Fraction(2) ** int(match[1])
            values.append(-number if sign == "-" else number)
        assert values[0] + values[1] == values[2] == e.exact
        marks = next(line for line in str(e).splitlines() if re.fullmatch(r" +G[ RS]+", line))[20:]
        exact = rows[-1][1][1]
        assert (exact[marks.index("G")], exact[marks.index("R")]) == (str(e.guard), str(e.round))
        assert ("1" in exact[marks.index("R") + 1 :]) == bool(e.sticky)
        checked += 1
    assert checked > 300


GOLDEN = {
    "0.1": """\
0.1 in float16, rounded to nearest, ties to even

  The exact value in binary (times 2^-4):
           exact  + 1.1001100110|01100110011001...
                               G RSSSSSSSSSSSSS
  guard 0 (the last bit kept), round 0 (the first dropped), sticky 1 (any after)

  exact     0.1
  decision  Round bit 0, sticky 1: below the midpoint, so round down.
  result    0.0999755859375

  0x2e66   0 01011 1001100110
           | |     |
           | |     significand 1.1001100110
           | exponent 11 - 15 = -4
           sign 0: +

  class     normal
            = +1.1001100110 x 2^-4

  above     0x2e67  0.10003662109375
  midpoint          0.100006103515625
  exact             0.1
  below     0x2e66  0.0999755859375  <--

  0x2e66 *---------------------x-----:---------------------------o 0x2e67
         x exact, : midpoint, * chosen

  error     ~-0.0000244141 absolute, ~-0.000244141 relative, -0.4 ulp
  flags     inexact
""",
    "1 + 0.0004": """\
1 + 0.0004 in float16, rounded to nearest, ties to even

  1       0x3c00  0 01111 0000000000  +1.0000000000 x 2^0
  0.0004  0x0e8e  0 00011 1010001110  +1.1010001110 x 2^-12
          0.0004 is first rounded to 0.000400066375732421875

  Align the significands by their exponents and add (times 2^0):
               1  + 1.0000000000|
          0.0004  + 0.0000000000|011010001110
                  ---------------------------
           exact  + 1.0000000000|011010001110
                               G RSSSSSSSSSSS
  guard 0 (the last bit kept), round 0 (the first dropped), sticky 1 (any after)

  exact     1.000400066375732421875
  decision  Round bit 0, sticky 1: below the midpoint, so round down.
  result    1

  0x3c00   0 01111 0000000000
           | |     |
           | |     significand 1.0000000000
           | exponent 15 - 15 = 0
           sign 0: +

  class     normal
            = +1.0000000000 x 2^0

  above     0x3c01  1.0009765625
  midpoint          1.00048828125
  exact             1.000400066375732421875
  below     0x3c00  1  <--

  0x3c00 *----------------------x----:---------------------------o 0x3c01
         x exact, : midpoint, * chosen

  error     ~-0.000400066 absolute, ~-0.000399906 relative, ~-0.409668 ulp
  flags     inexact
""",
    "2048 + 1": """\
2048 + 1 in float16, rounded to nearest, ties to even

  2048  0x6800  0 11010 0000000000  +1.0000000000 x 2^11
  1     0x3c00  0 01111 0000000000  +1.0000000000 x 2^0

  Align the significands by their exponents and add (times 2^11):
            2048  + 1.0000000000|
               1  + 0.0000000000|10000000000
                  --------------------------
           exact  + 1.0000000000|10000000000
                               G RSSSSSSSSSS
  guard 0 (the last bit kept), round 1 (the first dropped), sticky 0 (any after)

  exact     2049
  decision  Round bit 1, sticky 0: a tie; the last kept bit is 0 (even), so round down.
  result    2048

  0x6800   0 11010 0000000000
           | |     |
           | |     significand 1.0000000000
           | exponent 26 - 15 = 11
           sign 0: +

  class     normal
            = +1.0000000000 x 2^11

  above     0x6801  2050
  midpoint          2049
  exact             2049
  below     0x6800  2048  <--

  0x6800 *---------------------------x---------------------------o 0x6801
         x exact, : midpoint, * chosen

  error     -1 absolute, ~-0.000488043 relative, -0.5 ulp
  flags     inexact
""",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_golden_text(text: str) -> None:
    assert f"{explain(text)}\n" == GOLDEN[text]


SHOWN = [
    *("0.1", "1 + 0.0004", "2048 + 1", "0.1 * 3", "fma(0.1, 3, -0.3)", "exp(11.1)", "1 / 3", "sqrt(2)", "-1e-7", "nan"),
    *("-inf", "1 - 1", "1e30 + 1", "1e-30 * 1e-30", "1e4999", "-1e-4999", "0x1.8p-14000", "0", "-0.0"),
    *("fma(1e30, 1e-30, 1e-40)", "1 / 1e-38", "0." + "1234567890" * 40, "1" * 300, "tanh(1e-40)", "inf - inf"),
    *(
        "sigmoid(-40)",
        "log(3)",
        "1 - 1e-300",
        "fma(0, 5, 0)",
        "0 * 1",
        "0 + 0",
        "-0.0 - 0",
        "480",
        "fma(0, 1, 3)",
    ),
]


@pytest.mark.parametrize("fmt", FORMATS)
def test_whatever_is_asked_fits_100_columns_and_is_well_formed(fmt: str) -> None:
    for text in SHOWN:
        for mode in ("nearest_even", "upward")[: 1 + (fmt == "float16")]:
            e = explain(text, fmt, rounding=mode)
            shown = str(e)
            assert max(map(len, shown.splitlines())) <= 100, text
            assert shown.isascii()
            json.dumps(e.to_dict(), allow_nan=False)
            ET.fromstring(e.svg())
            ET.fromstring(f"<div>{e._repr_html_()}</div>")
            HTMLParser().feed(e.page())


def test_an_exact_value_past_the_ends_stands_outside_of_the_line() -> None:
    (line,) = (row for row in str(explain("1e6")).splitlines() if "---" in row)
    assert line.strip().startswith("0x7bff o-")
    assert line.endswith("-* 0x7c00 x")
    (line,) = (row for row in str(explain("-1e6")).splitlines() if "---" in row)
    assert line.strip().startswith("x 0xfc00 *-")
    assert line.endswith("-o 0xfbff")


def test_zero_has_no_bit_that_is_kept_or_dropped() -> None:
    for text in ("0", "-0", "1 - 1"):
        e = explain(text)
        assert (e.guard, e.round, e.sticky, e.flags) == (0, 0, 0, 0)


def test_what_a_format_has_no_number_for_is_named() -> None:
    for text, what in (("1 - 2", "negative numbers"), ("-1", "negative numbers"), ("1 - 1", "zero"), ("0", "zero")):
        assert f"float8_e8m0fnu has no {what}: invalid, and 0xff (NaN) instead." in str(explain(text, "float8_e8m0fnu"))


def test_a_picture_without_a_midpoint_says_what_is_exact() -> None:
    for text, words in (("1", "exact: nothing is rounded"), ("nan", "quiet NaN"), ("inf", "inf")):
        assert f">{words}<" in explain(text).svg()
    assert "exact" not in explain("nan").svg() + explain("inf").svg()


def test_digits_left_out_are_seen() -> None:
    assert re.search(r"= 0\.1000000000000000055511151231\d*\.\.\., normal", explain(0.1, "float64").svg())
    wide = explain("1e-30", "float64")
    assert "more digits)..." in str(wide)
    assert wide.result.value == Fraction(1e-30)
    assert "0.333333333333333333333..." in str(explain("1 / 3"))
    assert "less than 10^-43000" in str(explain("exp(-1e30)", "bfloat16"))


@pytest.mark.parametrize(("precision", "exponent_bits"), [(1, 3), (2, 2), (53, 11), (1, 11)])
def test_odd_formats(precision: int, exponent_bits: int) -> None:
    fmt = hs.Format("odd", exponent_bits, precision)
    for text in ("0.1", "1 + 0.3", "3 * 3", "1e-4", "nan", "inf"):
        e = explain(text, fmt)
        assert max(map(len, str(e).splitlines())) <= 100
        ET.fromstring(e.svg())
        if precision < 52 and not e.operation:
            assert code(e) == int(hs.encode(text, fmt))


def test_kinds_of_numbers() -> None:
    for x in (0.1, np.float64(0.1), np.array(0.1), Fraction(0.1), Decimal.from_float(0.1), np.longdouble(0.1)):
        assert explain(x).exact == Fraction(0.1)
    assert explain(2049).result.hex == explain(np.int64(2049)).result.hex == "0x6800"
    assert explain(float("-inf")).result.hex == explain(Decimal("-Infinity")).result.hex == "0xfc00"
    assert explain(np.float16("nan")).result.kind == explain(Decimal("nan")).result.kind == "NaN"
    assert explain(-0.0).result.hex == explain(Decimal("-0")).result.hex == "0x8000"
    assert explain("0x1.8p3").exact == 12
    assert explain("0b0011110000000000", bits=True).exact == explain("0x3c00", bits=True).exact == 1
    assert explain("0x2e66").exact == 0x2E66  # a number, as encode reads it
    assert code(explain("0x2e66")) == int(hs.encode("0x2e66"))
    assert explain(" 1e-3-2 ").exact == explain("1e-3 - 2").exact
    assert explain("1 \N{MULTIPLICATION SIGN} \N{MINUS SIGN}2").exact == -2
    assert explain("2 - -3").exact == 5


BAD = ["", " ", "abc", "1+2+3", "(1)", "1 + (2)", "exp", "exp()", "exp(1", "exp(1))", "fma(1,2)", "sqrt(1,2)", "1..2"]
BAD += ["--1", "-exp(1)", "1 2", "2**3", "1,5", "0x", "0xg", "0b11", "1e", "__import__('os')", "add(1,2)"]
BAD += [
    "1e5001",
    "1e99999999999999999999",
    "0x1p999999",
    "9" * 30000,
    "1+",
    "*2",
    "1\n+\0",
    "0b2",
    "1_",
    "\N{ARABIC-INDIC DIGIT ONE}",
]


@pytest.mark.parametrize("text", BAD)
def test_careless_text_gets_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="^x: ") as caught:
        explain(text)
    assert "\n" not in str(caught.value)
    assert "allowed" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("x", [None, [1], np.zeros(2), 1j, True, b"1", {}])
def test_what_is_no_number_is_a_type_error(x: object) -> None:
    with pytest.raises(TypeError, match="^x: .*allowed: str, int, float, Fraction, Decimal"):
        explain(x)


def test_patterns_outside_the_format() -> None:
    for text in ("0x12345", "-0x3c00", 65536, -1, 1 << 70):
        with pytest.raises(ValueError, match="^x: .*allowed"):
            explain(text, bits=True)


def test_unknown_words() -> None:
    with pytest.raises(ValueError, match="rounding: 'stochastic' is not allowed.*nearest_even"):
        explain(1, rounding="stochastic")
    with pytest.raises(ValueError, match="rounding: 'up'"):
        explain(1, rounding="up")
    with pytest.raises(ValueError, match="format: 'float17'"):
        explain(1, "float17")
