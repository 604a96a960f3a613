"""Losses: rounded steps, reductions, weights, targets of every kind; what PyTorch refuses is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs

F = hs.nn.functional
Half = Any


def f(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    return function(x.astype(np.float64)).astype(x.dtype)


def q(x: np.ndarray) -> np.ndarray:
    """What memory keeps of a step: a half, on its way to the next one."""
    return x.astype(np.float16).astype(x.dtype)


def log_sigmoid(x: np.ndarray, h: Half) -> np.ndarray:
    return q(np.minimum(x, h(0)) - f(np.log1p, f(np.exp, -np.abs(x))))


def sigmoid(x: np.ndarray, h: Half) -> np.ndarray:
    return q(f(lambda v: 1 / (1 + np.exp(-v)), x))


def smooth(x: np.ndarray, t: np.ndarray, h: Half) -> np.ndarray:
    z, b = q(np.abs(x - t)), h(np.float16(0.7))
    return np.where(z < b, q(q(h(0.5) * z) * z) / b, z - q(h(0.5) * b))


def smooth_slope(x: np.ndarray, t: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    d = x - t
    return np.where(np.abs(d) < h(0.7), d / h(0.7), np.sign(d)) * g


def huber(x: np.ndarray, t: np.ndarray, h: Half) -> np.ndarray:
    z = np.abs(x - t)
    return np.where(z <= h(0.7), h(0.5) * z * z, h(0.7) * (z - h(0.5) * h(0.7)))


def weighted_logits(x: np.ndarray, t: np.ndarray, h: Half) -> np.ndarray:
    w = q(q((h(3) - h(1)) * t) + h(1))
    return q(q(h(1) - t) * x) - q(log_sigmoid(x, h) * w)


def weighted_logits_slope(x: np.ndarray, t: np.ndarray, g: np.ndarray, h: Half) -> np.ndarray:
    p = q(h(3) * t)
    return q(q(q(q(p + h(1)) - t) * sigmoid(x, h)) - p) * g


STEPS: dict[str, tuple[Any, Any, Any]] = {
    "mse_loss": (F.mse_loss, lambda x, t, h: q(x - t) * q(x - t), lambda x, t, g, h: q(q(x - t) * h(2)) * g),
    "smooth_l1_loss": (lambda *a, **k: F.smooth_l1_loss(*a, beta=0.7, **k), smooth, smooth_slope),
    "huber_loss": (
        lambda *a, **k: F.huber_loss(*a, delta=0.7, **k),
        huber,
        lambda x, t, g, h: np.clip(q(x - t), -h(np.float16(0.7)), h(np.float16(0.7))) * g,
    ),
    "binary_cross_entropy": (
        F.binary_cross_entropy,
        lambda x, t, h: q(q(t - h(1)) * q(f(np.log1p, -x))) - q(t * q(f(np.log, x))),
        lambda x, t, g, h: q(g * q(x - t)) / q(q(h(1) - x) * x),
    ),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits,
        lambda x, t, h: q(q(h(1) - t) * x) - log_sigmoid(x, h),
        lambda x, t, g, h: q(sigmoid(x, h) - t) * g,
    ),
    "with pos_weight": (
        lambda *a, **k: F.binary_cross_entropy_with_logits(*a, pos_weight=hs.tensor(3.0, "fp16"), **k),
        weighted_logits,
        weighted_logits_slope,
    ),
    "kl_div": (F.kl_div, lambda x, t, h: q(t * q(f(np.log, t))) - q(t * x), lambda x, t, g, h: -(t * g)),
    "kl_div of logarithms": (
        lambda *a, **k: F.kl_div(*a, log_target=True, **k),
        lambda x, t, h: q(f(np.exp, t)) * q(t - x),
        lambda x, t, g, h: -(q(f(np.exp, t)) * g),
    ),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("compute", [np.float32, np.float16])
def test_results_are_the_rounded_steps_written_out(name: str, compute: Half, rng: np.random.Generator) -> None:
    function, forward, backward = STEPS[name]
    x, t, g = (rng.uniform(0.05, 0.95, (20, 5)).astype(np.float16) for _ in range(3))
    with hs.precision("fp16" if compute is np.float32 else "pure_fp16"):
        a = hs.tensor(x, requires_grad=True)
        y = function(a, hs.tensor(t), reduction="none")
        y.backward(g)
    wide = [v.astype(compute) for v in (x, t, g)]
    np.testing.assert_array_equal(y.numpy(), forward(*wide[:2], compute).astype(np.float16))
    assert a.grad is not None
    np.testing.assert_array_equal(a.grad.numpy(), backward(*wide, compute).astype(np.float16))


def test_a_mean_is_taken_of_stored_losses() -> None:
    """As in PyTorch, where each loss is stored in half before `mean` reads it: 300 squared is lost, 255 is not."""
    x = hs.tensor([255.0, 1.0], "fp16", requires_grad=True)
    loss = F.mse_loss(x, np.zeros(2))
    assert loss.item() == np.float16((np.float32(np.float16(255.0**2)) + 1) / 2)
    loss.backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [255, 1]
    assert F.mse_loss(hs.tensor([300.0, 1.0], "fp16"), np.zeros(2)).item() == np.inf
    with hs.precision("amp"):
        assert F.mse_loss(hs.tensor([300.0, 0.0], "fp16"), np.zeros(2)).item() == 45000


def test_the_negative_log_likelihood_counts_and_weighs() -> None:
    log_p = hs.tensor(np.log([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]), "fp32", requires_grad=True)
    weight = hs.tensor([1.0, 3.0, 0.0])
    each = F.nll_loss(log_p, [0, 1], weight, reduction="none").numpy()
    np.testing.assert_allclose(each, [np.log(2), 3 * np.log(2)], rtol=1e-6)
    mean = F.nll_loss(log_p, hs.tensor([0, 1]), weight)
    assert mean.item() == pytest.approx(np.log(2))
    mean.backward()
    assert log_p.grad is not None
    np.testing.assert_allclose(log_p.grad.numpy(), [[-0.25, 0, 0], [0, -0.75, 0]])
    assert F.nll_loss(log_p, [-100, 1]).item() == pytest.approx(np.log(2))
    assert F.nll_loss(log_p, [255, 1], ignore_index=255).item() == pytest.approx(np.log(2))
    assert F.nll_loss(log_p, [0, 2], ignore_index=2, reduction="none").numpy()[1] == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_a_mean_of_nothing_is_nan(smoothing: float) -> None:
    x = hs.tensor([[1.0, 2.0]], requires_grad=True)
    loss = F.cross_entropy(x, [-100], label_smoothing=smoothing)
    assert np.isnan(loss.item())
    assert F.cross_entropy(x, [-100], reduction="sum", label_smoothing=smoothing).item() == 0
    assert np.isnan(F.cross_entropy(hs.tensor(np.zeros((0, 2))), np.zeros(0, int)).item())
    assert np.isnan(F.cross_entropy(x, [1], hs.tensor([1.0, 0.0])).item())
    assert np.isnan(F.cross_entropy(hs.tensor(np.zeros((0, 2))), np.zeros((0, 2))).item())


@settings(max_examples=25)
@given(
    rows=st.integers(1, 3),
    classes=st.integers(1, 4),
    pixels=st.lists(st.integers(1, 2), max_size=2),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    smoothing=st.sampled_from([0.0, 0.3]),
    weighted=st.booleans(),
)
def test_classes_are_sharp_probabilities(
    rows: int, classes: int, pixels: list[int], reduction: str, smoothing: float, weighted: bool
) -> None:
    rng = np.random.default_rng(rows * 31 + classes)
    labels = rng.integers(0, classes, (rows, *pixels))
    sharp = np.moveaxis(np.eye(classes)[labels], -1, 1)
    x = hs.tensor(rng.standard_normal((rows, classes, *pixels)), "fp64")
    weight = hs.tensor(rng.uniform(0.5, 2, classes), "fp64") if weighted and reduction != "mean" else None
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    a = F.cross_entropy(x, labels, weight, **options)
    b = F.cross_entropy(x, hs.tensor(sharp, "fp64"), weight, **options)
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
    assert hs.gradcheck(lambda t: F.cross_entropy(t, labels, weight, **options), x)


def test_arrays_adopt_the_format_of_the_tensor() -> None:
    """NumPy's targets and weights are float64, but widen no loss."""
    x = hs.tensor(np.full((2, 3), 0.5), "fp16", requires_grad=True)
    target, weight = np.full((2, 3), 0.25), np.ones(3)
    with hs.precision("amp"):
        formats = {
            F.cross_entropy(x, target, weight, label_smoothing=0.1).format,
            F.cross_entropy(x, [0, 1], weight, label_smoothing=0.1).format,
            F.mse_loss(x, target, weight=target).format,
            F.l1_loss(x, target).format,
            F.binary_cross_entropy_with_logits(x, target, weight, pos_weight=weight).format,
            F.cosine_embedding_loss(x, x, [1, -1]).format,
            F.kl_div(x, target, reduction="batchmean").format,
        }
    assert formats == {hs.float32}
    assert F.cross_entropy(x, target, weight, label_smoothing=0.1).format is hs.float16
    assert F.mse_loss(x, target, weight=target).format is hs.float16


