"""The rule of a scale: losses against ml_dtypes and integration, products against a precision, and the whole."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.gallery.literature import scales
from halfsim.gallery.literature.scales import LETTERS, NORMAL, RECIPES, Product, Rounded, expected, lost, spelled


def by_ml_dtypes(x: np.ndarray, spec: str) -> np.ndarray:
    """``x`` rounded with ml_dtypes' elements, and scales by the exponents of the largest magnitudes."""
    element = ml_dtypes.float8_e4m3fn if spec.startswith("mxfp8") else ml_dtypes.float4_e2m1fn
    largest = np.float32(ml_dtypes.finfo(element).max)
    blocks = x.reshape(-1, 32)
    amax = np.abs(blocks).max(1, keepdims=True)
    if "ceil" in spec:  # the smallest power of two under which nothing is past the largest
        exponents = np.frexp(amax)[1] - np.frexp(largest)[1]
        exponents += amax > np.ldexp(largest, exponents)
    else:
        exponents = np.frexp(amax)[1] - np.frexp(largest)[1]
        if "even" in spec:  # of the largest magnitude rounded to the digits of an element, which may make it 2
            exponents += (2 * np.frexp(amax)[0]).astype(element).astype(np.float32) == 2
    powers = np.ldexp(np.float32(1), exponents)
    return (np.clip(blocks / powers, -largest, largest).astype(element).astype(np.float32) * powers).reshape(x.shape)


@pytest.mark.parametrize("spec", [spec for spec in NORMAL if spec != "nvfp4"])
def test_what_is_lost_is_what_ml_dtypes_loses(spec: str) -> None:
    x = np.random.default_rng(0).standard_normal(1 << 16).astype(np.float32)
    y = by_ml_dtypes(x, spec).astype(np.float64)
    assert lost(x, spec).decibels == 10 * np.log10(np.sum(x.astype(np.float64) ** 2) / np.sum((y - x) ** 2))
    if "ceil" in spec:
        assert lost(x, spec).clipped == 0


@pytest.mark.parametrize("spec", NORMAL)
def test_what_is_lost_is_what_integration_expects(spec: str) -> None:
    found = lost(np.random.default_rng(1).standard_normal(1 << 18), spec)
    assert found.decibels == pytest.approx(expected(spec).decibels, abs=0.08)
    assert found.clipped == pytest.approx(expected(spec).clipped, abs=0.0005)


def gradients(layer: Any, x: hs.Tensor, precision: str) -> list[np.ndarray]:
    x.grad = layer.weight.grad = None
    with hs.reproducible(), hs.precision(precision):
        y = layer(x)
        (y * y).sum().backward()
    return [y.numpy(), x.grad.numpy(), layer.weight.grad.numpy()]


@pytest.mark.parametrize("spec", ["mxfp8_e4m3(rule=ceil)", "mxfp4"])
def test_products_are_those_of_a_precision_where_nothing_differs(spec: str) -> None:
    hs.manual_seed(0)
    layer = scales._Linear(48, 40)
    layer.how = Rounded(spec, spec)
    x = hs.randn(36, 48, requires_grad=True)
    own = gradients(layer, x, "fp32")
    layer.__class__ = hs.nn.Linear
    for mine, theirs in zip(own, gradients(layer, x, f"operands={spec}"), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_only_gradients_are_rounded_stochastically_and_only_those_of_weights_turned() -> None:
    hs.manual_seed(0)
    x, w = hs.randn(32, 64), hs.randn(48, 64)
    g = hs.randn(32, 48)

    class Kept:
        saved_tensors = (x, w)

        def save_for_backward(self, *tensors: Any) -> None: ...

    def both(turned: str, rounding: object) -> list[np.ndarray]:
        context: Any = Kept()
        y = Product.forward(context, x, w, Rounded("nvfp4", turned, rounding))
        return [y.numpy(), *(part.numpy() for part in Product.backward(context, g)[:2])]

    with hs.reproducible():
        plain = both("nvfp4", "nearest_even")
        turned = both("nvfp4(hadamard=16)", "nearest_even")
        draws = [both("nvfp4", hs.Stochastic(seed)) for seed in (1, 1, 2)]
        many = np.mean([both("nvfp4", hs.Stochastic(seed))[1] for seed in range(60)], 0)
    assert [(a == b).all() for a, b in zip(plain, turned, strict=True)] == [True, True, False]
    assert [(a == b).all() for a, b in zip(plain, draws[0], strict=True)] == [True, False, False]
    assert [(a == b).all() for a, b in zip(draws[0], draws[1], strict=True)] == [True, True, True]
    assert not (draws[0][1] == draws[2][1]).all()
    exact = g.numpy().astype(np.float64) @ hs.round_to(w.numpy(), "nvfp4", axis=0)
    assert np.square(many - exact).mean() < np.square(plain[1] - exact).mean() / 4  # right on average


def test_the_text_is_sums_in_words() -> None:
    letters = "".join(LETTERS[i] for i in scales.text(np.random.default_rng(0), 40))
    sums = {f"{spelled(a)} and {spelled(b)} make {spelled(a + b)}" for a in range(100) for b in range(100)}
    assert {*letters.removesuffix(". ").split(". ")} <= sums
    assert len(sums) == 10_000
    assert spelled(100) == "one hundred"


def test_a_small_run_has_every_claim() -> None:
    claims, told = scales.measure(2, small=True)
    assert len(claims) == len(NORMAL) + 4 + len(scales._TRAINED)
    assert all(np.isfinite(claim.values).all() and len(claim.values) == 2 for claim in claims)
    assert all(one.en and one.zh for one in told)
    assert {name for row in scales._TRAINED for name in row[:2]} == {*RECIPES}


@pytest.mark.slow
def test_all_but_two_results_hold() -> None:
    """2026-11-30: ceil 0.31 % above bfloat16, floor 0.48 % above ceil, NVFP4's recipe 2.5 % above float32."""
    with hs.reproducible():
        claims, _ = scales.measure(scales.SEEDS)
    off = [claim.words.en for claim in claims if not claim.reproduced]
    assert [words.removeprefix("training: loss of ") for words in off] == [
        "mxfp4 ceil above that of mxfp4 floor",
        "nvfp4 recipe above that of float32",
    ]
