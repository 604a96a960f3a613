"""Arithmetic on elements: quotients and what remains of them, decimals, weights, signs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import halfsim as hs

O = hs.ops  # noqa: E741
VALUES = np.array([7.5, -7.5, 0.0, -0.0, 2.0, np.inf, np.nan, 1e-3])
DIVISORS = np.array([2.0, -2.0, 0.3, 0.0, np.inf, -0.75])


def leaf(x: Any, fmt: str = "fp64") -> hs.Tensor:
    return hs.tensor(np.asarray(x, np.float64), fmt, requires_grad=True)


@pytest.mark.parametrize(("ours", "numpys"), [("floor_divide", None), ("remainder", "remainder"), ("fmod", "fmod")])
def test_quotients_and_remainders_are_numpys(ours: str, numpys: str | None) -> None:
    a, b = (v.ravel() for v in np.meshgrid(VALUES, DIVISORS))
    with np.errstate(all="ignore"):
        expected = getattr(np, numpys or ours)(a, b)
    usual = np.isfinite(a) & (b != 0) & np.isfinite(b)
    got = getattr(O, ours)(leaf(a), leaf(b)).numpy()
    np.testing.assert_array_equal(got[usual], expected[usual])  # zeros have the sign of a, as in PyTorch
    if numpys:
        assert np.isnan(got[b == 0]).all()


def test_a_quotient_in_half_is_rounded_before_it_is_cut_off() -> None:
    """0.1 / -6.1e-05 is -1640.6, and -1641 in float16; by a number the quotient stays in float32: as in PyTorch."""
    a, b = hs.tensor(0.10003662109375, "fp16"), hs.tensor(-6.097555160522461e-05, "fp16")
    with hs.precision("fp16"):
        assert O.div(a, b, rounding_mode="trunc").item() == -1641
        assert O.div(a, float(b.item()), rounding_mode="trunc").item() == -1640
        assert O.floor_divide(hs.tensor(1.0, "fp16"), 0.1).item() == 9
    with pytest.raises(ValueError, match="rounding_mode: 'up' is not allowed; allowed: floor, trunc"):
        O.div(a, b, rounding_mode="up")


def test_gradients_of_remainders() -> None:
    for function, factor in ((O.fmod, 3.0), (O.remainder, 4.0)):
        a, b = leaf(-7.5), leaf(2.0)
        function(a, b).backward()
        assert a.grad is not None
        assert b.grad is not None
        assert (a.grad.item(), b.grad.item()) == (1, factor)


def test_decimals_are_rounded_in_steps() -> None:
    assert O.round(leaf(2.675), decimals=2).item() == np.rint(267.5) / 100
    assert O.round(leaf(1250.0), decimals=-2).item() == 1200
    with hs.precision("pure_fp16"):
        x = hs.tensor([1000.5, 0.125])
        assert O.round(x, decimals=2).numpy().tolist() == [math.inf, np.float16(0.12)]
    with pytest.raises(TypeError):
        O.round(leaf(1.0), 2)


def test_a_weight_may_be_a_tensor() -> None:
    a, b, w = leaf([0.0, 2.0]), leaf([4.0, 4.0]), leaf([0.25, -0.75])
    y = O.lerp(a, b, w)
    assert y.numpy().tolist() == [1, 0.5]
    y.sum().backward()
    assert w.grad is not None
    assert w.grad.numpy().tolist() == [4, 2]
    assert hs.gradcheck(O.lerp, (leaf([1.0, 3.0]), leaf([2.0, 2.5]), leaf([[0.3], [0.8]])))
    one = leaf([0.3])
    O.lerp(a, b, one).sum().backward()
    assert one.grad is not None
    assert one.grad.numpy().tolist() == [6]


def test_weights_below_minus_a_half_count_from_the_end() -> None:
    """PyTorch's kernel asks for the magnitude of the weight."""
    torch = pytest.importorskip("torch")
    a, b = np.float32(0.1), np.float32(1 / 3)
    for weight in (-0.6, -0.4, 0.4, 0.6):
        expected = torch.lerp(torch.tensor(a), torch.tensor(b), weight).item()
        assert O.lerp(hs.tensor(a), hs.tensor(b), weight).item() == expected


