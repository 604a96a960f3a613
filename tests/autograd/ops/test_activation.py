"""Activations: each step rounds, in the order that the docstrings say; corners as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import halfsim as hs
from halfsim.numerics.erf import erf
from tests.oracles import same

Half = Any  # np.float16 or np.float32: NumPy's arithmetic in either rounds every step


def f(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """An elementary function, rounded once to the dtype of its argument."""
    return function(x.astype(np.float64)).astype(x.dtype)


def q(x: np.ndarray) -> np.ndarray:
    """What memory keeps of a step of a gradient that PyTorch composes: a half."""
    return x.astype(np.float16).astype(x.dtype)


def logistic(x: np.ndarray, h: Half) -> np.ndarray:
    return h(1) / (h(1) + f(np.exp, -x))


def elu(alpha: float, scale: float, inner: float) -> tuple[Any, Any]:
    def forward(x: np.ndarray, h: Half) -> np.ndarray:
        k = h(alpha) * h(scale)
        return np.where(x > 0, x * h(scale), f(np.expm1, np.minimum(x, h(0)) * h(inner)) * k)

    def backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
        k = h(alpha) * h(scale)
        below = g * h(inner) * k * f(np.exp, np.minimum(x, h(0)) * h(inner))
        return np.where(x > 0, g * h(scale), below)

    return forward, backward


def gelu_tanh(x: np.ndarray, h: Half) -> np.ndarray:
    return f(np.tanh, h(sqrt(2 / pi)) * (x + h(0.044715) * (x * x * x)))


def mish_t(x: np.ndarray, h: Half) -> np.ndarray:
    return f(np.tanh, f(np.log1p, f(np.exp, x)))


def gelu_tanh_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    t = gelu_tanh(x, h)
    slope = h(sqrt(2 / pi)) * (h(1) + h(3) * h(0.044715) * (x * x))
    return g * (h(0.5) * (h(1) + t) + h(0.5) * x * (h(1) - t * t) * slope)


def gelu_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    cdf = h(0.5) * (h(1) + f(erf, x * h(sqrt(0.5))))
    pdf = f(np.exp, h(-0.5) * x * x) * h(1 / sqrt(2 * pi))
    return g * (cdf + x * pdf)


def softplus(x: np.ndarray, h: Half) -> np.ndarray:
    return np.where(x * h(2) > h(3), x, f(np.log1p, f(np.exp, x * h(2))) / h(2))


def softplus_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    z = f(np.exp, x * h(2))
    return np.where(x * h(2) > h(3), g, g * z / (z + h(1)))


def logsigmoid_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    z = f(np.exp, -np.abs(x))
    q = z / (h(1) + z)
    return g * np.where(x < 0, h(1) - q, q)


def silu_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    s = logistic(x, h)
    return g * s * (h(1) + x * (h(1) - s))


def mish_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    t = mish_t(x, h)
    return g * (t + x * logistic(x, h) * (h(1) - t * t))


def hardswish_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    return np.where(x <= -3, h(0), np.where(x < 3, g * (x / h(3) + h(0.5)), g))


def glu_backward(x: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    a, b = np.split(x, 2, -1)
    s = logistic(b, h)
    return np.concatenate([s * g, (h(1) - s) * s * g * a], -1)


STEPS: dict[str, tuple[Any, Any, Any]] = {
    "leaky_relu": (
        lambda x: hs.ops.leaky_relu(x, 0.3),
        lambda x, h: np.where(x > 0, x, x * h(0.3)),
        lambda x, g, h: np.where(x > 0, g, g * h(0.3)),
    ),
    "elu": (lambda x: hs.ops.elu(x, 0.7), *elu(0.7, 1.0, 1.0)),
    "selu": (hs.ops.selu, *elu(1.6732632423543772, 1.0507009873554805, 1.0)),
    "celu": (lambda x: hs.ops.celu(x, 0.7), *elu(0.7, 1.0, 1 / 0.7)),
    "gelu": (
        hs.ops.gelu,
        lambda x, h: x * h(0.5) * (h(1) + f(erf, x * h(sqrt(0.5)))),
        gelu_backward,
    ),
    "gelu tanh": (
        lambda x: hs.ops.gelu(x, "tanh"),
        lambda x, h: h(0.5) * x * (h(1) + gelu_tanh(x, h)),
        gelu_tanh_backward,
    ),
    "silu": (hs.ops.silu, lambda x, h: x / (h(1) + f(np.exp, -x)), silu_backward),
    "mish": (hs.ops.mish, lambda x, h: x * mish_t(x, h), mish_backward),
    "softplus": (lambda x: hs.ops.softplus(x, 2.0, 3.0), softplus, softplus_backward),
    "logsigmoid": (
        hs.ops.logsigmoid,
        lambda x, h: np.minimum(x, h(0)) - f(np.log1p, f(np.exp, -np.abs(x))),
        logsigmoid_backward,
    ),
    "hardtanh": (
        lambda x: hs.ops.hardtanh(x, -0.3, 1.7),
        lambda x, h: np.clip(x, h(-0.3), h(1.7)),
        lambda x, g, h: np.where((x > h(-0.3)) & (x < h(1.7)), g, h(0)),
    ),
    "relu6": (hs.ops.relu6, lambda x, h: np.clip(x, h(0), h(6)), lambda x, g, h: np.where((x > 0) & (x < 6), g, h(0))),
    "hardswish": (
        hs.ops.hardswish,
        lambda x, h: x * np.clip(x + h(3), h(0), h(6)) * h(1 / 6),
        hardswish_backward,
    ),
    "hardsigmoid": (
        hs.ops.hardsigmoid,
        lambda x, h: np.clip(x + h(3), h(0), h(6)) * h(1 / 6),
        lambda x, g, h: np.where(np.abs(x) < 3, g * h(1 / 6), h(0)),
    ),
    "softshrink": (
        lambda x: hs.ops.softshrink(x, 0.3),
        lambda x, h: np.where(x > h(0.3), x - h(0.3), np.where(x < -h(0.3), x + h(0.3), h(0))),
        lambda x, g, h: np.where(np.abs(x) > h(0.3), g, h(0)),
    ),
    "threshold": (
        lambda x: hs.ops.threshold(x, 0.3, 0.1),
        lambda x, h: np.where(x > h(0.3), x, h(0.1)),
        lambda x, g, h: np.where(x > h(0.3), g, h(0)),
    ),
    "glu": (hs.ops.glu, lambda x, h: x[..., :4] * logistic(x[..., 4:], h), glu_backward),
    "exp2": (hs.ops.exp2, lambda x, h: f(np.exp2, x), lambda x, g, h: q(g * q(f(np.exp2, x))) * h(np.log(2))),
    "erf": (
        hs.ops.erf,
        lambda x, h: f(erf, x),
        lambda x, g, h: q(q(f(np.exp, -q(x * x))) * h(2 / sqrt(pi))) * g,
    ),
    "rsqrt": (
        lambda x: hs.ops.rsqrt(hs.ops.abs(x)),
        lambda x, h: f(lambda v: 1 / np.sqrt(np.abs(v)), x),
        None,
    ),
    "pow 3": (lambda x: hs.ops.pow(x, 3), lambda x, h: x * x * x, lambda x, g, h: g * q(h(3) * q(x * x))),
    "log2": (lambda x: hs.ops.log2(hs.ops.abs(x)), lambda x, h: f(np.log2, np.abs(x)), None),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("compute", [np.float32, np.float16])
def test_results_are_the_rounded_steps_written_out(name: str, compute: Half, rng: np.random.Generator) -> None:
    """Under "fp16" each step is a float32 one and the store rounds; under "pure_fp16" each step rounds to half."""
    function, forward, backward = STEPS[name]
    x = (rng.standard_normal((40, 8)) * 3).astype(np.float16)
    with hs.precision("fp16" if compute is np.float32 else "pure_fp16"), np.errstate(all="ignore"):
        t = hs.tensor(x, requires_grad=True)
        y = function(t)
        np.testing.assert_array_equal(y.numpy(), forward(x.astype(compute), compute).astype(np.float16))
        if backward is None:
            return
        g = rng.standard_normal(y.shape).astype(np.float16)
        y.backward(g)
        assert t.grad is not None
        expected = backward(x.astype(compute), g.astype(compute), compute).astype(np.float16)
        np.testing.assert_array_equal(t.grad.numpy(), expected)


@pytest.mark.parametrize("name", ["relu", "silu", "gelu", "mish", "elu", "softplus", "hardswish", "leaky_relu", "glu"])
@settings(max_examples=10)
@given(shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
def test_shapes_stay(name: str, shape: tuple[int, ...]) -> None:
    if name == "glu":
        shape = (*shape, 2)
    x = hs.tensor(np.random.default_rng(0).uniform(0.2, 1.0, shape), "fp64", requires_grad=True)
    y = getattr(hs.ops, name)(x)
    assert y.shape == (shape if name != "glu" else (*shape[:-1], 1))
    assert hs.gradcheck(getattr(hs.ops, name), x)


@settings(max_examples=15)
@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4),
    axis=st.integers(-1, 0),
    name=st.sampled_from(["softmax", "log_softmax", "softmin"]),
)
def test_softmax_over_any_axis(shape: tuple[int, ...], axis: int, name: str) -> None:
    x = hs.tensor(np.random.default_rng(1).standard_normal(shape), "fp64")
    y = getattr(hs.ops, name)(x, axis).numpy()
    total = (np.exp(y) if name == "log_softmax" else y).sum(axis)
    np.testing.assert_allclose(total, np.ones(total.shape), rtol=1e-12)
    assert hs.gradcheck(lambda v: getattr(hs.ops, name)(v, axis), x)


INF, NAN = np.inf, np.nan
CORNERS: list[tuple[str, list[float], list[float], list[float]]] = [
    ("hardtanh", [-1, 1, NAN, INF], [-1, 1, NAN, 1], [0, 0, 1, 0]),
    ("relu6", [0, 6, NAN, -INF], [0, 6, NAN, 0], [0, 0, 1, 0]),
    ("hardswish", [-3, 3, -INF], [-0.0, 3, NAN], [0, 1, 0]),
    ("hardsigmoid", [-3, 3, NAN], [0, 1, NAN], [0, 0, 0]),
    ("leaky_relu", [0, -0.0, NAN], [0, -0.0, NAN], [0.01, 0.01, 0.01]),
    ("elu", [0, -0.0, NAN, -INF], [0, -0.0, NAN, -1], [1, 1, 1, 0]),
    ("selu", [0, -0.0, NAN], [0, -0.0, NAN], [1.7580993, 1.7580993, 1.050701]),
    ("logsigmoid", [0, -INF, INF], [-np.log(2), -INF, 0], [0.5, 1, 0]),
    ("silu", [-INF, INF, -100], [NAN, INF, -0.0], [NAN, NAN, 0]),
    ("gelu", [-INF, INF, -100], [NAN, INF, -0.0], [NAN, NAN, 0]),
    ("mish", [-INF, INF, 100], [NAN, INF, 100], [NAN, NAN, 1]),
    ("hardshrink", [0.5, -0.5, NAN], [0, 0, NAN], [0, 0, 1]),
    ("softshrink", [0.5, -0.5, NAN], [0, 0, NAN], [0, 0, 1]),
    ("softsign", [INF, 0], [NAN, 0], [NAN, 1]),
]


@pytest.mark.parametrize(("name", "x", "y", "g"), CORNERS, ids=[corner[0] for corner in CORNERS])
def test_corners_are_pytorchs(name: str, x: list[float], y: list[float], g: list[float]) -> None:
    t = hs.tensor(x, "fp32", requires_grad=True)
    out = getattr(hs.ops, name)(t)
    out.backward(np.ones(len(x)))
    assert t.grad is not None
    assert same(out.numpy(), np.float32(y)).all()
    np.testing.assert_array_equal(t.grad.numpy(), np.float32(g))


def test_branches_not_taken_raise_no_alarm() -> None:
    """exp(100) overflows in ELU's other branch, and 3000 squared in Huber's, but nobody looks at it."""
    with hs.precision("pure_fp16"), hs.trace() as t:
        x = hs.tensor([100.0, 3000.0], requires_grad=True)
        for name in ("elu", "selu", "celu", "mish", "softplus"):
            getattr(hs.ops, name)(x).sum().backward()
        hs.ops.huber_loss(x, np.zeros(2)).backward()
        hs.ops.smooth_l1_loss(x, np.zeros(2)).backward()
    assert t.first("overflow") is None
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.ops.softplus(hs.tensor([15.0]))
    assert t.first("overflow") is not None, "exp(15) is past 65504, and below the threshold it is taken"


def test_gelu_halves_its_argument_first() -> None:
    """Twice 60000 is past the largest half; half of it, doubled, is not."""
    with hs.precision("pure_fp16"):
        assert hs.ops.gelu(hs.tensor([60000.0])).item() == 60000


def test_softplus_and_silu_lose_in_half_what_float32_keeps() -> None:
    x = hs.tensor([12.0, -12.0], "fp16")
    with hs.precision("pure_fp16"):
        assert hs.ops.softplus(x).numpy().tolist() == [np.inf, np.float16(np.log1p(np.float16(np.exp(-12))))]
        assert hs.ops.silu(x).numpy()[1] == 0
    with hs.precision("fp16"):
        assert hs.ops.softplus(x).numpy()[0] == 12
        assert hs.ops.silu(x).numpy()[1] == np.float16(-12 / (1 + np.exp(12)))


def test_autocast_categories() -> None:
    half, wide = hs.tensor([[1.0, 2.0]], "fp16"), hs.tensor([[1.0, 2.0]], "fp32")
    weight = hs.tensor([0.25], "fp32")
    with hs.precision("amp"):
        assert hs.ops.prelu(wide, weight).format is hs.float16
        for name in ("softplus", "softmax", "log_softmax", "exp", "log", "pow", "rsqrt", "tan", "prod", "logsumexp"):
            args = (half, 2) if name == "pow" else (half,)
            assert getattr(hs.ops, name)(*args).format is hs.float32, name
        for name in ("gelu", "silu", "elu", "relu", "mish", "sigmoid", "tanh", "sin", "hardswish", "logsigmoid"):
            assert getattr(hs.ops, name)(half).format is hs.float16, name
            assert getattr(hs.ops, name)(wide).format is hs.float32, name
        assert hs.ops.cosine_similarity(half, half).format is hs.float32
        assert hs.ops.einsum("ij,kj->ik", wide, wide).format is hs.float16
        assert hs.ops.bilinear(half, wide, hs.tensor(np.ones((1, 2, 2)), "fp16")).format is hs.float32


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: hs.ops.gelu(hs.tensor([1.0]), "tahn"), ValueError, "approximate: 'tahn' is not allowed (did you mean"),
    (lambda: hs.ops.celu(hs.tensor([1.0]), 0.0), ValueError, "alpha: 0 is not allowed"),
    (lambda: hs.ops.hardtanh(hs.tensor([1.0]), 2, 1), ValueError, "min_val: 2 is above max_val 1"),
    (lambda: hs.ops.glu(hs.tensor([1.0, 2.0, 3.0])), ValueError, "glu: axis -1 of (3,) has no halves"),
    (
        lambda: hs.ops.prelu(hs.tensor([[1.0, 2.0]]), hs.tensor([1.0] * 3)),
        ValueError,
        "prelu: weight (3,) does not fit",
    ),
    (lambda: hs.ops.softmax(hs.tensor([1.0]), 1), ValueError, "axis: 1 is not allowed; allowed: -1 to 0"),
    (lambda: hs.ops.relu(None), TypeError, "relu: x is missing"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rule",
    ["fp64", "fp16", "bf16", "pure_fp16", "accumulate=exact", "storage=fp16, compute=fp16, accumulate=fp16:kahan"],
)
def test_a_number_has_a_softmax(rule: str) -> None:
    """And a running sum: a tensor without axes is a row of one."""
    with hs.precision(rule):
        for name, value, slope in (("softmax", 1, 0), ("softmin", 1, 0), ("log_softmax", 0, 0), ("cumsum", 3, 1)):
            for axis in (0, -1):
                x = hs.tensor(3.0, requires_grad=True)
                y = getattr(hs.ops, name)(x, axis)
                y.backward()
                assert x.grad is not None
                assert (y.shape, y.item(), x.grad.item()) == ((), value, slope), name
            with pytest.raises(ValueError, match="axis: 1 is not allowed; allowed: -1 to 0"):
                getattr(hs.ops, name)(x, 1)
    assert hs.nn.functional.log_softmax(hs.tensor(3.0)).shape == ()


def test_bounds_have_the_format_of_what_they_bound() -> None:
    """0.1 is 0.10009765625 in bfloat16, and lies on the bound, not above it; 1e-8 is zero in half."""
    for rule, value, bounds in (("bf16", 0.1, (None, 0.1)), ("bf16", -0.1, (-0.1, None)), ("fp16", 0.0, (1e-8, None))):
        with hs.precision(rule):
            x = hs.tensor([value], requires_grad=True)
            hs.ops.clamp(x, *bounds).backward(np.ones(1))
            assert x.grad is not None
            assert x.grad.item() == 1, (rule, value)
    with hs.precision("fp16"):
        x = hs.tensor([0.3, -0.3], requires_grad=True)
        y = hs.ops.hardshrink(x, 0.3)
        y.backward(np.ones(2))
        assert x.grad is not None
        assert y.numpy().tolist() == x.grad.numpy().tolist() == [0, 0]


def test_an_infinite_bound_takes_the_gradient() -> None:
    low = hs.tensor([np.inf], requires_grad=True)
    hs.ops.clamp(hs.tensor([1.0]), low).backward(np.ones(1))
    assert low.grad is not None
    assert low.grad.item() == 1


@pytest.mark.parametrize("lambd", [-0.5, float("nan")])
def test_softshrink_moves_towards_zero_only(lambd: float) -> None:
    with pytest.raises(ValueError, match="lambd: "):
        hs.ops.softshrink([1.0], lambd)


def test_prelu_stores_each_gradient_of_its_weight_before_it_sums_them() -> None:
    x, w = hs.tensor([-0.5, -0.5, -2048.0], "fp16"), hs.tensor([0.25], "fp16", requires_grad=True)
    g = np.array([1.0009765625, 1.0009765625, 1.0009765625], np.float16)
    hs.ops.prelu(x, w).backward(g)
    assert w.grad is not None
    products = (x.numpy() * g).astype(np.float32)  # float16's own products
    assert w.grad.item() == np.float16(products.sum())
    tiny = hs.tensor([-(2.0**-20)] * 64, "fp16")
    w.grad = None
    hs.ops.prelu(tiny, w).backward(np.full(64, 2.0**-6, np.float16))
    assert w.grad.item() == 0, "each product underflows, their sum would not"
