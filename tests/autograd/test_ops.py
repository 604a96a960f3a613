"""Every operation: gradients against finite differences in float64, values and edge cases against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import halfsim as hs
from tests.oracles import same

Function = Callable[..., hs.Tensor]

LABELS = np.array([2, 0, 1])
CASES: list[tuple[str, Function, list[tuple[int, ...]]]] = [
    ("add", lambda a, b: a + b, [(3, 4), (4,)]),
    ("add alpha", lambda a, b: hs.ops.add(a, b, alpha=-0.3), [(3, 4), (3, 1)]),
    ("sub", lambda a, b: a - b, [(3, 1), (2, 3, 4)]),
    ("mul", lambda a, b: a * b, [(3, 4), (1, 4)]),
    ("div", lambda a, b: a / b, [(3, 4), (3, 4)]),
    ("scalars", lambda a: 2 - (3 * a + 1) / 4 + 5 / a, [(3,)]),
    ("reciprocal", lambda a: hs.ops.reciprocal(a), [(3,)]),
    ("neg", lambda a: -a, [(3,)]),
    ("addcmul", lambda a, b, c: hs.ops.addcmul(a, b, c, value=0.7), [(3,), (3,), (3,)]),
    ("addcdiv", lambda a, b, c: hs.ops.addcdiv(a, b, c, value=0.7), [(3,), (3,), (3,)]),
    ("lerp near", lambda a, b: hs.ops.lerp(a, b, weight=0.1), [(3,), (3,)]),
    ("lerp far", lambda a, b: hs.ops.lerp(a, b, weight=0.8), [(3,), (3,)]),
    ("exp", lambda a: a.exp(), [(3, 4)]),
    ("log", lambda a: a.log(), [(3, 4)]),
    ("sqrt", lambda a: a.sqrt(), [(3, 4)]),
    ("tanh", lambda a: a.tanh(), [(3, 4)]),
    ("sigmoid", lambda a: hs.ops.sigmoid(a), [(3, 4)]),
    ("relu", lambda a: (a - 1).relu(), [(3, 4)]),
    ("sum", lambda a: a.sum(), [(3, 4)]),
    ("sum axis", lambda a: a.sum(axis=1, keepdims=True) * a, [(3, 4)]),
    ("sum axes", lambda a: a.sum(axis=(0, -1)), [(2, 3, 4)]),
    ("mean", lambda a: a.mean(axis=0), [(3, 4)]),
    ("var", lambda a: hs.ops.var(a), [(3, 4)]),
    ("var axis", lambda a: hs.ops.var(a, axis=1, keepdims=True, correction=0), [(3, 4)]),
    ("norm", lambda a: hs.ops.norm(a), [(3, 4)]),
    ("norm axis", lambda a: hs.ops.norm(a, axis=0), [(3, 4)]),
    ("cumsum", lambda a: hs.ops.cumsum(a, axis=1), [(3, 4)]),
    ("max", lambda a: a.max(axis=1)[0], [(3, 4)]),
    ("max axes", lambda a: a.max(axis=(0, 2), keepdims=True), [(2, 3, 4)]),
    ("max all", lambda a: a.max(), [(3, 4)]),
    ("reshape", lambda a: a.reshape(2, -1) * 2, [(3, 4)]),
    ("transpose", lambda a: a.transpose(2, 0, 1) * 2, [(2, 3, 4)]),
    ("transpose negative", lambda a: a.transpose(-1, 0, 1) * 2, [(2, 3, 4)]),
    ("transpose tuple", lambda a: a.transpose((-1, 0)), [(3, 4)]),
    ("T", lambda a: a.T @ a, [(3, 4)]),
    ("slice", lambda a: a[1:, ::2], [(3, 4)]),
    ("index", lambda a: a[np.array([0, 2, 0]), np.array([1, 1, 1])], [(3, 4)]),
    ("row", lambda a: a[1], [(3, 4)]),
    ("put", lambda a, b: hs.ops.setitem(a, b, (slice(None), 1)) * 2.0, [(3, 4), (3,)]),
    ("put at rows", lambda a, b: hs.ops.setitem(a, b, np.array([2, 0])) * 2.0, [(3, 4), (4,)]),
    ("scatter", lambda a, b: hs.ops.scatter(a, 0, np.array([[2, 0], [1, 1]]), b) * 2.0, [(3, 4), (2, 3)]),
    ("scatter_add", lambda a, b: hs.ops.scatter_add(a, 0, np.array([[2, 0], [2, 1]]), b) * 2.0, [(3, 4), (2, 3)]),
    ("scatter_reduce", lambda a, b: hs.ops.scatter_reduce(a, 0, np.array([0, 0, 2]), b, "prod"), [(3,), (3,)]),
    ("index_add", lambda a, b: hs.ops.index_add(a, 1, np.array([3, 3]), b, alpha=0.5) * 2.0, [(3, 4), (3, 2)]),
    ("sort", lambda a: hs.ops.sort(a, 0).values * hs.tensor([1.0, 2.0, 3.0, 4.0], "fp64"), [(3, 4)]),
    ("topk", lambda a: hs.ops.topk(a, 2, 1).values * 2.0, [(3, 4)]),
    ("median", lambda a: hs.ops.median(a, 1).values * 2.0, [(3, 4)]),
    ("masked_select", lambda a: hs.ops.masked_select(a, np.arange(12).reshape(3, 4) % 2 == 0) * 2.0, [(3, 4)]),
    ("masked_scatter", lambda a, b: hs.ops.masked_scatter(a, np.array([True, False, True]), b), [(3,), (2,)]),
    ("matmul", lambda a, b: a @ b, [(3, 4), (4, 2)]),
    ("matmul batch", lambda a, b: a @ b, [(2, 1, 3, 4), (5, 4, 2)]),
    ("matmul vector", lambda a, b: a @ b, [(4,), (4,)]),
    ("matmul mixed", lambda a, b: a @ b, [(3, 4), (4,)]),
    ("matmul left", lambda a, b: a @ b, [(4,), (2, 4, 3)]),
    ("linear", hs.ops.linear, [(3, 4), (5, 4), (5,)]),
    ("linear 1-d", hs.ops.linear, [(4,), (5, 4), (5,)]),
    ("linear 3-d", hs.ops.linear, [(2, 3, 4), (5, 4)]),
    ("softmax", lambda a: hs.ops.softmax(a, 0), [(3, 4)]),
    ("log_softmax", lambda a: hs.ops.log_softmax(a), [(3, 4)]),
    ("nll mean", lambda a: hs.ops.nll_loss(a, LABELS), [(3, 4)]),
    ("nll none", lambda a: hs.ops.nll_loss(a, LABELS, reduction="none"), [(3, 4)]),
    ("cross entropy", lambda a: hs.nn.cross_entropy(a, LABELS), [(3, 4)]),
    ("cross entropy sum", lambda a: hs.nn.cross_entropy(a, LABELS, reduction="sum"), [(3, 4)]),
]


def gradients(function: Function, arrays: list[np.ndarray], weights: np.ndarray) -> list[np.ndarray]:
    tensors = [hs.tensor(a, "fp64", requires_grad=True) for a in arrays]
    function(*tensors).backward(weights)
    return [np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in tensors]


@pytest.mark.parametrize(("function", "shapes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_gradients_are_finite_differences(
    function: Function, shapes: list[tuple[int, ...]], rng: np.random.Generator
) -> None:
    arrays = [rng.uniform(0.5, 2.5, shape) for shape in shapes]
    with hs.precision("fp64"):
        out = function(*(hs.tensor(a) for a in arrays))
        assert out.format is hs.float64
        weights = rng.standard_normal(out.shape)
        got = gradients(function, arrays, weights)
        for i, array in enumerate(arrays):
            for index in np.ndindex(array.shape):
                values = []
                for step in (1e-6, -1e-6):
                    moved = [a.copy() for a in arrays]
                    moved[i][index] += step
                    values.append(float((function(*(hs.tensor(a) for a in moved)).numpy() * weights).sum()))
                assert got[i][index] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-7)


@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=4),
    st.sampled_from(["add", "sub", "mul", "div"]),
)
def test_binary_operations_broadcast_as_numpy(shapes: hnp.BroadcastableShapes, name: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(1, 2, shape) for shape in shapes.input_shapes)
    x, y = hs.tensor(a, "fp64", requires_grad=True), hs.tensor(b, "fp64", requires_grad=True)
    out = getattr(hs.ops, name)(x, y)
    expected = getattr(np, {"sub": "subtract", "mul": "multiply", "div": "divide"}.get(name, name))(a, b)
    np.testing.assert_array_equal(out.numpy(), expected)
    out.sum().backward()
    for t in (x, y):
        assert t.grad is not None
        assert t.grad.shape == t.shape


def test_edges_of_relu() -> None:
    """As recorded from PyTorch: -0 stays, and NaN passes both ways."""
    x = hs.tensor([-1.0, -0.0, 0.0, 2.0, np.inf, -np.inf, np.nan], "fp16", requires_grad=True)
    y = hs.ops.relu(x)
    assert same(y.numpy(), [0, -0.0, 0, 2, np.inf, 0, np.nan]).all()
    y.backward(np.array([1, 1, 1, 1, 1, np.inf, 1]))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [0, 0, 0, 1, 1, 0, 1]


def test_equal_maxima_share_a_gradient_or_the_first_takes_it() -> None:
    """As in PyTorch: max() and amax() divide it, max(axis) gives it to the first."""
    for function, expected in (
        (lambda x: x.max(), [0, 0.5, 0.5]),
        (lambda x: x.max(axis=0).values, [0, 1, 0]),
        (lambda x: hs.ops.amax(x, 0), [0, 0.5, 0.5]),
        (lambda x: -hs.ops.min(-x), [0, 0.5, 0.5]),
        (lambda x: -hs.ops.min(-x, axis=0).values, [0, 1, 0]),
    ):
        x = hs.tensor([1.0, 3.0, 3.0], requires_grad=True)
        function(x).backward()
        assert x.grad is not None
        assert x.grad.numpy().tolist() == expected


def test_a_mean_divides_after_the_sum() -> None:
    """mean([40000] * 3) is inf where the sum is stored in half, and right where a kernel keeps it in float32."""
    x = hs.tensor([40000.0] * 3, "fp16")
    assert x.mean().item() == 40000
    with hs.precision("pure_fp16"):
        assert x.mean().item() == np.inf


def test_softmax_survives_large_logits_and_shows_all_minus_infinity() -> None:
    with hs.precision("pure_fp16"):
        np.testing.assert_array_equal(hs.ops.softmax(hs.tensor([60000.0, 60000.0, -60000.0])).numpy(), [0.5, 0.5, 0])
        assert np.isnan(hs.ops.softmax(hs.tensor([-np.inf, -np.inf])).numpy()).all()


def test_fp16_results_are_the_rounded_steps_written_out(rng: np.random.Generator) -> None:
    """pure_fp16 softmax is five rounded steps; NumPy's float16 takes each of them (exp by way of float64)."""
    x = rng.standard_normal((5, 7)).astype(np.float16)
    h = np.float16
    d = x - x.max(-1, keepdims=True)
    e = np.exp(d.astype(np.float64)).astype(h)
    s = np.zeros((5, 1), h)
    for k in range(7):
        s += e[:, k : k + 1]
    with hs.precision("pure_fp16"):
        np.testing.assert_array_equal(hs.ops.softmax(hs.tensor(x)).numpy(), e / s)
        log_s = np.log(s.astype(np.float64)).astype(h)
        np.testing.assert_array_equal(hs.ops.log_softmax(hs.tensor(x)).numpy(), d - log_s)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda a: a[::-1][::-1]])
