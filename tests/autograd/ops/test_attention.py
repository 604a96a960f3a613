"""Scaled dot-product attention: gradients, the rounded steps written out, masks and their edge cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs

attend = hs.ops.scaled_dot_product_attention
INF = float("inf")


def halves(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float16).astype(np.float64)


def plain(q: Any, k: Any, v: Any, mask: Any = None, scale: float | None = None) -> Any:
    """In float64, as the formula reads; ``mask`` is added."""
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    scores = scores if mask is None else scores + mask
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


@settings(max_examples=20)
@given(
    st.sampled_from([(), (2,), (2, 1)]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["none", "causal", "bool", "float"]),
)
def test_gradients_are_finite_differences(lead: tuple[int, ...], length: int, keys: int, depth: int, kind: str) -> None:
    q, k, v = halves(*lead, length, depth), halves(*lead, keys, depth, seed=1), halves(*lead, keys, 2, seed=2)
    allowed = np.random.default_rng(length).random((length, keys)) < 0.6
    if kind == "float":
        assert hs.gradcheck(attend, [q, k, v, halves(length, keys)])
    else:
        options: dict[str, Any] = {"none": {}, "causal": {"is_causal": True}, "bool": {"attn_mask": allowed}}[kind]
        assert hs.gradcheck(lambda q, k, v: attend(q, k, v, **options, scale=0.7), [q, k, v])


def test_gradients_of_broadcast_heads_and_of_groups() -> None:
    assert hs.gradcheck(attend, [halves(2, 3, 2, 2), halves(1, 3, 2), halves(2, 1, 3, 2)])
    q, k, v, mask = halves(1, 4, 2, 2), halves(1, 2, 3, 2), halves(1, 2, 3, 1), halves(4, 2, 3)
    assert hs.gradcheck(lambda *x: attend(*x, enable_gqa=True), [q, k, v, mask])
    repeated = attend(q, np.repeat(k, 2, 1), np.repeat(v, 2, 1), mask)
    np.testing.assert_allclose(attend(q, k, v, mask, enable_gqa=True).numpy(), repeated.numpy(), rtol=1e-12)


def test_gradients_of_a_packed_operand() -> None:
    from halfsim.autograd.ops.attention import attend as packed

    qkv = halves(3, 2, 3, 2)
    assert hs.gradcheck(packed, [qkv])
    np.testing.assert_array_equal(packed(qkv).numpy(), attend(*qkv).numpy())


def test_gradients_of_a_product_with_a_sum() -> None:
    x, a, b = halves(3, 1), halves(2, 3, 4), halves(2, 4, 2)
    assert hs.gradcheck(lambda *t: hs.ops.baddbmm(*t), [x, a, b])
    assert hs.gradcheck(lambda *t: hs.ops.baddbmm(*t, beta=0.5, alpha=-2), [x, a, b])
    np.testing.assert_allclose(hs.ops.baddbmm(x, a, b, beta=0.5, alpha=-2).numpy(), 0.5 * x - 2 * (a @ b), rtol=1e-12)


@pytest.mark.parametrize(
    ("rule", "compute"), [("storage=fp16, accumulate=exact", np.float32), ("pure_fp16", np.float16)]
)
def test_every_step_is_rounded_as_written(rule: str, compute: Any) -> None:
    q, k, v, g, mask = halves(5, 6), halves(7, 6), halves(7, 3), halves(5, 3, seed=1), halves(5, 7)
    mask[2, 3:] = -INF

    def r(x: Any) -> Any:
        return np.asarray(x, np.float64).astype(compute).astype(np.float64)

    def store(x: Any) -> Any:
        return x.astype(np.float16).astype(np.float64)

    def product(a: Any, b: Any) -> Any:
        total = np.zeros((len(a), b.shape[1]))
        for i in range(a.shape[1]):
            total = r(total + r(a[:, i, None] * b[i]))
        return r(a @ b) if compute is np.float32 else total

    def row_sums(x: Any) -> Any:
        return product(x, np.ones((x.shape[1], 1)))

    scale = r(6**-0.5)
    scores = r(r(product(q, k.T) * scale) + mask)
    e = r(np.exp(r(scores - scores.max(1, keepdims=True))))
    p = store(r(e / row_sums(e)))
    dp = product(g, v.T)
    ds = store(r(p * r(dp - row_sums(r(p * dp)))))
    expected = [r(product(ds, k) * scale), r(product(ds.T, q) * scale), product(p.T, g), ds]
    with hs.precision(rule):
        tensors = [hs.tensor(x, requires_grad=True) for x in (q, k, v, mask)]
        y = attend(*tensors)
        y.backward(g)
    np.testing.assert_array_equal(y.numpy(), store(product(p, v)))
    for i, (tensor, values) in enumerate(zip(tensors, expected, strict=True)):
        assert tensor.grad is not None
        np.testing.assert_array_equal(tensor.grad.numpy(), store(values), err_msg=str(i))


def test_masks() -> None:
    q, k, v = halves(2, 3, 4), halves(2, 5, 4), halves(2, 5, 2)
    allowed = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0], [1, 1, 1, 1, 1]], np.bool_)
    block = np.where(allowed, 0.0, -INF)
    for mask in (allowed, block, hs.tensor(block, "fp64"), allowed[None]):
        np.testing.assert_allclose(attend(q, k, v, mask).numpy(), plain(q, k, v, block), rtol=1e-12)
    causal = np.where(np.tri(3, 5) > 0, 0, -INF)
    np.testing.assert_allclose(attend(q, k, v, is_causal=True).numpy(), plain(q, k, v, causal), rtol=1e-12)
    np.testing.assert_allclose(attend(q, k, v, scale=2.0).numpy(), plain(q, k, v, scale=2.0), rtol=1e-12)


@pytest.mark.parametrize("rule", ["fp64", "fp32", "fp16", "pure_fp16"])
def test_a_query_that_may_attend_to_nothing_gives_zero_and_no_trouble(rule: str) -> None:
    """As PyTorch 2.13 does."""
    allowed = np.array([[True, True], [False, False]])
    with hs.trace() as trace, hs.precision(rule):
        for mask in (allowed, hs.tensor(np.where(allowed, 0, -INF))):
            x = hs.tensor(halves(2, 2), requires_grad=True)
            y = attend(x, x, x, mask)
            assert y.numpy()[1].tolist() == [0, 0]
            y.sum().backward()
            assert x.grad is not None
            assert np.isfinite(x.grad.numpy()).all()
    assert trace.first() is None


def test_scores_overflow_in_half_and_not_in_float32() -> None:
    q = hs.tensor(np.full((1, 64), 40.0), "fp16")
    with hs.trace() as trace, hs.precision("fp16"):
        assert np.isfinite(attend(q, q, q).numpy()).all()
    assert trace.first() is None
    with hs.trace() as trace, hs.precision("pure_fp16"):
        assert np.isnan(attend(q, q, q).numpy()).all()
    event = trace.first("overflow")
    assert event is not None
    assert event.op == "scaled_dot_product_attention"


def test_probabilities_that_vanish_on_the_way_are_no_trouble() -> None:
    """Most of these are below half's smallest number; the result, a mean of values, is none the worse."""
    scores = hs.tensor(np.linspace(0, 40, 16)[:, None], "fp16")
    with hs.trace() as trace, hs.precision("fp16"):
        y = attend(hs.tensor([[1.0]]), scores, hs.tensor(np.ones((16, 8))), scale=1.0)
    assert (y.numpy() == 1).all()
    assert trace.first() is None
    assert trace.count().flushed == 0


