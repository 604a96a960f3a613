"""Hopper's short accumulator: its sums against exact fractions, its claims on small matrices, and the whole."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from halfsim.gallery.literature import hopper
from halfsim.gallery.literature.hopper import ROW, UNIT, Operands, bits_kept, drawn
from halfsim.hardware.units import Unit, rows
from tests.hardware.references import nearest, tensor_core

SIDE = 1  # a walk of 4096 products in fractions takes a tenth of a second


@pytest.fixture(scope="module", params=["positive", "normal"])
def data(request: pytest.FixtureRequest) -> Operands:
    return drawn(request.param, 11, SIDE, hopper.DEPTH)


def walked(data: Operands, row: Unit, every: int = hopper.DEPTH) -> np.ndarray:
    """The error of a unit in exact fractions, begun anew ``every`` so many products and added up in float32."""
    a, b = (x.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) for x in (data.a, data.b))
    errors = np.empty((SIDE, SIDE))
    for i, j in np.ndindex(SIDE, SIDE):
        total = Fraction(0)
        for k in range(0, hopper.DEPTH, every):
            part = tensor_core(a[i, k : k + every].tolist(), b[k : k + every, j].tolist(), 0.0, row)
            total = nearest(total + Fraction(part), 24, -126)
        exact = sum((Fraction(x) * Fraction(y) for x, y in zip(a[i], b[:, j], strict=True)), Fraction(0))
        errors[i, j] = float(total - exact)
    return errors


def test_errors_are_those_of_exact_fractions(data: Operands) -> None:
    np.testing.assert_array_equal(data.off(UNIT), walked(data, ROW))
    np.testing.assert_array_equal(data.off(f"{UNIT}:blocked(128)"), walked(data, ROW, 128))


def test_other_rows_are_those_of_exact_fractions() -> None:
    data = drawn("positive", 12, SIDE, hopper.DEPTH)
    for row in (replace(ROW, digits=24), replace(ROW, fraction=25)):
        np.testing.assert_array_equal(data.off_on(row), walked(data, row))
    for name, device in (("blackwell", "B200"), ("ada", "RTX 4090")):
        np.testing.assert_array_equal(data.off(f"{device}:fp8_e4m3"), walked(data, rows(name)["fp8_e4m3", "fp32"]))


@pytest.mark.parametrize("rounding", ["toward_zero", "nearest_even"])
def test_fourteen_bits_after_exact_steps(rounding: str) -> None:
    data = drawn("positive", 13, SIDE, 320)
    got = hopper.accumulated(*data.narrow, f"{hopper.SHORT.spelled}:blocked(32)", rounding)
    for i, j in np.ndindex(SIDE, SIDE):
        total = Fraction(0)
        for k in range(0, 320, 32):
            a, b = data.narrow[0][i, k : k + 32], data.narrow[1][k : k + 32, j]
            total += sum((Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True)), Fraction(0))
            grain = Fraction(2) ** (math.frexp(float(total))[1] - 14)
            total = (math.trunc if rounding == "toward_zero" else round)(total / grain) * grain
        assert Fraction(got[i, j]) == total


def test_half_ulps_are_those_of_the_running_sums() -> None:
    data = drawn("positive", 14, SIDE, 256)
    found = 0.0
    for i, j in np.ndindex(SIDE, SIDE):
        products = data.narrow[0][i] * data.narrow[1][:, j]
        found += sum(2.0 ** (math.frexp(float(products[:k].sum()))[1] - 14) / 2 for k in range(32, 256, 32))
    assert math.isclose(data.half_ulps(), 100 * found / data.exact.sum())


def test_what_rounding_the_data_costs_is_apart(data: Operands) -> None:
    a, b = (x.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) for x in (data.a, data.b))
    np.testing.assert_array_equal(data.quantised, a @ b - data.a @ data.b)
    share = math.sqrt((data.quantised**2).mean() / (data.exact**2).mean())
    assert math.isclose(data.rms(data.quantised), 100 * share)


@pytest.mark.parametrize(("device", "bits"), [("H100", 14), ("RTX 4090", 14), ("B200", 26)])
def test_bits_that_a_unit_keeps(device: str, bits: int) -> None:
    assert bits_kept(device) == bits


def test_the_claims_on_small_matrices() -> None:
    """Fewer sums: the largest of them are smaller, all that is a mean is as of the whole."""
    claims, not_shown = hopper.measure(2, small=True)
    assert [claim.words.en for claim in claims if not claim.reproduced and "largest" not in claim.words.en] == []
    assert len(not_shown) == 4
    for claim in claims[1:]:
        assert len(claim.values) == 2
        assert claim.values[0] != claim.values[1]
    bias = claims[1]
    assert (bias.low, bias.high, bias.unit) == (-6.9, -6.3, "%")


@pytest.mark.slow
def test_the_whole() -> None:
    """2026-11-30: 18 of 18 reproduced, in 14 s of processor time."""
    claims, _ = hopper.measure(hopper.SEEDS)
    assert [claim.words.en for claim in claims if not claim.reproduced] == []
