"""Convolutions: gradients against differences, values against loops, half precision against its steps written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim.autograd.ops import _windows

H = np.float16


def loops(x: Any, w: Any, b: Any, stride: Any, pad: Any, dilation: Any, groups: int, dot: Callable[..., Any]) -> Any:
    """conv2d one output at a time; ``dot`` gets the operands of each in the documented order."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    size = [(padded.shape[2 + a] - dilation[a] * (w.shape[2 + a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    y, per = np.zeros((len(x), len(w), *size), x.dtype), w.shape[1]
    for n, o, i, j in np.ndindex(y.shape):
        first = o // (len(w) // groups) * per
        window = padded[n, first : first + per, i * stride[0] :: dilation[0], j * stride[1] :: dilation[1]]
        window = window[:, : w.shape[2], : w.shape[3]]
        y[n, o, i, j] = dot(window.ravel(), w[o].ravel()) + b[o]
    return y


def in_half(a: Any, b: Any) -> Any:
    """The loop c += a * b, every step rounded to half."""
    c = H(0)
    for u, v in zip(a.astype(H), b.astype(H), strict=True):
        c = H(c + H(u * v))
    return c


SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=25)
@given(
    st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(5, 7), st.integers(5, 7)),
    SIZES,
    SIZES,
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.integers(1, 2),
)
def test_conv2d_is_its_loops(
    channels: Any, size: Any, kernel: Any, stride: Any, pad: Any, dilation: Any, g: int
) -> None:
    rng = np.random.default_rng(0)
    n, c, o = channels
    x, w, b = rng.standard_normal((n, c * g, *size)), rng.standard_normal((o * g, c, *kernel)), np.arange(o * g) / 2
    y = hs.ops.conv2d(hs.tensor(x, "fp64"), hs.tensor(w, "fp64"), hs.tensor(b, "fp64"), stride, pad, dilation, g)
    np.testing.assert_allclose(y.numpy(), loops(x, w, b, stride, pad, dilation, g, np.dot), rtol=1e-12, atol=1e-12)