def test_memory_layout_changes_no_bit(layout: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((20, 30)).astype(np.float16), rng.standard_normal((10, 30)).astype(np.float16)
    with hs.precision("pure_fp16"):
        expected = hs.ops.log_softmax(hs.ops.linear(hs.tensor(x), hs.tensor(w))).bits()
        a, b = hs.tensor(x), hs.tensor(w)
        a.array, b.array = layout(a.array), layout(b.array)
        np.testing.assert_array_equal(hs.ops.log_softmax(hs.ops.linear(a, b)).bits(), expected)


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: hs.ops.linear(hs.tensor([[1.0, 2.0]]), hs.tensor([[1.0]])),
        ValueError,
        "linear: input (1, 2) does not fit",
    ),
    (
        lambda: hs.tensor([[1.0, 2.0]]) @ hs.tensor([[1.0, 2.0]]),
        ValueError,
        "matmul: shapes (1, 2) and (1, 2) do not fit",
    ),
    (lambda: hs.tensor(1.0) @ hs.tensor([1.0]), ValueError, "matmul: shapes () and (1,) do not fit"),
    (lambda: hs.tensor([1.0, 2.0]).sum(axis=1), ValueError, "axis: 1 is not allowed; allowed: -1 to 0"),
    (lambda: hs.nn.cross_entropy(hs.tensor([[1.0, 2.0]]), [2]), ValueError, "target: classes 2 to 2; allowed: 0 to 1"),
    (lambda: hs.nn.cross_entropy(hs.tensor([[1.0, 2.0]]), [-1]), ValueError, "target: classes -1 to -1"),
    (lambda: hs.nn.cross_entropy(hs.tensor([[1.0, 2.0]]), [0.0]), TypeError, "target: dtype float64 is not allowed"),
    (lambda: hs.nn.cross_entropy(hs.tensor([[1.0, 2.0]]), [0, 1]), ValueError, "target: shape (2,) does not fit"),
    (lambda: hs.nn.cross_entropy(hs.tensor([[1.0]]), [0], reduction="men"), ValueError, "did you mean 'mean'"),
    (lambda: hs.tensor([1.0, 2.0]) + hs.tensor([1.0, 2.0, 3.0]), ValueError, "add: shapes (2,) and (3,) do not fit"),
    (
        lambda: hs.ops.linear(hs.tensor([[1.0]]), hs.tensor([[1.0]]), hs.tensor([[1.0]])),
        ValueError,
        "linear: bias (1, 1)",
    ),
    (lambda: hs.nn.cross_entropy(hs.tensor([[1.0]]), [[0], [1, 2]]), ValueError, "target: rows of unequal length"),
    (lambda: hs.tensor(np.zeros((0, 3))).max(axis=0), ValueError, "axis: 0 of an input (0, 3) has no elements"),
    (lambda: hs.tensor([1.0]) + "a", TypeError, "x: 'a' is not allowed; allowed: numbers, arrays, tensors"),
    (lambda: hs.tensor([1.0]) + None, TypeError, "add: b is missing; allowed: a tensor"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_batches_pass_through() -> None:
    x, w, b = hs.tensor(np.zeros((0, 4)), "fp16"), hs.tensor(np.ones((2, 4)), "fp16"), hs.tensor([1.0, 2.0], "fp16")
    for rule in ("fp16", "pure_fp16"):
        with hs.precision(rule):
            assert hs.ops.relu(hs.ops.linear(x, w, b)).shape == (0, 2)
            assert x.sum().item() == 0
            assert np.isnan(x.mean().item())


def test_axes_without_elements() -> None:
    for rule in ("fp16", "pure_fp16"):
        with hs.precision(rule):
            assert hs.ops.softmax(hs.tensor(np.zeros((3, 0)))).shape == (3, 0)
            assert hs.ops.log_softmax(hs.tensor(np.zeros((0, 3)))).shape == (0, 3)
            assert hs.tensor(np.zeros((0, 3))).max(axis=1).values.shape == (0,)
            assert (
                hs.ops.linear(hs.tensor(np.zeros((2, 0))), hs.tensor(np.zeros((3, 0)))).numpy().tolist()
                == [[0] * 3] * 2
            )


def test_axes_may_be_numpy_integers() -> None:
    x = hs.tensor([[1.0, 2.0]])
    assert x.sum(axis=np.int64(1)).item() == 3
    assert hs.ops.softmax(x, np.int64(-1)).shape == (1, 2)


def test_a_sigmoid_far_to_the_left_is_gradual() -> None:
    assert hs.ops.sigmoid(hs.tensor([-720.0], "fp64")).item() == pytest.approx(np.exp(-720.0), rel=1e-12)


def test_moments_and_norms_overflow_where_a_library_in_half_does() -> None:
    """np.var([40000] * 3) and np.linalg.norm([300] * 10) are infinite in half; with float32 inside they are right."""
    x, y = hs.tensor([40000.0, 40000.0, 39968.0], "fp16"), hs.tensor([300.0] * 10, "fp16")
    assert hs.ops.var(x).item() == np.float16(np.var([40000, 40000, 39968], ddof=1))
    assert hs.ops.norm(y).item() == np.float16(np.sqrt(10) * 300)
    with hs.precision("pure_fp16"):
        assert hs.ops.var(x).item() == np.inf
        assert hs.ops.norm(y).item() == np.inf
    zero = hs.tensor([0.0, 0.0], requires_grad=True)
    hs.ops.norm(zero).backward()
    assert zero.grad is not None
    assert zero.grad.numpy().tolist() == [0, 0]


def test_a_running_sum_in_half_stops_at_2048() -> None:
    ones = hs.tensor(np.ones(3000), "fp16")
    with hs.precision("pure_fp16"):
        assert hs.ops.cumsum(ones)[-1].item() == 2048
        np.testing.assert_array_equal(
            hs.ops.cumsum(ones).numpy(), np.cumsum(np.ones(3000, np.float16), dtype=np.float16)
        )
    assert hs.ops.cumsum(ones)[-1].item() == 3000


@pytest.mark.parametrize(
    "how", ["fp16:pairwise", "fp16:blocked(4)", "fp16:kahan", "fp16:sequential+fma", "exact", "fp32:neumaier"]
)
def test_every_accumulator_serves_the_engine(how: str, rng: np.random.Generator) -> None:
    with hs.precision(f"storage=fp16, accumulate={how}"):
        x = hs.tensor(rng.standard_normal((4, 6)), requires_grad=True)
        w = hs.tensor(rng.standard_normal((3, 6)), requires_grad=True)
        loss = hs.nn.cross_entropy(hs.ops.linear(x, w), [0, 1, 2, 0])
        loss.backward()
    assert x.grad is not None
    with hs.precision("fp64"):
        y = hs.tensor(x.numpy(), "fp64", requires_grad=True)
        hs.nn.cross_entropy(hs.ops.linear(y, w.detach()), [0, 1, 2, 0]).backward()
    assert y.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), atol=2e-2)


def test_a_variance_with_nothing_left_over() -> None:
    """Its divisor is not negative: infinite where the terms differ, NaN where there are none, as NumPy and PyTorch."""
    x = hs.tensor([1.0, 3.0])
    assert hs.ops.var(x, correction=3).item() == hs.ops.std(x, correction=2).item() == np.inf
    assert np.isnan(hs.ops.var(hs.tensor([2.0])).item())
    assert np.isnan(hs.ops.var(hs.tensor(np.zeros(0))).item())
    assert hs.ops.var(x, correction=None).item() == 2
    assert (x.var(False).item(), x.var(True).item(), x.std(False).item()) == (1, 2, 1)
    assert x.var(0).shape == ()
