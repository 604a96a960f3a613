from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import halfsim as hs


def test_values_are_carried_on_the_grid() -> None:
    t = hs.tensor([1, 0.1, 65520, 1e-9, -0.0], "fp16")
    assert t.array.dtype == np.float32
    assert t.numpy().dtype == np.float16
    assert [hex(b) for b in t.bits()] == ["0x3c00", "0x2e66", "0x7c00", "0x0", "0x8000"]
    assert t.nbytes == 10


def test_formats_come_from_argument_scope_and_dtype() -> None:
    assert hs.tensor(np.ones(2, np.float16)).format is hs.float16
    assert hs.tensor(np.ones(2)).format is hs.float64
    assert hs.tensor([1.0, 2]).format is hs.float32
    assert hs.tensor([1, 2]).dtype is hs.tensor(np.arange(3)).dtype is hs.int64
    assert hs.tensor([True]).dtype is hs.bool
    with hs.precision("fp16"):
        assert hs.tensor(np.ones(2)).format is hs.float16
        assert hs.tensor(np.ones(2), "fp64").format is hs.float64


def test_a_list_of_tensors_may_hold_large_numbers() -> None:
    parts = [hs.tensor(2.0**60, "fp64"), hs.tensor(1.0, "fp64")]
    assert hs.tensor(parts, "fp64").tolist() == [2.0**60, 1.0]
    assert hs.tensor([[hs.tensor(2**60), 1.5]], "fp64").tolist() == [[2.0**60, 1.5]]


def test_exact_numbers_round_once() -> None:
    assert hs.tensor(Fraction(1, 3), "fp16").bits() == 0x3555
    assert hs.tensor("0.1", "fp16").bits() == 0x2E66


def test_python_numbers_do_not_widen_and_reach_the_kernel_whole() -> None:
    """As in a framework's kernel, 1e-5 * 1e10 is computed wide and stored narrow."""
    t = hs.tensor([2.0**-14], "fp16")
    assert (t * 1e8).format is hs.float16
    assert (t * 1e8).item() == np.float16(2.0**-14 * 1e8)
    with hs.precision("pure_fp16"):
        assert (t * 1e8).item() == np.inf
    assert (1 - t).item() == 1
    assert (2 / hs.tensor([4.0], "fp16")).item() == 0.5


def test_arrays_adopt_the_tensors_format_on_either_side() -> None:
    t = hs.tensor([1.0, 2.0], "fp16")
    for result in (t + np.array([1.0, 1.0]), np.array([1.0, 1.0]) + t, np.int64(1) + t, np.array([1, 1]) + t):
        assert isinstance(result, hs.Tensor)
        assert result.format is hs.float16
        assert result.numpy().tolist() == [2, 3]
    assert (np.eye(2) @ t.reshape(2, 1)).numpy().tolist() == [[1], [2]]


def test_sizes_are_asked_for_along_every_axis() -> None:
    x = hs.tensor(np.zeros((2, 3, 5)))
    assert [x.size(dim) for dim in range(-3, 3)] == [2, 3, 5, 2, 3, 5]
    for other, dim in ((x, 3), (x, -4), (hs.tensor(1.0), 0), (hs.tensor(1.0), -1)):
        with pytest.raises(IndexError, match=rf"^dim: {dim} is not allowed; allowed: axes of "):
            other.size(dim)


def test_integers_of_which_a_precision_made_floats_still_count() -> None:
    table = np.arange(3000.0)[:, None] % 8
    with hs.precision("fp16"):
        rows = hs.tensor([2049, 3])
        assert rows.tolist() == [2048, 3]
        assert hs.embedding(rows, table).tolist() == [[1], [3]]
        rows.array = rows.array + 1
        with pytest.raises(TypeError, match="^input: dtype float16 is not allowed; allowed: integers$"):
            hs.embedding(rows, table)