def test_binary_cross_entropy_clamps_logarithms_and_is_banned_under_autocast() -> None:
    x = hs.tensor([0.0, 1.0, np.nan], "fp32", requires_grad=True)
    loss = F.binary_cross_entropy(x, [1.0, 0.0, 1.0], reduction="none")
    assert loss.numpy()[:2].tolist() == [100, 100]
    assert np.isnan(loss.numpy()[2])
    loss[:2].sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy()[:2], [-1e12, 1e12], rtol=1e-6)
    with hs.precision("amp"):
        with pytest.raises(RuntimeError, match="unsafe under autocast.*binary_cross_entropy_with_logits"):
            F.binary_cross_entropy(x, [1.0, 0.0, 1.0])
        with hs.precision("fp32"):
            F.binary_cross_entropy(x.detach()[:2], [1.0, 0.0])


def test_half_loses_the_constants_of_losses() -> None:
    """1e-12 is zero in half: a saturated probability divides by it, and two zero vectors have no cosine."""
    with hs.precision("pure_fp16"):
        x = hs.tensor([1.0], requires_grad=True)
        F.binary_cross_entropy(x, [0.0]).backward()
        assert x.grad is not None
        assert x.grad.item() == np.inf
        zeros = hs.tensor(np.zeros((1, 2)))
        assert np.isnan(F.cosine_embedding_loss(zeros, zeros, [1]).item())
        assert np.isnan(F.normalize(zeros).numpy()).all()
    assert F.cosine_embedding_loss(np.zeros((1, 2)), np.zeros((1, 2)), [1]).item() == 1


