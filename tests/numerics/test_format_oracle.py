"""The oracle itself, against SoftFloat, NumPy and ml_dtypes; and a slice of the fuzz that it judges."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import softfloatpy as sf

import halfsim as hs
from tests.numerics.format_oracle import Oracle, Value, value
from tests.numerics.fuzz_formats import DOCS, KINDS, coded, fuzzed
from tests.oracles import HALVES

HALF = Oracle(5, 11)
MODES = {
    "nearest_even": sf.RoundingMode.NEAR_EVEN,
    "nearest_away": sf.RoundingMode.NEAR_MAX_MAG,
    "toward_zero": sf.RoundingMode.MIN_MAG,
    "upward": sf.RoundingMode.MAX,
    "downward": sf.RoundingMode.MIN,
}
EDGES = [
    0,
    1,
    2,
    0x3FF,
    0x400,
    0x401,
    0x1400,
    0x3BFF,
    0x3C00,
    0x3C01,
    0x4200,
    0x6400,
    0x7BFE,
    0x7BFF,
    0x7C00,
    0x7D00,
    0x7E00,
]


def decoded(code: int) -> Value:
    found = HALF.decode(code)
    assert found is not None
    return found


def softfloat(name: str, mode: str, *codes: int) -> tuple[int, int]:
    sf.set_rounding_mode(MODES[mode])
    sf.set_tininess_mode(sf.TininessMode.AFTER_ROUNDING)
    sf.set_exception_flags(0)
    result = getattr(sf, f"f16_{name}")(*(sf.Float16.from_bytes(code.to_bytes(2, "big")) for code in codes))
    return int.from_bytes(result.to_bytes(), "big"), int(sf.get_exception_flags())


@pytest.mark.parametrize("mode", MODES)
def test_operations_and_flags_are_softfloats(mode: str, rng: np.random.Generator) -> None:
    hard = [code | sign for code in EDGES for sign in (0, 0x8000)]
    pairs = [(a, b) for a in hard for b in hard] + rng.integers(0, 65536, (600, 2)).tolist()
    for name, ours in {"add": HALF.add, "sub": HALF.sub, "mul": HALF.mul, "div": HALF.div}.items():
        for a, b in pairs:
            code, flags = softfloat(name, mode, a, b)
            right = ours(decoded(a), decoded(b), mode)
            assert (HALF.encode(right.value), right.flags) == (coded(code, HALF), flags), (name, hex(a), hex(b))
    for a, b in pairs:
        code, flags = softfloat("sqrt", mode, a)
        right = HALF.sqrt(decoded(a), mode)
        assert (HALF.encode(right.value), right.flags) == (coded(code, HALF), flags), hex(a)
        c = (a * 7 + b) & 0xFFFF
        code, flags = softfloat("mul_add", mode, a, b, c)
        right = HALF.fma(decoded(a), decoded(b), decoded(c), mode)
        assert (HALF.encode(right.value), right.flags) == (coded(code, HALF), flags), (hex(a), hex(b), hex(c))


def test_codes_are_numpys() -> None:
    for code in range(0, 65536, 5):
        x = HALVES[code]
        assert decoded(code).same(value(x)), hex(code)
        assert HALF.encode(value(x)) in (code, None)


P3109 = {  # binary8p3 of the interim report (its table of values): bias 16, 0x80 is NaN, 0x7f infinity
    0x00: 0.0, 0x01: 2.0**-17, 0x03: 3 * 2.0**-17, 0x04: 2.0**-15, 0x40: 1.0, 0x7D: 2.0**15 * 1.25, 0x7E: 2.0**15 * 1.5,
    0x7F: np.inf, 0x80: np.nan, 0x81: -(2.0**-17), 0xC0: -1.0, 0xFF: -np.inf,
}  # fmt: skip


def test_p3109s_binary8p3_has_the_reports_values() -> None:
    oracle, fmt = Oracle(5, 3, "p3109", 16), hs.Format("binary8p3", 5, 3, specials="p3109", bias=16)
    for code, x in P3109.items():
        found = oracle.decode(code)
        assert found is not None
        assert found.same(value(x)), hex(code)
    np.testing.assert_array_equal(hs.decode(list(P3109), fmt), list(P3109.values()))
    np.testing.assert_array_equal(hs.encode(list(P3109.values()), fmt), list(P3109))


def test_a_slice_of_the_fuzz_finds_nothing() -> None:
    """Some 6,000 cases of every kind."""
    fuzz = fuzzed(6_000, 20261129)
    assert fuzz.wrong == {}
    assert set(fuzz.counts) == set(KINDS)


@pytest.mark.slow
def test_the_whole_fuzz_finds_nothing() -> None:
    """200,000 cases; docs/formats.md has the counts."""
    assert fuzzed(200_000, 1).wrong == {}


def test_the_page_records_a_whole_fuzz_without_a_wrong_case() -> None:
    page = Path(DOCS).read_text(encoding="utf-8")
    lines = page.partition("<!-- fuzz -->")[2].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")][2:]
    counted = {name: int(cases.replace(",", "")) for name, cases, _ in rows}
    assert [wrong for _, _, wrong in rows] == ["0"] * (len(KINDS) + 1)
    assert list(counted)[:-1] == list(KINDS)
    assert list(counted.values())[-1] == sum(list(counted.values())[:-1]) >= 200_000


def test_the_fuzz_sees_a_wrong_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mode that answers for another one, and a code that is one off, are found in every kind that they touch."""
    real = hs.round_to
    monkeypatch.setattr(hs, "round_to", lambda x, f, mode, **more: real(x, f, "nearest_even", **more))
    assert {key[0] for key in fuzzed(2_000, 1).wrong} >= {"round_to and its flags"}


def test_ml_dtypes_agrees_about_every_number_of_its_types() -> None:
    for name in ("float8_e4m3fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float4_e2m1fn", "float8_e3m4"):
        oracle, codes = Oracle.of(getattr(hs, name)), np.arange(1 << getattr(hs, name).bits, dtype=np.uint8)
        for code, x in enumerate(codes.view(getattr(ml_dtypes, name)).astype(float)):
            found = oracle.decode(code)
            assert found is not None
            assert found.same(value(x)), (name, hex(code))