def test_signs_zeros_and_nan() -> None:
    x = np.array([1.5, -0.0, np.nan, -np.inf])
    got = O.copysign(leaf(x), leaf(-1.0)).numpy()
    assert np.signbit(got).all()
    assert O.heaviside(leaf([-1.0, 0.0, -0.0, 2.0, np.nan]), 0.5).numpy().tolist() == [0, 0.5, 0.5, 1, 0]
    assert not O.heaviside(leaf([1.0]), leaf([0.5])).requires_grad
    with hs.precision("fp16"):
        y = O.nan_to_num(hs.tensor([np.nan, np.inf, -np.inf, 3.0], "fp16"))
    assert y.numpy().tolist() == [0, 65504, -65504, 3]
    assert O.nan_to_num(leaf(x), 1.0, 2.0, 3.0).numpy().tolist() == [1.5, 0, 1, 3]
    assert O.fmax(leaf([1.0, np.nan]), leaf([np.nan, np.nan])).numpy().tolist()[0] == 1
    assert O.frac(leaf([-1.25, 2.0])).numpy().tolist() == [-0.25, 0]


def test_float_power_is_float64_whatever_is_in_force() -> None:
    with hs.precision("fp16"):
        y = O.float_power(hs.tensor([3.0], "fp16", requires_grad=True), 10.0)
        assert y.format == hs.float64
        assert y.item() == 59049
        y.backward()


def test_other_names_are_the_same_functions() -> None:
    for name, other in (
        ("subtract", "sub"),
        ("multiply", "mul"),
        ("divide", "div"),
        ("true_divide", "div"),
        ("negative", "neg"),
        ("absolute", "abs"),
        ("sgn", "sign"),
    ):
        assert getattr(O, name) is getattr(O, other)
    x = leaf(2.0)
    assert O.positive(x) is x
    assert O.positive(3.0).item() == 3
    assert O.rsub(x, 5.0, alpha=0.5).item() == 4
    assert O.clamp_min(x, 3.0).item() == O.clamp_max(leaf(4.0), 3.0).item() == 3


def test_integers_stay_integers() -> None:
    a, b = hs.tensor([-7, 7]), hs.tensor([2, -2])
    for got, expected in (
        (O.floor_divide(a, b), [-4, -4]),
        (O.div(a, b, rounding_mode="floor"), [-4, -4]),
        (O.div(a, b, rounding_mode="trunc"), [-3, -3]),
        (O.remainder(a, b), [1, -1]),
        (O.fmod(a, b), [-1, 1]),
        (O.heaviside(a, b), [0, 1]),
        (O.inner(a, b), -28),
        (O.diff(a), [14]),
        (O.diff(hs.tensor([True, True, False])), [False, True]),
        (O.addmv(a, hs.tensor([[1, 2], [3, 4]]), b, beta=2), [-16, 12]),
        (O.addr(a, a, b, beta=0), [[-14, 14], [14, -14]]),
        (O.linalg_cross(hs.tensor([1, 0, 0]), hs.tensor([0, 1, 0])), [0, 0, 1]),
        (O.trace(hs.tensor([[1, 2], [3, 4]])), 5),
    ):
        assert got.tolist() == expected
        assert got.dtype.name in ("int64", "bool")
    assert O.div(a, b).tolist() == [-3.5, -3.5]


def test_neighbours() -> None:
    x = hs.tensor([1.0, 1.0, 0.0, np.inf, np.nan], "fp16", requires_grad=True)
    y = O.nextafter(x, hs.tensor([2.0, 1.0, -1.0, 0.0, 0.0], "fp16"))
    np.testing.assert_array_equal(y.numpy(), [1 + 2.0**-10, 1, -(2.0**-24), 65504, np.nan])
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [1, 0, 1, 1, 1]
