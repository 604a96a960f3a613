"""Clipping: PyTorch's formula and its edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import halfsim as hs
from halfsim.nn.utils import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from tests.recorded.training import NORM_TYPES

RECORDED = np.load(Path(__file__).parents[2] / "recorded" / "training.npz")
INF = float("inf")


def leaves(*grads: Any, fmt: str = "fp32") -> list[hs.Tensor]:
    made = []
    for grad in grads:
        p = hs.tensor(np.zeros(np.shape(grad)), fmt, requires_grad=True)
        p.grad = hs.tensor(grad, fmt)
        made.append(p)
    return made


def values(parameters: list[hs.Tensor]) -> list[Any]:
    return [p.grad.numpy().tolist() for p in parameters if p.grad is not None]


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("limit", [0.75, 50.0])
@pytest.mark.parametrize("order", NORM_TYPES)
def test_norms_and_clipped_gradients_are_pytorchs(order: float, limit: float, safe: bool) -> None:
    expected = RECORDED[f"clip.{order}.{limit}"]
    parameters = leaves(*(RECORDED[f"clip.grad{i}"] for i in range(3)), fmt="fp64")
    total = clip_grad_norm_(parameters, limit, norm_type=order, safe=safe)
    assert (total.shape, total.format) == ((), hs.float64)
    flat = np.concatenate([p.grad.numpy().reshape(-1) for p in parameters if p.grad is not None])
    np.testing.assert_allclose([total.item(), *flat], expected, rtol=1e-13)


def test_a_norm_equal_to_the_limit_still_shrinks() -> None:
    (p,) = leaves([0.5])
    assert clip_grad_norm_([p], 0.5).item() == 0.5
    assert p.grad is not None
    assert p.grad.item() == np.float32(0.5) * (np.float32(0.5) * (1 / (np.float32(0.5) + np.float32(1e-6))))
    assert p.grad.item() < 0.5


def test_a_smaller_norm_changes_nothing() -> None:
    (p,) = leaves([0.3, -0.1], fmt="fp16")
    clip_grad_norm_(p, 1.0)
    assert values([p]) == [np.array([0.3, -0.1], np.float16).tolist()]


def test_infinite_and_nan_gradients_do_what_they_do_in_pytorch() -> None:
    for safe in (False, True):
        parameters = leaves([1.0, INF], [2.0])
        assert clip_grad_norm_(parameters, 1.0, safe=safe).item() == INF
        assert values(parameters)[1] == [0]
        assert values(parameters)[0][0] == 0
        assert np.isnan(values(parameters)[0][1])
        parameters = leaves([1.0], [np.nan])
        assert np.isnan(clip_grad_norm_(parameters, 1.0, safe=safe).item())
        assert np.isnan(values(parameters)).all()
        parameters = leaves([1.0, INF])
        with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
            clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True, safe=safe)
        assert values(parameters) == [[1, INF]]


def test_no_gradients_have_norm_zero() -> None:
    p = hs.tensor([1.0], requires_grad=True)
    for safe in (False, True):
        for given_ in ([], [p], p, iter([p])):
            assert clip_grad_norm_(given_, 1.0, safe=safe).item() == 0
    assert p.grad is None


def test_in_half_the_norm_overflows_at_its_store_and_all_is_lost() -> None:
    """Squares of 40000 are summed in float32; only the norm, 80000, is stored in half. The safe norm clips right."""
    (p,) = leaves([300.0] * 4, fmt="fp16")
    assert clip_grad_norm_([p], 1e4).item() == 600
    (p,) = leaves([40000.0] * 4, fmt="fp16")
    with hs.trace() as t:
        assert clip_grad_norm_([p], 1.0).item() == INF
    first = t.first("overflow")
    assert first is not None
    assert (first.phase, first.op) == ("optimizer", "vector_norm")
    assert values([p]) == [[0] * 4]
    (p,) = leaves([40000.0] * 4, fmt="fp16")
    assert clip_grad_norm_([p], 1.0, safe=True).item() == 80000
    assert values([p]) == [[0.5] * 4]


def test_in_pure_half_small_squares_vanish() -> None:
    """(2**-13)**2 is zero in half: the norm is 0 and nothing is clipped; the safe one is right."""
    tiny = [2.0**-13] * 16
    with hs.precision("pure_fp16"):
        (p,) = leaves(tiny, fmt="fp16")
        assert clip_grad_norm_([p], 2.0**-12).item() == 0
        (p,) = leaves(tiny, fmt="fp16")
        assert clip_grad_norm_([p], 2.0**-12, safe=True).item() == 2.0**-11


def test_half_norms_are_the_rounded_steps() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(n).astype(np.float16) for n in (40, 9))
    parameters = leaves(a, b, fmt="fp16")
    total = clip_grad_norm_(parameters, 1.0)
    f, h = np.float32, np.float16
    norms = np.array([np.sqrt(np.sum(f(x) * f(x))).astype(h) for x in (a, b)])
    norm = np.sqrt(np.sum(f(norms) * f(norms))).astype(h)
    inverse = (f(1) / f((f(norm) + f(1e-6)).astype(h))).astype(h)
    coefficient = np.minimum((f(inverse) * f(1.0)).astype(h), h(1))
    assert total.numpy() == norm
    for p, x in zip(parameters, (a, b), strict=True):
        assert p.grad is not None
        np.testing.assert_array_equal(p.grad.numpy(), (f(x) * f(coefficient)).astype(h))


@settings(max_examples=30)
@given(
    hnp.arrays(
        np.float16, hnp.array_shapes(max_dims=2, max_side=4), elements={"allow_nan": False, "allow_infinity": False}
    ),
    st.sampled_from([1.0, 2.0, 3.0, INF]),
)
def test_safe_clipping_is_exact_arithmetic_rounded_once(grad: np.ndarray, order: float) -> None:
    (p,) = leaves(grad, fmt="fp16")
    total = clip_grad_norm_([p], 2.0, norm_type=order, safe=True).item()
    wide = grad.astype(np.float64).reshape(-1)
    expected = np.linalg.norm(wide, order)
    assert total == pytest.approx(expected, rel=1e-13)
    clipped = wide * min(1, 2 / (expected + 1e-6))
    assert p.grad is not None
    np.testing.assert_allclose(p.grad.numpy().reshape(-1), clipped, rtol=2**-11 + 1e-12, atol=2.0**-25)


@pytest.mark.parametrize("size", [1e200, 1e308, 1e-200])
def test_the_safe_norm_survives_float64_too(size: float) -> None:
    (p,) = leaves([size, size], fmt="fp64")
    total = clip_grad_norm_([p], 1e-3, safe=True).item()
    assert total == pytest.approx(np.sqrt(2) * size, rel=1e-15)
    (p,) = leaves([size * 1.5] * 4, fmt="fp64")
    clip_grad_norm_([p], 1e-3, safe=True)
    if size > 1:
        np.testing.assert_allclose(values([p]), [[5e-4] * 4], rtol=1e-14)


def test_mixed_formats_keep_theirs_and_the_norm_is_the_widest() -> None:
    a, b = leaves([3.0], fmt="fp16")[0], leaves([1.0, 2.0])[0]
    total = clip_grad_norm_([a, b], 1.0)
    assert total.format is hs.float32
    assert total.item() == pytest.approx(14**0.5)
    assert a.grad is not None
    assert a.grad.format is hs.float16


def test_a_given_norm_clips_as_well() -> None:
    one, two = leaves([3.0, 4.0])[0], leaves([3.0, 4.0])[0]
    clip_grad_norm_([one], 1.0)
    clip_grads_with_norm_([two], 1.0, get_total_norm([two.grad]))  # type: ignore[list-item]
    assert values([one]) == values([two])


@pytest.mark.parametrize(("fmt", "limit"), [("fp16", 0.1), ("fp32", 0.1), ("fp64", 0.1), ("fp16", 1e9)])
def test_values_are_clamped_and_rounded_once(fmt: str, limit: float) -> None:
    given_ = [3.0, -0.05, -INF, np.nan, 0.0, -0.0]
    (p,) = leaves(given_, fmt=fmt)
    clip_grad_value_([p], limit)
    assert p.grad is not None
    dtype = p.grad.numpy().dtype
    with np.errstate(over="ignore"):
        expected = np.clip(np.array(given_, dtype).astype(np.float64), -limit, limit).astype(dtype)
    np.testing.assert_array_equal(p.grad.numpy(), expected)
    assert np.signbit(p.grad.numpy()[5])


def test_live_against_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(3)
    for order in NORM_TYPES:
        grads = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (7,))]
        theirs = [torch.nn.Parameter(torch.zeros(grad.shape)) for grad in grads]
        for p, grad in zip(theirs, grads, strict=True):
            p.grad = torch.tensor(grad)
        ours = leaves(*grads)
        expected = torch.nn.utils.clip_grad_norm_(theirs, 1.5, norm_type=order).item()
        assert clip_grad_norm_(ours, 1.5, norm_type=order).item() == pytest.approx(expected, rel=1e-6)
        for p, q in zip(theirs, ours, strict=True):
            assert q.grad is not None
            np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=2e-6)


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda p: clip_grad_norm_(p, "a"), TypeError, "max_norm: 'a' is not allowed"),
    (lambda p: clip_grad_norm_(p, 1.0, norm_type="two"), ValueError, "norm_type: 'two' is not allowed"),
    (lambda p: clip_grad_norm_(p, 1.0, norm_type=np.nan), ValueError, "norm_type: nan is not allowed"),
    (lambda p: clip_grad_norm_([1.0], 1.0), TypeError, "parameters: float is not allowed"),
    (
        lambda p: clip_grad_norm_(hs.nn.Linear(1, 1), 1.0),
        TypeError,
        "parameters: Linear is not allowed; allowed: model.p",
    ),
    (lambda p: clip_grad_value_(p, None), TypeError, "clip_value: None is not allowed"),
    (lambda p: clip_grad_norm_(leaves(np.zeros(0)), 1.0, "inf"), RuntimeError, "norm_type: inf is not defined"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_arguments_get_one_line(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call(leaves([1.0])[0])
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_gradients_have_norm_zero() -> None:
    assert clip_grad_norm_(leaves(np.zeros((0, 2))), 1.0).item() == 0
    assert clip_grad_norm_(leaves([2.0]), 1.0, "inf").item() == 2


def test_a_gradient_is_a_tensor() -> None:
    p = leaves([1.0])[0]
    with pytest.raises(TypeError, match=r"grad: ndarray \(1,\) is not allowed; allowed: a Tensor of floats, None"):
        p.grad = np.ones(1)
