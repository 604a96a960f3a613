"""Where the codes of a format begin and end: each kind against a list of what its codes stand for."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.layout import codes, layout

# Formats of 4 bits, by what their codes 0, 1, ... stand for, written out by hand.
INF, NAN = float("inf"), float("nan")
SMALL = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
BY_HAND = [
    (hs.Format("none", 2, 2, "none"), [*SMALL, *(-x for x in SMALL)]),
    (hs.Format("ieee", 2, 2), [*SMALL[:6], INF, NAN, *(-x for x in SMALL[:6]), -INF, NAN]),
    (hs.Format("nan", 2, 2, "nan"), [*SMALL[:7], NAN, *(-x for x in SMALL[:7]), NAN]),
    (hs.Format("fnuz", 2, 2, "fnuz"), [*SMALL, NAN, *(-x for x in SMALL[1:])]),
    (hs.Format("p3109", 2, 2, "p3109"), [*SMALL[:7], INF, NAN, *(-x for x in SMALL[1:7]), -INF]),
    (hs.Format("bias", 2, 2, "none", bias=0), [*(2 * x for x in SMALL), *(-2 * x for x in SMALL)]),
    (hs.Format("zero", 2, 2, "none", zero_field="zero"), [0.0, 0.0, *SMALL[2:], -0.0, -0.0, *(-x for x in SMALL[2:])]),
    (hs.Format("lone", 2, 2, "fnuz", zero_field="zero"), [0.0, 0.0, *SMALL[2:], NAN, 0.0, *(-x for x in SMALL[2:])]),
    (hs.Format("normal", 2, 2, "none", zero_field="normal"), [s * x for s in (1, -1) for x in (0.5, 0.75, *SMALL[2:])]),
    (hs.Format("unsigned", 2, 3, "nan", signed=False),
     [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, NAN]),
    (hs.Format("powers", 4, 1, "nan", signed=False, zero_field="normal"), [*(2.0**e for e in range(-7, 8)), NAN]),
]  # fmt: skip


@pytest.mark.parametrize(("fmt", "values"), BY_HAND, ids=lambda x: getattr(x, "name", ""))
def test_codes_stand_for_these_numbers(fmt: hs.Format, values: list[float]) -> None:
    got, expected = hs.decode(np.arange(16), fmt), np.array(values)
    assert np.array_equal(got, expected, equal_nan=True)
    assert np.array_equal(np.signbit(got)[got == 0], np.signbit(expected)[expected == 0])
    back = hs.decode(hs.encode(got, fmt), fmt)
    assert np.array_equal(back, got, equal_nan=True)
    assert fmt.max == max(x for x in values if np.isfinite(x))
    assert fmt.min == min(x for x in values if np.isfinite(x))
    assert fmt.smallest_subnormal == min(x for x in values if x > 0)


@pytest.mark.parametrize(("fmt", "values"), BY_HAND, ids=lambda x: getattr(x, "name", ""))
def test_every_layer_reads_the_same_table(fmt: hs.Format, values: list[float]) -> None:
    """Neighbours, classes, the order and explanations, each against the list of values."""
    every, numbers = np.arange(16), np.array(values)
    finite = np.unique(numbers[np.isfinite(numbers)])
    for i, x in enumerate(finite[:-1]):
        assert hs.next_up(x, fmt) == finite[i + 1]
        assert hs.next_down(finite[i + 1], fmt) == x
    kinds = hs.ieee.classify(every, format=fmt)[0]
    for code, x, kind in zip(every.tolist(), numbers.tolist(), kinds.tolist(), strict=True):
        said = "nan" if np.isnan(x) else "infinity" if np.isinf(x) else "zero" if x == 0 else "normal"
        if x != 0 and abs(x) < fmt.smallest_normal:
            said = "subnormal"
        assert kind.endswith(said)
        e = hs.explain(code, fmt, bits=True)
        assert e.result.kind.lower() == said
        assert e.result.value is None or float(e.result.value) == x
        again = code if x else code & 8 if fmt.minus_zero else 0  # code 1 stands for zero without subnormal numbers
        assert e.result.hex == hex(again)
        assert str(e)
        assert "<svg" in e.svg()
    is_nan = np.isnan(numbers)
    less = hs.ieee.lt_quiet(every[:, None], every, format=fmt)[0]
    assert np.array_equal(less, numbers[:, None] < numbers)
    above = hs.decode(hs.ieee.next_up(every, format=fmt)[0], fmt)
    for x, up in zip(numbers[~is_nan], above[~is_nan], strict=True):
        bigger = [y for y in numbers if y > x]
        if bigger:
            assert up == min(bigger)
        else:
            assert up == x or np.isnan(up)  # infinity, or the largest number of a format without NaN


@pytest.mark.parametrize("fmt", [fmt for fmt, _ in BY_HAND], ids=str)
def test_magnitudes_and_signs_make_the_code_again(fmt: hs.Format) -> None:
    lay, every = layout(fmt), np.arange(16)
    magnitude, sign = lay.parts(every)
    again = lay.code(magnitude, sign)
    kept = (fmt.zero_field != "zero") | ((every & 7) != 1)  # which is another code of zero
    assert np.array_equal(again[kept], every[kept])
    for code in range(16):
        assert lay.parts(code) == (magnitude[code], sign[code])


def test_codes_are_checked() -> None:
    assert codes([0, 255], hs.float8_e4m3fnuz).tolist() == [0, 255]
    for bad in ([256], [-1], [16]):
        fmt = hs.float8_e4m3fnuz if bad != [16] else hs.float4_e2m1fn
        with pytest.raises(ValueError, match="^codes: allowed are codes from 0 to "):
            codes(bad, fmt, "codes")
    with pytest.raises(TypeError, match="^bits: dtype float64 is not allowed; allowed: integers$"):
        codes(np.ones(1), hs.float16)
