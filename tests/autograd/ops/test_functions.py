"""Elementary and special functions: values and gradients beside PyTorch's, poles, rounding modes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.ops.special import SPECIAL

O = hs.ops  # noqa: E741


def leaf(x: Any, fmt: str = "fp64") -> hs.Tensor:
    return hs.tensor(np.asarray(x, np.float64), fmt, requires_grad=True)


def test_the_table_of_special_functions_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    x = np.array([0.3, 0.6, 0.9])
    for name, ours in SPECIAL.items():
        given: dict[str, tuple[Any, ...]] = {"polygamma": (2,), "xlogy": (x,), "xlog1py": (x,), "zeta": (x + 1,)}
        if name == "polygamma":
            continue
        args = {"softmax": (0,), "log_softmax": (0,), "logsumexp": (0,), "multigammaln": (1,)}.get(name, ())
        more = given.get(name, ())
        first = x + 1.5 if name == "zeta" else x
        expected = getattr(torch.special, name)(torch.tensor(first), *map(torch.tensor, more), *args)
        got = getattr(O, ours)(hs.tensor(first, "fp64"), *(hs.tensor(v, "fp64") for v in more), *args)
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-12, err_msg=name)
    for n in range(4):
        t, h = torch.tensor(x, requires_grad=True), leaf(x)
        torch.special.polygamma(n, t).sum().backward()
        O.polygamma(n, h).sum().backward()
        assert h.grad is not None
        np.testing.assert_allclose(h.grad.numpy(), t.grad.numpy(), rtol=1e-8)  # PyTorch's trigamma is as good


def test_known_values() -> None:
    for got, expected in (
        (O.lgamma(leaf(5.0)), math.log(24)),
        (O.polygamma(1, leaf(1.0)), math.pi**2 / 6),
        (O.mvlgamma(leaf(3.0), 2), math.log(math.pi) / 2 + math.lgamma(3) + math.lgamma(2.5)),
        (O.i0(leaf(1.0)), 1.2660658777520084),
        (O.atan2(leaf(1.0), leaf(-1.0)), 3 * math.pi / 4),
        (O.hypot(leaf(3e200), leaf(4e200)), 5e200),
        (O.logaddexp(leaf(1000.0), leaf(1000.0)), 1000 + math.log(2)),
        (O.logaddexp2(leaf(-3.0), leaf(-3.0)), -2),
        (O.log_ndtr(leaf(-40.0)), -804.608442013754),
        (O.erfinv(O.erf(leaf(0.7))), 0.7),
        (O.deg2rad(leaf(180.0)), math.pi),
        (O.entr(leaf(math.e)), -math.e),
    ):
        assert got.item() == pytest.approx(expected, rel=1e-14)


def test_poles_and_domains() -> None:
    inf, nan = math.inf, math.nan
    for function, x, expected in (
        (O.atanh, [1.0, -1.0, 2.0], [inf, -inf, nan]),
        (O.acosh, [1.0, 0.5, inf], [0, nan, inf]),
        (O.erfinv, [1.0, -1.0, 1.5], [inf, -inf, nan]),
        (O.lgamma, [0.0, -3.0, inf], [inf, inf, inf]),
        (O.digamma, [0.0, -0.0, -1.0], [-inf, inf, nan]),
        (O.logit, [0.0, 1.0, 1.5], [-inf, inf, nan]),
        (O.entr, [0.0, -1.0, nan], [0, -inf, nan]),
        (O.sinc, [0.0, inf, 0.5], [1, nan, 2 / math.pi]),
        (lambda t: O.xlogy(0.0, t), [0.0, inf, nan], [0, 0, nan]),
        (lambda t: O.logaddexp(t, t), [inf, -inf, nan], [inf, -inf, nan]),
        (lambda t: O.zeta(2.0, t), [0.0, -1.0, inf], [inf, inf, 0]),
    ):
        np.testing.assert_allclose(function(leaf(x)).numpy(), expected, rtol=1e-14)


def test_gradients_at_edges() -> None:
    """As PyTorch's: 0 for the angle at zero, 0 or NaN for logit out of its domain."""
    x, y = leaf([0.0, 3.0]), leaf([0.0, 4.0])
    O.atan2(x, y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    np.testing.assert_allclose([x.grad.numpy(), y.grad.numpy()], [[0, 4 / 25], [0, -3 / 25]])
    for eps, expected in ((None, [np.nan, 4, np.nan]), (0.25, [0, 4, 0])):
        x = leaf([-0.5, 0.5, 1.5])
        O.logit(x, eps).sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), expected)
    x = leaf([0.0, 1e-20, 1.0])
    O.sinc(x).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, -1], atol=1e-15)
    for function in (O.i1, O.i1e):
        x = leaf([0.0])
        function(x).backward()
        assert x.grad is not None
        assert x.grad.item() == 0.5


