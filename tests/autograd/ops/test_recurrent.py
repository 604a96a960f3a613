"""Recurrent operations: gradients, the rounded steps written out, and agreement of layers with their cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
EXACT = "storage=fp16, accumulate=exact"


def operands(name: str, steps: int, batch: int, inputs: int, hidden: int, bias: bool = True) -> list[Any]:
    """x, weights, biases and initial states, halves in float64."""
    rng = np.random.default_rng(steps + 10 * batch + 100 * hidden)
    rows = GATES[name] * hidden
    shapes = [(steps, batch, inputs), (rows, inputs), (rows, hidden), (rows,), (rows,), (batch, hidden)]
    shapes += [(batch, hidden)] * (name == "lstm")
    arrays = [rng.standard_normal(shape).astype(np.float16).astype(np.float64) for shape in shapes]
    return [None if not bias and i in (3, 4) else a for i, a in enumerate(arrays)]


@settings(max_examples=12)
@given(st.sampled_from(sorted(GATES)), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans())
def test_gradients_are_finite_differences(name: str, steps: int, batch: int, hidden: int, reverse: bool) -> None:
    arrays = operands(name, steps, batch, 2, hidden)
    assert hs.gradcheck(lambda *tensors: getattr(hs.ops, name)(*tensors, reverse=reverse), arrays)


@pytest.mark.parametrize("name", GATES)
def test_gradients_without_bias_and_initial_state(name: str) -> None:
    x, w_ih, w_hh = operands(name, 3, 2, 2, 2)[:3]
    assert hs.gradcheck(lambda *tensors: getattr(hs.ops, name)(*tensors), [x, w_ih, w_hh])


Round = Callable[[Any], Any]


class Unit:
    """Every elementary step in float64, rounded once to ``compute``; `store` rounds to float16."""

    def __init__(self, compute: Any) -> None:
        self.compute = compute

    def __call__(self, value: Any) -> Any:
        return np.asarray(value, np.float64).astype(self.compute).astype(np.float64)

    def store(self, value: Any) -> Any:
        return value.astype(np.float16).astype(np.float64)

    def product(self, a: Any, b: Any) -> Any:
        """In float16 the sequential loop, else exact and rounded once; stored."""
        if self.compute is np.float32:
            return self.store(self(a @ b))
        total = np.zeros((len(a), b.shape[1]))
        for k in range(a.shape[1]):
            total = self(total + self(a[:, k, None] * b[k]))
        return total

    def sigmoid(self, x: Any) -> Any:
        return self(1 / (1 + np.exp(-x)))

    def gates(self, xi: Any, hh: Any, b_ih: Any, b_hh: Any) -> Any:
        return self(self(self(xi + hh) + b_ih) + b_hh)


def lstm_step(r: Unit, xi: Any, hh: Any, b_ih: Any, b_hh: Any, state: Any) -> Any:
    i, f, g, o = np.split(r.gates(xi, hh, b_ih, b_hh), 4, 1)
    i, f, g, o = r.sigmoid(i), r.sigmoid(f), r(np.tanh(g)), r.sigmoid(o)
    c = r(r(f * state[1]) + r(i * g))
    return [r.store(r(o * r(np.tanh(c)))), r.store(c)], [r.store(a) for a in (i, f, g, o)]


def gru_step(r: Unit, xi: Any, hh: Any, b_ih: Any, b_hh: Any, state: Any) -> Any:
    n = state[0].shape[1]
    reset, update = (r.sigmoid(a) for a in np.split(r.gates(xi, hh, b_ih, b_hh)[:, : 2 * n], 2, 1))
    inner = r(hh[:, 2 * n :] + b_hh[2 * n :])
    new = r(np.tanh(r(r(xi[:, 2 * n :] + b_ih[2 * n :]) + r(reset * inner))))
    h = r(new + r(update * r(state[0] - new)))
    return [r.store(h)], [r.store(a) for a in (reset, update, new, inner)]


def tanh_step(r: Unit, xi: Any, hh: Any, b_ih: Any, b_hh: Any, state: Any) -> Any:
    return [r.store(r(np.tanh(r.gates(xi, hh, b_ih, b_hh))))], []


def relu_step(r: Unit, xi: Any, hh: Any, b_ih: Any, b_hh: Any, state: Any) -> Any:
    return [r.store(np.maximum(r.gates(xi, hh, b_ih, b_hh), 0))], []


STEPS = {"rnn_tanh": tanh_step, "rnn_relu": relu_step, "gru": gru_step, "lstm": lstm_step}
UNITS = [(EXACT, np.float32), ("pure_fp16", np.float16)]


@pytest.mark.parametrize(("rule", "compute"), UNITS)
@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("reverse", [False, True])
def test_every_step_is_rounded_as_written(name: str, rule: str, compute: Any, reverse: bool) -> None:
    x, w_ih, w_hh, b_ih, b_hh, *state = arrays = operands(name, 4, 3, 5, 6)
    r, out = Unit(compute), {}
    for t in range(4)[::-1] if reverse else range(4):
        state, _ = STEPS[name](r, r.product(x[t], w_ih.T), r.product(state[0], w_hh.T), b_ih, b_hh, state)
        out[t] = state[0]
    with hs.precision(rule):
        got = getattr(hs.ops, name)(*(hs.tensor(a) for a in arrays), reverse=reverse).numpy()
    np.testing.assert_array_equal(got[:4], [out[t] for t in range(4)])
    np.testing.assert_array_equal(got[4:], np.reshape(state[1:], (-1, 3, 6)))


@pytest.mark.parametrize(("rule", "compute"), UNITS)
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn_tanh"])
def test_every_step_back_is_rounded_as_written(name: str, rule: str, compute: Any) -> None:
    x, w_ih, w_hh, b_ih, b_hh, *state = arrays = operands(name, 1, 3, 5, 4)
    rng = np.random.default_rng(1)
    gh, gc = (rng.standard_normal((3, 4)).astype(np.float16).astype(np.float64) for _ in range(2))
    r = Unit(compute)
    after, saved = STEPS[name](r, r.product(x[0], w_ih.T), r.product(state[0], w_hh.T), b_ih, b_hh, state)

    def slope(g: Any, y: Any) -> Any:
        return r(r(g * r(1 - y)) * y)

    def tanh_slope(g: Any, y: Any) -> Any:
        return r(g * r(1 - r(y * y)))

    if name == "lstm":
        i, f, g, o = saved
        t = r(np.tanh(after[1]))
        dc = r(tanh_slope(r(gh * o), t) + gc)
        parts = slope(r(dc * g), i), slope(r(dc * state[1]), f), tanh_slope(r(dc * i), g), slope(r(gh * t), o)
        outer = inner = r.store(np.concatenate(parts, 1))
        before = [r.product(inner, w_hh), r.store(r(dc * f))]
    elif name == "gru":
        reset, update, new, hn = saved
        dz, dn = slope(r(gh * r(state[0] - new)), update), tanh_slope(r(gh * r(1 - update)), new)
        dr = slope(r(dn * hn), reset)
        outer = r.store(np.concatenate([dr, dz, dn], 1))
        inner = r.store(np.concatenate([dr, dz, r(dn * reset)], 1))
        before = [r.store(r(r.store(r(gh * update)) + r.product(inner, w_hh)))]
    else:
        outer = inner = r.store(tanh_slope(gh, after[0]))
        before = [r.product(inner, w_hh)]
    ones = np.ones((1, 3))
    expected = [r.product(outer, w_ih)[None], r.product(outer.T, x[0]), r.product(inner.T, state[0])]
    expected += [r.product(ones, outer)[0], r.product(ones, inner)[0], *before]
    with hs.precision(rule):
        tensors = [hs.tensor(a, requires_grad=True) for a in arrays]
        y = getattr(hs.ops, name)(*tensors)
        y.backward(np.stack([gh, gc][: len(y)]))
    for i, (tensor, values) in enumerate(zip(tensors, expected, strict=True)):
        assert tensor.grad is not None
        np.testing.assert_array_equal(tensor.grad.numpy(), values, err_msg=str(i))


@pytest.mark.parametrize("rule", ["fp64", "fp32", "fp16", "pure_fp16"])
@pytest.mark.parametrize("name", GATES)
def test_a_layer_is_its_cell_step_by_step(name: str, rule: str) -> None:
    with hs.precision(f"{rule}"):
        x, *weights, _, _ = (
            (hs.tensor(a) for a in operands("lstm", 4, 2, 3, 5))
            if name == "lstm"
            else (
                *(hs.tensor(a) for a in operands(name, 4, 2, 3, 5)),
                None,
            )
        )
        y = getattr(hs.ops, name)(x, *weights)
        h, c = hs.tensor(np.zeros((2, 5))), hs.tensor(np.zeros((2, 5)))
        for t in range(4):
            if name == "lstm":
                h, c = hs.ops.lstm_cell(x[t], (h, c), *weights)
            else:
                h = getattr(hs.ops, f"{name}_cell")(x[t], h, *weights)
            np.testing.assert_allclose(h.numpy(), y[t].numpy(), rtol=0 if rule == "pure_fp16" else 1e-3)
        if name == "lstm":
            np.testing.assert_allclose(c.numpy(), y[4].numpy(), rtol=0 if rule == "pure_fp16" else 1e-3)


def test_a_cell_takes_a_batch_or_none() -> None:
    rng = np.random.default_rng(0)
    w_ih, w_hh = rng.standard_normal((12, 3)), rng.standard_normal((12, 4))
    x, h = rng.standard_normal(3), rng.standard_normal(4)
    single = hs.ops.gru_cell(x, h, w_ih, w_hh)
    batch = hs.ops.gru_cell(x[None], h[None], w_ih, w_hh)
    assert single.shape == (4,)
    np.testing.assert_array_equal(single.numpy(), batch.numpy()[0])
    assert hs.ops.rnn_relu_cell(x, None, w_ih[:4], w_hh[:4]).shape == (4,)


def test_only_what_is_asked_for_gets_a_gradient_and_a_graph_may_be_kept() -> None:
    x, w_ih, w_hh = (hs.tensor(a, "fp64") for a in operands("gru", 3, 2, 2, 2)[:3])
    w_hh.requires_grad = True
    y = hs.ops.gru(x, w_ih, w_hh).sum()
    y.backward(retain_graph=True)
    assert x.grad is None
    assert w_hh.grad is not None
    first = w_hh.grad.numpy()
    y.backward()
    np.testing.assert_array_equal(w_hh.grad.numpy(), 2 * first)


def test_a_trace_names_the_operation_that_overflows() -> None:
    x, w_ih, w_hh = np.full((2, 1, 3), 300.0), np.full((4, 3), 300.0), np.zeros((4, 1))
    with hs.trace() as t, hs.precision("fp16"):
        y = hs.ops.lstm(hs.tensor(x), hs.tensor(w_ih), hs.tensor(w_hh))
    assert y.numpy()[2, 0, 0] == 2
    event = t.first("overflow")
    assert event is not None
    assert event.op == "lstm"
    with hs.trace() as t, hs.precision("fp16"):
        hs.ops.lstm(hs.tensor(x / 300), hs.tensor(w_ih / 300), hs.tensor(w_hh))
    assert t.first() is None


def test_nan_passes_through_relu() -> None:
    y = hs.ops.rnn_relu(np.array([[[np.nan]], [[1.0]]]), np.ones((1, 1)), np.ones((1, 1)))
    assert np.isnan(y.numpy()).all()


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: hs.ops.lstm(np.zeros((2, 1, 3)), np.zeros((8, 3)), np.zeros((8, 3))), ValueError, "w_hh: shape (8, 3)"),
    (lambda: hs.ops.gru(np.zeros((2, 1, 3)), np.zeros((6, 4)), np.zeros((6, 2))), ValueError, "x: shape (2, 1, 3)"),
    (lambda: hs.ops.gru(np.zeros((2, 1, 3)), np.zeros((5, 3)), np.zeros((6, 2))), ValueError, "w_ih: shape (5, 3)"),
    (lambda: hs.ops.gru(np.zeros((0, 1, 3)), np.zeros((6, 3)), np.zeros((6, 2))), ValueError, "one step at least"),
    (lambda: hs.ops.gru(np.zeros((2, 3)), np.zeros((6, 3)), np.zeros((6, 2))), ValueError, "x: shape (2, 3)"),
    (
        lambda: hs.ops.rnn_tanh(np.zeros((2, 1, 3)), np.zeros((2, 3)), np.zeros((2, 2)), np.zeros(2)),
        ValueError,
        "b_hh: one bias alone",
    ),
    (
        lambda: hs.ops.rnn_tanh(np.zeros((2, 1, 3)), np.zeros((2, 3)), np.zeros((2, 2)), np.zeros(2), np.zeros(3)),
        ValueError,
        "b_hh: shape (3,)",
    ),
    (
        lambda: hs.ops.lstm(np.zeros((2, 1, 3)), np.zeros((8, 3)), np.zeros((8, 2)), c0=np.zeros((2, 2))),
        ValueError,
        "c0: shape (2, 2) is not allowed; allowed: (1, 2)",
    ),
    (lambda: hs.ops.lstm(np.zeros((2, 1, 3)), np.zeros((8, 3))), TypeError, "w_hh is missing"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