def test_logits_far_out_keep_their_gradient() -> None:
    x = hs.tensor([-15.0], "fp16", requires_grad=True)
    F.binary_cross_entropy_with_logits(x, [0.0]).backward()
    assert x.grad is not None
    assert x.grad.item() == np.float16(1 / (1 + np.exp(15)))


def test_the_old_flags_choose_the_reduction() -> None:
    x, t = hs.tensor([1.0, 3.0]), np.zeros(2)
    assert F.mse_loss(x, t, size_average=False).item() == 10
    assert F.mse_loss(x, t, reduce=False).shape == (2,)
    assert F.mse_loss(x, t, True, True).item() == 5
    assert F.smooth_l1_loss(x, t, beta=0).item() == F.l1_loss(x, t).item() == 2


def test_a_broadcast_target_is_warned_of() -> None:
    for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss):
        with pytest.warns(UserWarning, match=r"target \(2,\) and input \(2, 1\) are broadcast"):
            assert loss(hs.tensor([[1.0], [2.0]]), np.zeros(2), reduction="none").shape == (2, 2)


X, P = hs.tensor(np.zeros((2, 3))), hs.tensor(np.full((2, 3), 0.5))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: F.mse_loss(X, X, reduction="avg"), ValueError, "reduction: 'avg' is not allowed"),
    (lambda: F.kl_div(X, X, reduction="batchmaen"), ValueError, "did you mean 'batchmean'"),
    (lambda: F.mse_loss(X, X, weight=[1.0]), ValueError, "weight: shape (1,) does not fit (2, 3)"),
    (lambda: F.smooth_l1_loss(X, X, beta=-1.0), ValueError, "beta: -1.0 is not allowed"),
    (lambda: F.huber_loss(X, X, delta=0.0), ValueError, "delta: 0.0 is not allowed"),
    (
        lambda: F.binary_cross_entropy(P, P[0]),
        ValueError,
        "binary_cross_entropy: target (3,) does not fit input (2, 3)",
    ),
    (lambda: F.binary_cross_entropy(P + 1.0, P), ValueError, "binary_cross_entropy: input outside 0 to 1"),
    (lambda: F.binary_cross_entropy_with_logits(X, P[0]), ValueError, "target (3,) does not fit input (2, 3)"),
    (lambda: F.cross_entropy(X, [0, 1], [1.0]), ValueError, "weight: shape (1,) is not allowed; allowed: (3,)"),
    (lambda: F.cross_entropy(X, P, [1.0]), ValueError, "weight: shape (1,) is not allowed; allowed: (3,)"),
    (lambda: F.cross_entropy(X, [0, 1], label_smoothing=1.1), ValueError, "label_smoothing: 1.1 is not allowed"),
    (lambda: F.cross_entropy(X, P, ignore_index=1), ValueError, "ignore_index: 1 is not allowed with probabilities"),
    (lambda: F.cross_entropy(X, np.zeros((2, 3), int)), ValueError, "target: shape (2, 3) does not fit input (2, 3)"),
    (lambda: F.cross_entropy(X, [0, 3]), ValueError, "target: classes 0 to 3; allowed: 0 to 2"),
    (lambda: F.cross_entropy(X, hs.tensor([0.5, 1.0])), TypeError, "target: dtype float32 is not allowed"),
    (lambda: F.cross_entropy(X, "ab"), TypeError, "target"),
    (lambda: F.nll_loss(hs.tensor(1.0), 0), ValueError, "target: shape () does not fit input ()"),
    (lambda: F.cosine_embedding_loss(X, X[0], [1, 1]), ValueError, "target: shape (2,) does not fit inputs (2, 3)"),
    (lambda: F.one_hot([0, 3], 3), ValueError, "tensor: classes do not fit num_classes=3"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mean_shares_its_gradient_as_pytorchs_kernels_do() -> None:
    """Mean squares take the factor 2 / n, as stored; the cross entropies divide by n at the end, not at the beginning.

    1 / 50,000 is a subnormal half of nine bits, and twice that another; halved after the product, nothing is lost.
    """
    n = 50000
    with hs.precision("fp16"):
        x = hs.tensor(np.full(n, 3.0), requires_grad=True)
        F.mse_loss(x, np.zeros(n)).backward(np.float16(1000))
        assert x.grad is not None
        assert x.grad.numpy()[0] == np.float16(np.float32(np.float16(np.float16(2 / n) * 3)) * 1000)
        x = hs.tensor(np.zeros(n), requires_grad=True)
        F.binary_cross_entropy_with_logits(x, np.zeros(n)).backward(np.float16(1000))
        assert x.grad is not None
        assert x.grad.numpy()[0] == np.float16(500 / n)


@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "huber_loss", "kl_div", "l1_loss"])
def test_means_of_nothing(name: str) -> None:
    x = hs.tensor(np.zeros(0), requires_grad=True)
    y = getattr(F, name)(x, np.zeros(0))
    assert np.isnan(y.item())
    y.backward()
    assert x.grad is not None
    assert x.grad.shape == (0,)