def test_it_behaves_as_a_sequence_a_number_and_an_array() -> None:
    t = hs.tensor([[1.0, 2.0], [3.0, 4.0]], "fp16")
    assert (len(t), t.shape, t.ndim, t.size) == (2, (2, 2), 2, 4)
    assert [row.numpy().tolist() for row in t] == [[1, 2], [3, 4]]
    assert t[0, 1].item() == 2
    assert float(t[1, 1]) == 4
    assert bool(t[0, 0])
    assert np.asarray(t).dtype == np.float16
    assert np.asarray(t, np.float64).dtype == np.float64
    assert (t > 2).tolist() == [[False, False], [True, True]]
    assert (t == t).all()
    assert len({t, t}) == 1
    with pytest.raises(TypeError, match="0-d"):
        len(t[0, 0])
    with pytest.raises(ValueError, match="item: a tensor of 4 values"):
        t.item()


def test_repr_shows_format_and_gradient() -> None:
    assert repr(hs.tensor([0.1], "fp16", requires_grad=True)) == "tensor([0.1], float16, requires_grad=True)"


def test_operations_never_write_into_operands() -> None:
    values = np.array([1.0, 2.0], np.float32)
    t = hs.tensor(values)
    values[:] = 9
    assert t.numpy().tolist() == [1, 2]
    t.array.flags.writeable = False
    ((t + 1) * t - t / 2).sum()


def test_conversion_rounds_and_is_on_the_tape() -> None:
    t = hs.tensor([0.1, 1e-9], "fp32", requires_grad=True)
    half = t.half()
    assert half.format is hs.float16
    assert t.to("fp32") is t
    (half.float() * hs.tensor([3.0, 1e-10])).sum().backward()
    assert t.grad is not None
    assert t.grad.format is hs.float32
    assert t.grad.numpy().tolist() == [3, 0], "1e-10 does not survive the way back through half"


def test_copies_and_pickles_keep_bits() -> None:
    t = hs.tensor([0.1, np.inf, -0.0], "fp16", requires_grad=True)
    for other in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        np.testing.assert_array_equal(other.bits(), t.bits())
        assert other.requires_grad
        assert other.format == hs.float16


def test_python_numbers_are_compared_in_the_tensors_format() -> None:
    t = hs.tensor([0.1, 65520.0, 2049.0], "fp16")
    assert (t == 0.1).tolist() == [True, False, False]
    assert (t == 65520).tolist() == [False, True, False]
    assert not (t < 0.1).any()
    assert (t == None) is False  # noqa: E711
    assert (t == "a") is False
    with np.errstate(all="raise"):
        assert not (t == 1e300)[0]


def test_copies_of_results_are_off_the_tape() -> None:
    x = hs.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + 1.0
    for other in (copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert other.is_leaf
        assert other.item() == 3001


def test_the_callers_arrays_may_change_later() -> None:
    buffer = np.ones(4, np.float32)
    moved = hs.ops.reshape(buffer, (2, 2))
    buffer[:] = 7
    assert moved.numpy().max() == 1


def test_huge_integers_are_numbers_too() -> None:
    assert (hs.tensor([3.0], "fp16") + 2**2000).item() == np.inf


def test_numbers_are_weak() -> None:
    """NumPy's as well as Python's: `scores / np.sqrt(d)` stays in half, as in PyTorch."""
    t = hs.tensor([1.0, 2.0], "fp16")
    numbers = (2, 2.5, True, np.float16(2), np.float32(2), np.float64(2), np.longdouble(2), np.int64(2), np.bool_(True))
    for x in numbers:
        for y in (x * t, t * x, x / t, t / x, t**x, x - t, np.multiply(t, x), hs.ops.maximum(t, x), t.clamp(x, x)):
            assert y.format == hs.float16, x
        assert hs.ops.where(t > x, t, x).format == hs.float16
        assert hs.ops.masked_fill(t, t > x, x).format == hs.float16
    assert hs.ops.add(np.float32(1), np.float64(2)).format == hs.float64, "without a tensor, the widest"
    assert (t * np.ones(2)).format == (np.array(2.0) * t).format == hs.float16, "arrays adopt the tensor's format"


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble])
def test_a_number_of_numpy_is_a_constant_of_the_kernel(kind: Any) -> None:
    """It stays in ``compute``, as Python's does: it is not rounded to half on the way."""
    t = hs.tensor([3.0, 7.0], "fp16")
    wide = float(kind(0.1))
    for rule in (None, "fp16", "pure_fp16"):
        with hs.precision(rule or "promote"):
            np.testing.assert_array_equal((t * kind(0.1)).bits(), (t * wide).bits())
            np.testing.assert_array_equal((kind(0.1) * t).bits(), (wide * t).bits())
            np.testing.assert_array_equal((kind(0.1) / t).bits(), (wide / t).bits())


