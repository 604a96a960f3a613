"""Attention in blocks: the bias by exact fractions, its conditions, and what training makes of it."""

from __future__ import annotations

from fractions import Fraction
from math import isnan

import numpy as np
import pytest

import halfsim as hs
from halfsim.gallery.literature import flash
from halfsim.gallery.literature.catalogue import measured
from halfsim.gallery.literature.flash import ARMS, KERNEL, error, pulled, remedied, trained


def nearest(x: Fraction, bits: int) -> Fraction:
    """The nearest number of so many bits, ties to even; no overflow, no subnormal numbers."""
    place = Fraction(1)
    while abs(x) >= place * 2**bits:
        place *= 2
    while abs(x) < place * 2 ** (bits - 1):
        place /= 2
    return round(x / place) * place


@pytest.mark.parametrize(("fmt", "bits"), [("bf16", 8), ("fp16", 11)])
def test_the_output_of_two_ones_is_a_sum_of_fractions_rounded(fmt: str, bits: int) -> None:
    """Python's fractions: the products summed, the sum in float32, in the format, and half of it."""
    values = -hs.round_to(np.random.default_rng(0).uniform(1, 2, (64, 50)), fmt)
    scores = np.full((64, 1), -10.0)
    scores[:2] = 4.0
    with hs.precision(f"storage={fmt}, compute={fmt}, accumulate=exact"):
        found = hs.ops.flash_attention([[1.0]], scores, values, scale=1.0).numpy()[0]
    small = Fraction(float(hs.round_to(np.exp(-14.0), fmt)))
    bias = []
    for column, got in zip(values.T, found, strict=True):
        products = [Fraction(float(v)) * (1 if i < 2 else small) for i, v in enumerate(column)]
        output = nearest(sum(products, Fraction()), bits)
        assert nearest(2 + 62 * small, bits) == 2
        assert Fraction(float(got)) == output / 2
        bias.append((output - sum(products, Fraction())) / Fraction(float(hs.ulp(float(output), fmt))))
    assert -0.4 < float(sum(bias, Fraction()) / 50) < -0.1
    assert min(map(float, bias)) < -0.45
    assert max(map(float, bias)) < 0.05, "no tie goes the other way"


def test_the_bias_and_its_conditions() -> None:
    few = {"columns": 1500}
    assert error(0, **few) == pytest.approx(-0.25, abs=0.02)
    assert error(0, sign=1.0, **few) == -error(0, **few)
    assert abs(error(0, ones=1, **few)) < 1e-3
    assert abs(error(0, depth=18.0, **few)) < 0.03
    assert error(0, depth=10.0, others=126, **few) < -0.7
    assert error(0, depth=10.0, others=254, **few) > 0.2
    assert abs(error(0, rule=KERNEL.format("{0}", "exact"), **few)) < 0.03
    assert abs(remedied(0, several=20, columns=1000)) < 0.05


def test_errors_of_one_sign_move_weights_that_exact_arithmetic_leaves() -> None:
    grown = {name: pulled(arm, 0, 12) for name, arm in ARMS.items()}
    assert grown["blocks"] > 1
    assert abs(grown["remedy"]) < grown["blocks"] / 3
    assert abs(grown["float32"]) < 0.01
    assert grown["kernel"] < 0


def test_a_layer_learns_to_recall() -> None:
    assert not isnan(trained(ARMS["blocks"], 0, 3))


@pytest.mark.slow
def test_the_paper() -> None:
    """3 runs, 66 s of processor time: all but the layer that learns to recall; 2026-11-30."""
    found = measured("flash")
    differs = [claim.words.en for claim in found.claims if not claim.reproduced]
    assert len(found.claims) == 14
    assert len(differs) == 2
    assert "recall" in differs[0]
    assert "remedy" in differs[1]
    assert flash.SEEDS == 3