@settings(max_examples=12)
@given(SIZES, SIZES, st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), st.booleans())
def test_gradients_are_finite_differences(
    kernel: Any, stride: Any, pad: int, dilation: int, groups: int, batched: bool
) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 2 * groups, 5, 6))[() if batched else 0]
    w, b = rng.standard_normal((groups, 2, *kernel)), rng.standard_normal(groups)
    options = {"stride": stride, "padding": pad, "dilation": dilation, "groups": groups}
    assert hs.gradcheck(lambda *a: hs.ops.conv2d(*a, **options), [x, w, b])
    small, back = x[..., :3, :2], rng.standard_normal((2 * groups, 1, *kernel))
    options["padding"] = min(pad, dilation * (min(kernel) - 1) // 2)
    assert hs.gradcheck(lambda *a: hs.ops.conv_transpose2d(*a, **options), [small, back, b])


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_gradients_in_one_dimension(stride: int, rng: np.random.Generator) -> None:
    x, w, b = rng.standard_normal((2, 4, 6)), rng.standard_normal((4, 2, 3)), rng.standard_normal(4)
    assert hs.gradcheck(lambda *a: hs.ops.conv1d(*a, stride=stride, padding=1, groups=2), [x, w, b])
    assert hs.gradcheck(lambda *a: hs.ops.conv_transpose1d(*a, stride=stride, padding=1, groups=2), [x, w, b])
    assert hs.gradcheck(
        lambda *a: hs.ops.conv1d(*a, padding="same", dilation=2), [x[0], rng.standard_normal((1, 4, 4))]
    )


def test_fp16_rounds_once_and_pure_fp16_every_step(rng: np.random.Generator) -> None:
    """Eighths: sums in float32 are exact in any order, so that only the bias and the store round."""
    x, w = rng.integers(-99, 99, (2, 4, 6, 5)) / 8, rng.integers(-99, 99, (6, 2, 3, 2)) / 8
    b = rng.standard_normal(6).astype(H)
    how = ((2, 1), (1, 0), (1, 2), 2)
    tensors = [hs.tensor(a, "fp16") for a in (x, w, b)]
    single = loops(x.astype("f"), w.astype("f"), b.astype("f"), *how, lambda u, v: np.float32(np.dot(u, v)))
    with hs.precision("fp16"):
        np.testing.assert_array_equal(hs.ops.conv2d(*tensors, *how).numpy(), single.astype(H))
    with hs.precision("pure_fp16"):
        y = hs.ops.conv2d(*tensors, *how).numpy()
    np.testing.assert_array_equal(y, loops(x.astype(H), w.astype(H), b, *how, in_half))
    assert (y != single.astype(H)).any()


def test_gradients_in_half_accumulate_in_the_documented_order(rng: np.random.Generator) -> None:
    """Of x over output channel, then windows; of a weight over image, then windows; of a bias likewise."""
    x, w = rng.standard_normal((2, 2, 5, 4)).astype(H), rng.standard_normal((3, 2, 3, 2)).astype(H)
    b, s, p = rng.standard_normal(3).astype(H), (2, 1), (1, 1)
    with hs.precision("pure_fp16"):
        tensors = [hs.tensor(a, requires_grad=True) for a in (x, w, b)]
        y = hs.ops.conv2d(*tensors, stride=s, padding=p)
        g = rng.standard_normal(y.shape).astype(H)
        y.backward(g)
    where = [(o, i, j, k, m) for o in range(3) for i in range(3) for j in range(5) for k in range(3) for m in range(2)]
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    for n, c, r, q in np.ndindex(x.shape):
        terms = [(g[n, o, i, j], w[o, c, k, m]) for o, i, j, k, m in where if (2 * i + k - 1, j + m - 1) == (r, q)]
        gx[n, c, r, q] = in_half(*np.array(terms, H).T)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for o, c, k, m in np.ndindex(w.shape):
        gw[o, c, k, m] = in_half(g[:, o].ravel(), padded[:, c, k : k + 5 : 2, m : m + 5].ravel())
    gb = np.array([in_half(g[:, o].ravel(), np.ones(30)) for o in range(3)])
    for t, expected in zip(tensors, (gx, gw, gb), strict=True):
        assert t.grad is not None
        np.testing.assert_array_equal(t.grad.numpy(), expected)


@pytest.mark.parametrize("conv", [hs.ops.conv2d, hs.ops.conv_transpose2d])
def test_the_gradient_of_a_bias_is_one_sum(conv: Callable[..., hs.Tensor], rng: np.random.Generator) -> None:
    with hs.precision("pure_fp16"):
        b = hs.tensor(np.zeros(8), requires_grad=True)
        y = conv(np.zeros((3, 8, 4, 4)), np.zeros((8, 8, 1, 1)), b)
        g = rng.standard_normal(y.shape).astype(H)
        y.backward(g)
    assert b.grad is not None
    expected = [in_half(g[:, o].ravel(), np.ones(48)) for o in range(8)]
    np.testing.assert_array_equal(b.grad.numpy(), np.array(expected))


def test_a_transposed_convolution_is_the_gradient_of_a_convolution(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 3, 2))
    for rule in ("fp16", "pure_fp16"):
        with hs.precision(rule):
            t, k = hs.tensor(x, requires_grad=True), hs.tensor(w)
            y = hs.ops.conv2d(t, k, stride=(2, 3), padding=1)
            g = hs.tensor(rng.standard_normal(y.shape))
            y.backward(g)
            assert t.grad is not None
            back = hs.ops.conv_transpose2d(g, k, stride=(2, 3), padding=1)
            np.testing.assert_array_equal(back.bits(), t.grad.bits())