def test_comparisons_round_numbers_to_the_format() -> None:
    """So `tensor(0.1, "fp16") == 0.1`, whichever side the number is on and whoever made it."""
    t = hs.tensor([0.3], "fp16")
    for x in (0.3, np.float16(0.3), np.float32(0.3), np.float64(0.3), np.array(0.3)):
        assert (t == x).all()
        assert (x == t).all()
        assert (t <= x).all() and (x <= t).all() and (t >= x).all() and (x >= t).all()  # noqa: PT018
        assert not (t < x).any() and not (x < t).any() and not (t != x).any() and not (x != t).any()  # noqa: PT018
        assert np.equal(t, x).all() and np.less_equal(x, t).all() and not np.greater(x, t).any()  # noqa: PT018
    assert (t == np.array([0.3])).tolist() == [False], "an array's numbers are compared as they are"
    assert (hs.tensor([1.0]) < np.float64(2)).tolist() == (np.float64(1) < hs.tensor([2.0])).tolist() == [True]
    assert (t == "0.3") is False


def test_numpys_functions_run_on_the_unit_or_are_refused_by_name() -> None:
    t = hs.tensor([[1.0, 2.0], [3.0, 4.0]], "fp16", requires_grad=True)
    for function in (np.exp, np.sqrt, np.tanh, np.negative, np.sum, np.mean, np.max, np.transpose):
        result = function(t)
        assert isinstance(result, hs.Tensor)
        assert result.format == hs.float16
        assert result.requires_grad
        np.testing.assert_allclose(result.numpy(), function(t.numpy().astype(np.float32)), rtol=2**-11)
    assert np.sum(t, axis=0, keepdims=True).shape == (1, 2)
    assert np.add(t, np.ones(2)).format == hs.float16
    assert np.matmul(t, t).shape == np.reshape(t, (2, 2)).shape
    assert np.isfinite(t).all()
    assert np.shape(t) == (2, 2)
    assert np.array_equal(t, t.numpy())
    for refused, name in (
        (lambda: np.isnat(t), "numpy.isnat"),
        (lambda: np.add.reduce(t), "numpy.add.reduce"),
        (lambda: np.exp(t, out=np.empty((2, 2))), "numpy.exp with out="),
        (lambda: np.roots(t), "numpy.roots"),
        (lambda: np.linalg.svd(t), "numpy.linalg.svd"),
        (lambda: np.linalg.eigvals(t), "numpy.linalg.eigvals"),
        (lambda: np.fft.fft(t), "numpy.fft.fft"),
        (lambda: np.sum(t, out=np.empty(())), "numpy.sum with out="),
        (lambda: np.median(t, None, np.empty(())), "numpy.median with out="),
        (lambda: np.nanquantile(t, 0.5, weights=t), "numpy.nanquantile with weights="),
        (lambda: np.cov(t, dtype=np.float32), "numpy.cov with dtype="),
    ):
        with pytest.raises(TypeError, match=f"{name} is not simulated"):
            refused()


def test_dlpack_hands_out_a_copy() -> None:
    t = hs.tensor([1.0, 2.0], "fp16")
    view = np.from_dlpack(t)
    assert view.dtype == np.float16
    assert view.tolist() == [1, 2]
    with pytest.raises(BufferError, match="bfloat16 has no NumPy dtype"):
        np.from_dlpack(hs.tensor([1.0], "bf16"))


