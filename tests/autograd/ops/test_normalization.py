"""Normalisation: gradients in float64, and every step written out in float32 and in float16."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs

f = hs.ops
h = np.float16


@settings(max_examples=12)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_gradients_of_layer_and_rms_norm(shape: list[int], weighted: bool, biased: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inner = tuple(shape[1 + seed % (len(shape) - 1) :]) or (shape[-1],)
    x = rng.standard_normal(shape)
    w = rng.standard_normal(inner) if weighted else None
    b = rng.standard_normal(inner) if biased else None
    assert hs.gradcheck(lambda x, w, b: f.layer_norm(x, inner, w, b, 0.1), [x, w, b])
    assert hs.gradcheck(lambda x, w: f.rms_norm(x, inner, w, 0.1), [x, w])


@settings(max_examples=12)
@given(
    st.tuples(st.integers(2, 3), st.integers(1, 2), st.integers(1, 2)),
    st.lists(st.integers(2, 3), max_size=2),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_gradients_over_channels(
    sizes: tuple[int, int, int], space: list[int], weighted: bool, training: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batch, groups, each = sizes
    channels = groups * each
    x = rng.standard_normal((batch, channels, *space))
    w, b = (rng.standard_normal(channels) if weighted else None for _ in range(2))
    stats = (rng.standard_normal(channels), rng.uniform(0.5, 2, channels))
    given_stats = (None, None) if training else stats
    assert hs.gradcheck(lambda x, w, b: f.batch_norm(x, *given_stats, w, b, training, 0.1, 0.1), [x, w, b])
    if each * prod(space) > 1:
        assert hs.gradcheck(lambda x, w, b: f.group_norm(x, groups, w, b, 0.1), [x, w, b])
    if space:
        assert hs.gradcheck(lambda x, w, b: f.instance_norm(x, *given_stats, w, b, training, 0.1, 0.1), [x, w, b])


def total(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The sum over ``axes``, kept, in C order: sequentially in float16, by NumPy in float32."""
    if x.dtype != h:
        return x.sum(axes, keepdims=True)
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = x.transpose(*axes, *kept).reshape(-1, *(x.shape[a] for a in kept))
    s = np.zeros(rows.shape[1:], h)
    for row in rows:
        s = s + row
    return s.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])


class Reference:
    """The formulas of the module's docstrings in the arithmetic of ``dtype``."""

    def __init__(self, x: np.ndarray, w: np.ndarray, axes: tuple[int, ...], centred: bool, eps: float) -> None:
        self.x, self.w, self.axes, self.centred = x, w, axes, centred
        t = x.dtype.type
        self.n = t(prod(x.shape[a] for a in axes))
        self.mean = total(x, axes) / self.n if centred else None
        d = self.d
        self.var = total(d * d, axes) / self.n
        self.r = t(1) / np.sqrt(self.var + t(eps))

    @property
    def d(self) -> np.ndarray:
        return self.x if self.mean is None else self.x - self.mean

    def forward(self, bias: Any = None) -> np.ndarray:
        y = self.d * self.r * self.w
        return y if bias is None else y + bias

    def by_rows(self, g: np.ndarray) -> np.ndarray:
        gw, hat = g * self.w, self.d * self.r
        y = gw * self.n - hat * total(gw * hat, self.axes)
        y = y - total(gw, self.axes) if self.centred else y
        return y * (self.r / self.n)

    def by_channels(self, g: np.ndarray) -> np.ndarray:
        slope = total(g * self.d, self.axes) / self.n * self.r * self.r
        return (g - self.d * slope - total(g, self.axes) / self.n) * (self.r * self.w)


Case = tuple[Callable[..., hs.Tensor], tuple[int, ...], bool, str, tuple[int, ...]]
CASES: dict[str, Case] = {
    "layer": (lambda x, w, b: f.layer_norm(x, (6,), w, b), (1,), True, "by_rows", (6,)),
    "rms": (lambda x, w, b: f.rms_norm(x, (6,), w, 1e-5), (1,), False, "by_rows", (6,)),
    "batch": (lambda x, w, b: f.batch_norm(x, None, None, w, b, True), (0,), True, "by_channels", (6,)),
    "group": (
        lambda x, w, b: f.reshape(f.group_norm(f.reshape(x, (4, 2, 3)), 1, w, b), (4, 6)),
        (1,),
        True,
        "by_rows",
        (2,),
    ),
    "instance": (
        lambda x, w, b: f.reshape(f.instance_norm(f.reshape(x, (2, 2, 6)), None, None, w, b), (4, 6)),
        (1,),
        True,
        "by_channels",
        (2,),
    ),
}


@pytest.mark.parametrize("rule", ["fp16", "pure_fp16"])
@pytest.mark.parametrize("name", CASES)
def test_the_steps_written_out(name: str, rule: str, rng: np.random.Generator) -> None:
    """With compute=fp32 everything is float32 until the store; in pure_fp16 NumPy's float16 takes every step."""
    call, axes, centred, backward, wshape = CASES[name]
    dtype = h if rule == "pure_fp16" else np.float32
    x, g = (rng.standard_normal((4, 6)).astype(h) for _ in range(2))
    w, b = (rng.standard_normal(wshape).astype(h) for _ in range(2))
    spread = {"group": lambda p: np.repeat(p, 3)[None], "instance": lambda p: np.tile(p, 2)[:, None]}
    full_w, full_b = (spread.get(name, lambda p: p)(p) for p in (w, b))
    ref = Reference(x.astype(dtype), full_w.astype(dtype), axes, centred, 1e-5)
    with hs.precision(rule):
        t, tw, tb = (hs.tensor(a, "fp16", requires_grad=True) for a in (x, w, b))
        y = call(t, tw, tb)
        y.backward(g)
    bias = None if name == "rms" else full_b.astype(dtype)
    np.testing.assert_array_equal(y.numpy(), ref.forward(bias).astype(h))
    assert t.grad is not None
    np.testing.assert_array_equal(t.grad.numpy(), getattr(ref, backward)(g.astype(dtype)).astype(h))
    assert tw.grad is not None
    if name in ("layer", "rms", "batch"):
        hat = g.astype(dtype) * (ref.d * ref.r)
        dw = total(hat, (0,)) if name != "batch" else total(g.astype(dtype) * ref.d, (0,)) * ref.r
        np.testing.assert_array_equal(tw.grad.numpy(), dw[0].astype(h))
    if name in ("layer", "batch"):
        assert tb.grad is not None
        np.testing.assert_array_equal(tb.grad.numpy(), total(g.astype(dtype), (0,))[0].astype(h))