def test_a_step_that_is_stored_overflows_there() -> None:
    """60000 + 60000 is infinite in half, though half of ... less 0.5 would not be, were the difference kept wide."""
    a, b = hs.tensor([60000.0], "fp16"), hs.tensor([-60000.0], "fp16")
    with hs.trace() as t:
        F.l1_loss(a, b)
    assert t.first("overflow").op == "sub"
    with hs.trace() as t:
        F.binary_cross_entropy_with_logits(a, b)
    assert t.first("overflow").op == "binary_cross_entropy_with_logits"


def test_a_flush_on_the_way_to_a_zero_is_counted() -> None:
    """0.5 * z * z is flushed before it is divided by beta: the loss is a zero that is none."""
    x = hs.tensor([2.0**-13, 1.0], "fp16")
    with hs.precision("fp16"), hs.trace() as t:
        assert F.smooth_l1_loss(x, np.zeros(2), reduction="none", beta=2.0**-12).numpy().tolist()[0] == 0
    assert t.totals["forward", "", "smooth_l1_loss", ""].flushed == 1


@pytest.mark.parametrize("name", ["kl_div", "binary_cross_entropy_with_logits", "mse_loss", "huber_loss", "l1_loss"])
def test_a_policy_names_a_loss(name: str) -> None:
    """Whatever steps it is made of, and their means."""
    x, target = hs.tensor([300.0, 0.5], "fp16", requires_grad=True), hs.tensor([0.25, 0.75], "fp16")
    with hs.precision(hs.Policy({"default": "fp16", f"@{name}": "fp32"})):
        loss = getattr(F, name)(x, target)
    assert loss.format == hs.float32
    with hs.precision("fp32"):
        assert loss.item() == getattr(F, name)(x, target).item()