def test_arrays_are_copies() -> None:
    t = hs.tensor([1.0], "fp32")
    np.asarray(t)[0] = 5
    assert t.item() == 1
    with pytest.raises(ValueError, match="copy: False is not allowed"):
        np.array(t, copy=False)


def test_one_value_is_formatted_as_a_float() -> None:
    loss = hs.tensor(0.5, "fp16")
    assert f"{loss:.3f}" == "0.500"
    assert f"{loss}" == str(loss)
    assert int(hs.tensor([3.7])) == 3
    with pytest.raises(ValueError, match="item: a tensor of 2 values"):
        format(hs.tensor([1.0, 2.0]), ".2f")


def test_arrays_of_the_other_byte_order_keep_their_format() -> None:
    assert hs.tensor(np.array([0.1], ">f8")).format is hs.float64
    assert hs.tensor(np.array([0.1], ">f2")).format is hs.float16


def test_a_step_by_hand_moves_the_parameters() -> None:
    model = hs.nn.Linear(2, 1, bias=False).to("fp16")
    model.load_state_dict({"weight": [[1.0, 2.0]]})
    model(hs.tensor([[1.0, 1.0]], "fp16")).sum().backward()
    before = model.weight.array
    with hs.no_grad():
        for p in model.parameters():
            p -= 0.5 * p.grad
        model.weight *= 2
    assert model.weight.tolist() == [[1.0, 3.0]]
    assert model.weight.format is hs.float16
    assert before.tolist() == [[1.0, 2.0]]
    with pytest.raises(RuntimeError, match="in place: a leaf that takes a gradient"):
        model.weight += 1
    with hs.no_grad(), pytest.raises(RuntimeError, match=r"in place: shape \(3, 2\) does not fit \(1, 2\)"):
        model.weight += np.ones((3, 2))
    x = y = hs.tensor([1.0])
    x += 1
    assert x is y
    assert (x.item(), y.item()) == (2, 2)


@pytest.mark.parametrize("scalar", [np.float32, np.float64, np.int64, np.float16, np.longdouble, lambda v: np.array(v)])
@pytest.mark.parametrize(
    "form",
    [
        lambda t, s: t * s,
        lambda t, s: s * t,
        lambda t, s: t / s,
        lambda t, s: s / t,
        lambda t, s: t - s,
        lambda t, s: s - t,
        lambda t, s: t**s,
        lambda t, s: s**t,
        lambda t, s: t // s,
        lambda t, s: s % t,
        lambda t, s: np.maximum(t, s),
        lambda t, s: np.add(s, t),
    ],
)
def test_numpys_scalars_adopt_the_format_of_a_tensor(form: Any, scalar: Any) -> None:
    t, x = hs.tensor([1.5, 2.0], "fp16"), np.float16([1.5, 2.0])
    got = form(t, scalar(2))
    assert got.format == hs.float16
    np.testing.assert_array_equal(got.numpy(), form(x, np.float16(2)))


def test_in_place_numpys_scalars_adopt_it_too() -> None:
    t = hs.tensor([1.0, 2.0], "fp16")
    t += np.float64(1)
    t /= np.sqrt(64)
    t *= np.array(4.0, np.float32)
    assert t.format == hs.float16
    assert t.tolist() == [1.0, 1.5]
    scores = hs.tensor([[3.0]], "fp16") / np.sqrt(64)
    assert (scores.format, scores.item()) == (hs.float16, 0.375)


def test_numpys_names_of_casts() -> None:
    t = hs.tensor([1.5, 2.5], "fp16", requires_grad=True)
    assert t.itemsize == 2
    assert t.astype(np.float32).itemsize == 4
    assert t.astype("float64", copy=False).format == hs.float64
    assert t.astype(int).tolist() == [1, 2]
    t.copy().astype(np.float32).sum().backward()
    assert t.grad is not None
    assert t.grad.tolist() == [1.0, 1.0]