def test_a_layer_norm_in_half_overflows_where_a_kernel_does_not() -> None:
    """From deviations of 256 on squares are infinite in half, and 1 / sqrt(inf) is zero: the layer returns zeros."""
    x = hs.tensor([[300.0, -300.0, 300.0, -300.0]], "fp16")
    assert f.layer_norm(x, (4,)).numpy().tolist() == [[1, -1, 1, -1]]
    with hs.precision("pure_fp16"), hs.trace() as t:
        assert f.layer_norm(x, (4,)).numpy().tolist() == [[0, -0.0, 0, -0.0]]
    first = t.first()
    assert first is not None
    assert (first.klass, first.op) == ("overflow", "layer_norm")


def test_the_default_eps_of_rms_norm_is_that_of_compute() -> None:
    """As in PyTorch, whose kernels take float32's eps for float16 tensors and float64's for float64 ones."""
    x = [[1e-4, 2e-4]]
    for rule, eps in (("fp16", 2.0**-23), ("fp32", 2.0**-23), ("fp64", 2.0**-52), ("pure_fp16", 2.0**-10)):
        with hs.precision(rule):
            assert (f.rms_norm(x, (2,)).numpy() == f.rms_norm(x, (2,), eps=eps).numpy()).all()


def test_an_eps_that_vanishes_in_half_is_told() -> None:
    """1e-8 is zero in half: a constant row then gives 0 * inf."""
    with hs.precision("pure_fp16"), hs.trace() as t:
        y = f.layer_norm(hs.tensor([[1.0, 1.0]], "fp16"), (2,), eps=1e-8)
    assert np.isnan(y.numpy()).all()
    assert t.constant is not None
    assert "1e-08 is zero in float16" in str(t.constant.lost)


@pytest.mark.parametrize("how", ["fp16:pairwise", "fp16:kahan", "exact"])
def test_sums_obey_accumulate(how: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 64)).astype(h) + h(8)
    with hs.precision(f"storage=fp16, compute=fp16, accumulate={how}"):
        y, s = f.layer_norm(x, (64,)).numpy(), hs.tensor(x).sum(axis=1, keepdims=True).numpy()
        d = x - s / h(64)
        s2 = hs.tensor(d * d).sum(axis=1, keepdims=True).numpy()
    np.testing.assert_array_equal(y, d * (h(1) / np.sqrt(s2 / h(64) + h(1e-5))))


def test_running_statistics_are_numbers_of_their_format(rng: np.random.Generator) -> None:
    """Batch moments come from the kernel's own precision, unrounded; one store a statistic."""
    x = rng.standard_normal((5, 3)).astype(h)
    mean, var = hs.tensor([0.5, 1.0, 2.0], "fp16"), hs.tensor([1.0, 2.0, 3.0], "fp16")
    before = mean.numpy(), var.numpy()
    f.batch_norm(hs.tensor(x), mean, var, training=True, momentum=0.25)
    s = np.float32
    wide = x.astype(s)
    m = wide.sum(0) / s(5)
    v = ((wide - m) ** 2).sum(0) / s(5)
    np.testing.assert_array_equal(mean.numpy(), (m * s(0.25) + before[0].astype(s) * s(0.75)).astype(h))
    np.testing.assert_array_equal(var.numpy(), (v * s(1.25) * s(0.25) + before[1].astype(s) * s(0.75)).astype(h))


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: f.batch_norm(np.ones((2, 2)), None, None), ValueError, "batch_norm: running statistics are missing"),
    (lambda: f.batch_norm(np.ones(2), None, None), ValueError, "batch_norm: input (2,) is not allowed"),
    (
        lambda: f.batch_norm(np.eye(2), np.zeros(2), np.ones(2), training=True),
        TypeError,
        "running_mean: ndarray cannot be updated",
    ),
    (lambda: f.instance_norm(np.ones((2, 2))), ValueError, "instance_norm: input (2, 2) is not allowed"),
    (lambda: f.layer_norm(np.ones((2, 2)), (2,), np.ones(3)), ValueError, "layer_norm: weight (3,) does not fit"),
    (lambda: f.layer_norm(np.float32(1), (1,)), ValueError, "layer_norm: input () does not end in"),
    (lambda: f.rms_norm(np.ones((2, 2)), (3,)), ValueError, "rms_norm: input (2, 2) does not end in"),
    (lambda: f.group_norm(np.ones((2, 4)), 3), ValueError, "group_norm: 3 groups of (2, 4)"),
    (lambda: f.group_norm(np.ones((2, 4)), "2"), TypeError, "num_groups: '2' is not allowed"),
    (lambda: f.layer_norm(None, (2,)), ValueError, "layer_norm: input ()"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