@pytest.mark.parametrize("how", ["exact", "fp16:pairwise", "fp32:blocked(4)", "fp16:kahan"])
def test_convolutions_obey_the_accumulator(how: str, rng: np.random.Generator) -> None:
    """As the product over windows written out with ops.linear."""
    x, w = rng.standard_normal((3, 2, 4, 4)), rng.standard_normal((5, 2, 2, 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(27, 8)
    with hs.precision(f"storage=fp16, accumulate={how}"):
        y = hs.ops.conv2d(hs.tensor(x), hs.tensor(w))
        rows = hs.ops.linear(hs.tensor(windows), hs.tensor(w.reshape(5, 8)))
    np.testing.assert_array_equal(y.numpy(), rows.numpy().reshape(3, 3, 3, 5).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_layouts_and_traces_change_no_bit(
    stride: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = rng.standard_normal((5, 2, 6, 6)), rng.standard_normal((3, 2, 3, 3))

    def run(turn: Callable[[Any], Any]) -> list[Any]:
        tensors = [hs.tensor(x, requires_grad=True), hs.tensor(w, requires_grad=True)]
        tensors[0].array = turn(tensors[0].array)
        y = hs.ops.conv2d(*tensors, stride=stride, padding=1)
        y.backward(np.ones(y.shape))
        return [y.bits(), *(t.grad.bits() for t in tensors if t.grad is not None)]

    with hs.precision("pure_fp16"):
        expected = run(lambda a: a)
        for turn in (np.asfortranarray, lambda a: a[::-1].copy()[::-1]):
            for a, b in zip(run(turn), expected, strict=True):
                np.testing.assert_array_equal(a, b)
        with hs.trace():
            traced = run(lambda a: a)
        monkeypatch.setattr(_windows, "_BLOCK", 1000)
        for other in (traced, run(lambda a: a)):
            for a, b in zip(other, expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_single_image_needs_no_batch(rng: np.random.Generator) -> None:
    x, w, b = (hs.tensor(rng.standard_normal(shape)) for shape in ((3, 5, 5), (4, 3, 2, 2), (4,)))
    np.testing.assert_array_equal(hs.ops.conv2d(x, w, b).numpy(), hs.ops.conv2d(x.reshape(1, 3, 5, 5), w, b).numpy()[0])
    row, kernel = hs.tensor(np.ones((5, 6))), hs.tensor(np.ones((2, 5, 3)))
    assert hs.ops.conv1d(row, kernel).numpy().tolist() == [[15] * 4] * 2


def test_an_empty_batch_passes_through() -> None:
    for rule in ("fp16", "pure_fp16"):
        with hs.precision(rule):
            x, w = (
                hs.tensor(np.zeros((0, 2, 4, 4)), requires_grad=True),
                hs.tensor(np.ones((3, 2, 3, 3)), requires_grad=True),
            )
            y = hs.ops.conv2d(x, w, padding=1, stride=2)
            y.sum().backward()
            assert y.shape == (0, 3, 2, 2)
            assert w.grad is not None
            assert not w.grad.numpy().any()
            assert hs.ops.conv_transpose2d(x, hs.tensor(np.ones((2, 1, 2, 2))), stride=3).shape == (0, 1, 11, 11)


def test_autocast_runs_convolutions_in_half() -> None:
    x, w = hs.tensor(np.ones((1, 1, 3, 3)), "fp32"), hs.tensor(np.ones((1, 1, 2, 2)), "fp32")
    with hs.precision("amp"):
        assert hs.ops.conv2d(x, w).format is hs.float16
        assert hs.ops.conv_transpose1d(x[0][:, :1], w[0][:, :1]).format is hs.float16
        assert hs.ops.max_pool2d(x, 2).format is hs.float32


def test_the_trace_names_where_a_convolution_overflows() -> None:
    with hs.trace() as t:
        hs.ops.conv2d(hs.tensor(np.full((1, 9, 3, 3), 60.0), "fp16"), hs.tensor(np.full((1, 9, 3, 3), 60.0), "fp16"))
    event = t.first("overflow")
    assert event is not None
    assert (event.op, event.event.counts.overflow) == ("conv2d", 1)
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.ops.conv2d(hs.tensor(np.full((1, 1, 3, 3), 1e-5)), hs.tensor(np.full((1, 1, 3, 3), 1e-5)))
    event = t.first("underflow")
    assert event is not None
    assert (event.op, event.event.counts.flushed) == ("conv2d", 1)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_trace_sees_gradients_that_underflow(stride: int) -> None:
    with hs.precision("pure_fp16"), hs.trace() as t:
        x = hs.tensor(np.ones((1, 1, 6, 6)), requires_grad=True)
        y = hs.ops.conv2d(x, hs.tensor(np.full((1, 1, 3, 3), 1e-5)), stride=stride, padding=1)
        y.backward(np.full(y.shape, 1e-4))
    covered = {1: 36, 2: 36, 4: 25}[stride]
    counts = t.count("backward")
    assert (counts.flushed, counts.nonzero) == (covered, covered)


X, W = np.ones((1, 4, 5, 5)), np.ones((4, 2, 3, 3))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: hs.ops.conv2d(X, W),
        ValueError,
        "conv2d: input (1, 4, 5, 5) does not fit weight (4, 2, 3, 3); allowed: 2 ch",
    ),
    (lambda: hs.ops.conv2d(X[0, 0], W), ValueError, "conv2d: input (5, 5) does not fit"),
    (lambda: hs.ops.conv1d(X, W), ValueError, "conv1d: input (1, 4, 5, 5) does not fit weight"),
    (lambda: hs.ops.conv2d(X, W, np.ones(3), groups=2), ValueError, "conv2d: bias (3,) does not fit weight"),
    (lambda: hs.ops.conv2d(X, W, groups=3), ValueError, "conv2d: groups 3 does not divide weight"),
    (lambda: hs.ops.conv2d(X, W, groups=0), ValueError, "conv2d: groups 0"),
    (lambda: hs.ops.conv2d(X, W, groups=2.0), TypeError, "groups: 2.0 is not allowed; allowed: integers"),
    (
        lambda: hs.ops.conv2d(X, W, groups=2, padding="sam"),
        ValueError,
        "padding: 'sam' is not allowed (did you mean 'same'?)",
    ),
    (
        lambda: hs.ops.conv2d(X, W, groups=2, padding="same", stride=2),
        ValueError,
        "padding 'same' does not go with stride 2",
    ),
    (
        lambda: hs.ops.conv2d(X, W, groups=2, stride=0),
        ValueError,
        "conv2d: stride 0 is not allowed; allowed: an integer from 1",
    ),
    (lambda: hs.ops.conv2d(X, W, groups=2, stride=(1, 1, 1)), ValueError, "conv2d: stride (1, 1, 1) is not allowed"),
    (lambda: hs.ops.conv2d(X, W, groups=2, padding=-1), ValueError, "conv2d: padding -1"),
    (lambda: hs.ops.conv2d(X, W, groups=2, dilation="a"), TypeError, "dilation: 'a' is not allowed; allowed: integers"),
    (
        lambda: hs.ops.conv2d(X, W, groups=2, dilation=3),
        ValueError,
        "conv2d: padded input (1, 4, 5, 5) is smaller than",
    ),
    (lambda: hs.ops.conv2d(X, W[:, :0]), ValueError, "conv2d: weight (4, 0, 3, 3) has no elements"),
    (lambda: hs.ops.conv2d(X), TypeError, "conv2d: weight is missing"),
    (
        lambda: hs.ops.conv_transpose2d(X, W, output_padding=1),
        ValueError,
        "output_padding 1 is not allowed; allowed: below str",
    ),
    (
        lambda: hs.ops.conv_transpose2d(X, W, padding=9),
        ValueError,
        "conv_transpose2d: input (1, 4, 5, 5) gives no output",
    ),
    (lambda: hs.ops.conv_transpose2d(X[:, :3], W), ValueError, "does not fit weight (4, 2, 3, 3); allowed: 4 channels"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