def test_the_gradient_of_zeta_is_refused_for_its_first_operand() -> None:
    x = leaf(2.0)
    with pytest.raises(NotImplementedError, match="zeta: a gradient for x is not allowed"):
        O.zeta(x, 1.0).backward()
    assert hs.gradcheck(lambda q: O.zeta(2.5, q), hs.tensor([0.7, 2.0], "fp64"))


@pytest.mark.parametrize("name", ["asinh", "atanh", "erfc", "erfinv", "lgamma", "i0", "i1", "erfcx", "ndtri"])
def test_directed_modes_enclose_the_value(name: str) -> None:
    """Rounded downwards and upwards, neighbours in half are the nearest on either side of the float64 value."""
    x = hs.tensor(np.linspace(0.03, 0.97, 41), "fp16")
    call = getattr(O, name)
    with hs.precision("fp64"):
        truth = call(x).numpy()
    found = []
    for mode in ("downward", "upward"):
        with hs.precision(f"storage=fp16, compute=fp16, rounding={mode}"):
            found.append(call(x).numpy().astype(np.float64))
    low, high = found
    assert (low <= truth).all()
    assert (high >= truth).all()
    assert (low < high).sum() > 30
    np.testing.assert_array_equal(
        high, np.where(low == high, low, np.nextafter(low.astype(np.float16), np.float16(np.inf)))
    )


def test_functions_of_two_are_rounded_once_in_half() -> None:
    a, b = np.float16(1.1), np.float16(-2.3)
    with hs.precision("pure_fp16"):
        assert O.atan2(hs.tensor(a), hs.tensor(b)).item() == np.float16(math.atan2(a, b))
        assert O.hypot(hs.tensor(a), hs.tensor(b)).item() == np.float16(math.hypot(a, b))


def test_ldexp_keeps_the_power_in_half() -> None:
    x = hs.tensor([2.0**-14], "fp16")
    with hs.precision("fp16"):
        assert O.ldexp(x, hs.tensor([16.0], "fp16")).item() == math.inf
        assert O.ldexp(x, hs.tensor([15.0], "fp16")).item() == 2


def test_poles_are_no_overflow_in_a_trace() -> None:
    with hs.precision("fp16"), hs.trace() as t:
        O.atanh(hs.tensor([1.0, 0.5], "fp16"))
        O.lgamma(hs.tensor([0.0, 0.5], "fp16"))
    assert [(e.op, e.counts.divide_by_zero, e.counts.overflow) for e in t.events()] == [
        ("atanh", 1, 0),
        ("lgamma", 1, 0),
    ]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: O.polygamma(-1, leaf(1.0)), "n: -1 is not allowed; allowed: integers from 0"),
        (lambda: O.mvlgamma(leaf(1.0), 0), "p: 0 is not allowed; allowed: integers from 1"),
    ],
)
def test_bad_input_gets_one_line(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert str(caught.value) == text


def test_mvlgamma_is_one_operation_with_both_gradients() -> None:
    x = hs.tensor([3.0, 4.5], "fp64", requires_grad=True)
    assert hs.gradcheck(lambda t: O.mvlgamma(t, 3), x)
    (g,) = hs.autograd.grad([O.mvlgamma(x, p=2).sum()], [x], create_graph=True)
    g.sum().backward()
    assert x.grad is not None
    expected = [sum(O.polygamma(1, leaf(v - k / 2)).item() for k in range(2)) for v in (3.0, 4.5)]
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-13)


def test_mvlgamma_sums_its_gradients_before_they_meet_the_gradient_of_the_result() -> None:
    x = hs.tensor([3.0], "fp16", requires_grad=True)
    O.mvlgamma(x, 2).backward(np.array([0.1], np.float16))
    total = np.float16(sum(np.float16(O.digamma(leaf(v)).item()).astype(np.float32) for v in (2.5, 3.0)))
    assert x.grad is not None
    assert x.grad.item() == np.float16(np.float32(np.float16(0.1)) * np.float32(total))