def test_dropout_drops_what_it_should_and_its_gradient_agrees() -> None:
    q, v = np.zeros((400, 1)), np.eye(400)
    hs.manual_seed(1)
    p = attend(q, q, v, dropout_p=0.25).numpy()
    assert set(np.unique((p * 400).round(6))) == {0.0, round(1 / 0.75, 6)}
    assert (p == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert not attend(q, q, v, dropout_p=1.0).numpy().any()

    def seeded(*x: hs.Tensor) -> hs.Tensor:
        hs.manual_seed(5)
        return attend(*x, dropout_p=0.4)

    assert hs.gradcheck(seeded, [halves(3, 2), halves(4, 2), halves(4, 2)])


def test_empty_operands() -> None:
    assert attend(np.zeros((0, 3, 2)), np.zeros((0, 4, 2)), np.zeros((0, 4, 5))).shape == (0, 3, 5)
    assert attend(np.zeros((0, 2)), np.zeros((4, 2)), np.zeros((4, 5))).shape == (0, 5)
    assert not attend(np.ones((3, 2)), np.zeros((0, 2)), np.zeros((0, 5))).numpy().any()


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: attend(np.ones((3, 2)), np.ones((3, 4)), np.ones((3, 4))), ValueError, "query (3, 2), key (3, 4)"),
    (lambda: attend(np.ones((3, 2)), np.ones((3, 2)), np.ones((4, 2))), ValueError, "value (4, 2) do not fit"),
    (lambda: attend(np.ones(3), np.ones((3, 3)), np.ones((3, 3))), ValueError, "query (3,)"),
    (lambda: attend(*[np.ones((3, 2))] * 3, dropout_p=1.5), ValueError, "dropout_p: 1.5 is not allowed"),
    (lambda: attend(*[np.ones((3, 2))] * 3, np.ones((3, 3), np.int64)), TypeError, "attn_mask: dtype int64"),
    (lambda: attend(*[np.ones((3, 2))] * 3, np.ones((3, 3)), is_causal=True), ValueError, "is_causal: True with"),
    (lambda: attend(*[np.ones((3, 2))] * 3, np.ones((2, 2))), ValueError, "attn_mask: shape (2, 2)"),
    (lambda: attend(*[np.ones((3, 2))] * 3, np.ones((2, 2), np.bool_)), ValueError, "of (3, 3)"),
    (
        lambda: attend(np.ones((3, 2, 2)), *[np.ones((2, 2, 2))] * 2, enable_gqa=True),
        ValueError,
        "enable_gqa: query (3, 2, 2)",
    ),
    (lambda: attend(None, *[np.ones((3, 2))] * 2), ValueError, "query ()"),
    (lambda: hs.ops.baddbmm(np.ones(3), np.ones((2, 3, 4)), np.ones((2, 3, 4))), ValueError, "baddbmm: shapes"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
