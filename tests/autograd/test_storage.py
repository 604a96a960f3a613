"""Memory that tensors share: views, what is written through them, and where it leaves them on the tape."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs


def leaf(values: Any, requires_grad: bool = True) -> hs.Tensor:
    return hs.tensor(values, "fp64", requires_grad=requires_grad)


# Views and changes in place by names that PyTorch and halfsim share; NumPy's are beside them.
VIEWS: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (lambda x: x[0], lambda a: a[0, ...]),
    (lambda x: x[-1:], lambda a: a[-1:]),
    (lambda x: x[..., ::2], lambda a: a[..., ::2]),
    (lambda x: x[:, None], lambda a: a[:, None]),
    (lambda x: x.reshape(-1), lambda a: a.reshape(-1)),
    (lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, -1)),
    (lambda x: x.unsqueeze(0), lambda a: a[None]),
    (lambda x: x.squeeze(), lambda a: a.squeeze()),
    (lambda x: x.select(-1, 0), lambda a: a[..., 0, ...]),
    (lambda x: x.narrow(0, 0, 1), lambda a: a[:1]),
    (lambda x: x.chunk(2)[0], lambda a: a[: (len(a) + 1) // 2]),
    (lambda x: x.unbind()[-1], lambda a: a[-1, ...]),
    (lambda x: x.unfold(0, 1, 1), lambda a: np.moveaxis(a[None], 0, -1)),
    (lambda x: x.detach(), lambda a: a),
    (lambda x: x.data, lambda a: a),
    (lambda x: x.clone(), lambda a: a.copy()),
]
CHANGES: list[tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = [
    (lambda x, y: x.mul_(0.5), lambda a, b: np.multiply(a, 0.5, out=a)),
    (lambda x, y: x.add_(1.5), lambda a, b: np.add(a, 1.5, out=a)),
    (lambda x, y: x.sin_(), lambda a, b: np.sin(a, out=a)),
    (lambda x, y: x.zero_(), lambda a, b: a.fill(0)),
    (lambda x, y: x.copy_(y), lambda a, b: np.copyto(a, b.copy())),
    (lambda x, y: x.sub_(y), lambda a, b: np.subtract(a, b.copy(), out=a)),
    (lambda x, y: x.__setitem__(0, y[0]), lambda a, b: a.__setitem__(0, b[0].copy())),
    (lambda x, y: x.__setitem__(..., 2.0), lambda a, b: a.fill(2.0)),
    (lambda x, y: x.__setitem__(x > 0.5, -1.0), lambda a, b: a.__setitem__(a > 0.5, -1.0)),
]


def _program(seed: int) -> list[tuple[int, ...]]:
    draw = random.Random(seed)
    return [
        (draw.randrange(3), draw.randrange(99), draw.randrange(99), draw.randrange(99))
        for _ in range(draw.randint(3, 12))
    ]


def _run(program: list[tuple[int, ...]], given: list[Any], way: int, failed: set[int]) -> list[Any]:
    """What the program leaves; steps that fail, which the first run finds, are left out."""
    held = list(given)
    for step, (kind, i, j, k) in enumerate(program):
        if step in failed:
            continue
        x, y = held[i % len(held)], held[j % len(held)]
        try:
            if kind == 0:
                held.append(VIEWS[k % len(VIEWS)][way](x))
            elif kind == 1:
                held.append(x * 2.0 if k % 2 else x * y)
            else:
                CHANGES[k % len(CHANGES)][way](x, y)
        except (ValueError, IndexError):
            if not way:
                raise
            failed.add(step)
    return held


def _numpy_first(seed: int) -> tuple[list[tuple[int, ...]], list[Any], set[int]]:
    """The program without steps at which shapes do not fit, and what NumPy makes of it."""
    program, failed = _program(seed), set[int]()
    start = [np.arange(6.0).reshape(2, 3) / 4 - 0.6, np.arange(3.0) / 2 - 0.4]
    for step in range(len(program)):  # a step that fails half way may have written: run anew without it
        before = len(failed)
        arrays = _run(program[: step + 1], [a.copy() for a in start], 1, failed)
        if len(failed) > before:
            arrays = _run(program[: step + 1], [a.copy() for a in start], 1, failed)
    return program, arrays, failed


@pytest.mark.parametrize("block", range(8))
def test_random_programs_leave_what_numpy_leaves(block: int) -> None:
    for seed in range(40 * block, 40 * block + 40):
        program, expected, failed = _numpy_first(seed)
        given = [leaf(np.arange(6.0).reshape(2, 3) / 4 - 0.6, False), leaf(np.arange(3.0) / 2 - 0.4, False)]
        found = _run(program, given, 0, failed)
        for x, a in zip(found, expected, strict=True):
            np.testing.assert_allclose(x.numpy(), a, rtol=1e-14, err_msg=f"seed {seed}: {program}")


def _gradients(module: Any, program: list[tuple[int, ...]], failed: set[int]) -> tuple[list[Any], list[Any]]:
    """The values that the program leaves, and the gradients of a sum of all of them."""
    given = [np.arange(6.0).reshape(2, 3) / 4 - 0.6, np.arange(3.0) / 2 - 0.4]
    leaves = [module.tensor(a, dtype=module.float64, requires_grad=True) for a in given]
    held, loss = _run(program, [x * 1.0 for x in leaves], 0, failed), 0.0 * leaves[0].sum()
    for x in held:
        loss = loss + (x * module.tensor(np.cos(np.arange(x.numel())).reshape(tuple(x.shape)))).sum()
    loss.backward()
    return [x.detach().numpy() for x in held], [np.zeros(1) if x.grad is None else x.grad.numpy() for x in leaves]


@pytest.mark.parametrize("block", range(8))
def test_random_programs_have_pytorchs_gradients(block: int) -> None:
    torch = pytest.importorskip("torch")
    met = 0
    for seed in range(25 * block, 25 * block + 25):
        program, _, failed = _numpy_first(seed)
        ours = _gradients(hs, program, failed)
        try:
            expected = _gradients(torch, program, failed)
        except (RuntimeError, IndexError):  # values that a gradient needs were changed: refused there, right here
            continue
        met += 1
        for x, y in zip(expected[0] + expected[1], ours[0] + ours[1], strict=True):
            np.testing.assert_allclose(y + 0 * x, x + 0 * y, rtol=1e-12, atol=1e-12, err_msg=f"seed {seed}: {program}")
    assert met > 8


def test_an_operation_keeps_where_its_operand_stood() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2.0
    z = y * 3.0
    y.mul_(5.0)
    (z.sum() + y.sum()).backward()
    assert x.grad.tolist() == [16.0, 16.0]


def test_an_operand_that_took_no_gradient_takes_none_later() -> None:
    a, b, w = leaf([1.0]), leaf([3.0], False), leaf([5.0])
    y = a * b
    b.copy_(w)
    y.backward()
    assert (a.grad.item(), w.grad) == (3.0, None)


def test_a_masked_part_is_changed_with_its_gradient() -> None:
    x = leaf([1.0, 2.0, 3.0])
    y = x.clone()
    y[y > 1.5] *= 2.0
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([1.0, 4.0, 6.0], [1.0, 2.0, 2.0])


def test_what_is_written_through_a_view_reaches_its_base_and_its_siblings() -> None:
    x = leaf([1.0, 2.0, 3.0])
    h = x * 1.0
    first, middle, everything = h[:2], h[1], h.view(3, 1)
    first.mul_(10.0)
    assert (h.tolist(), middle.item(), everything.tolist()) == ([10.0, 20.0, 3.0], 20.0, [[10.0], [20.0], [3.0]])
    (middle + everything.sum()).backward()
    assert x.grad.tolist() == [10.0, 20.0, 1.0]


def test_a_base_off_the_tape_goes_there_with_its_views() -> None:
    buffer, w = leaf(np.zeros(4), False), leaf([5.0, 6.0])
    sibling = buffer[1:3]
    buffer[:2].copy_(w)
    (sibling * leaf([2.0, 3.0], False)).sum().backward()
    assert (buffer.tolist(), w.grad.tolist()) == ([5.0, 6.0, 0.0, 0.0], [0.0, 2.0])


def test_detached_views_write_values_alone() -> None:
    x = leaf([1.0, 2.0])
    h = x * 1.0
    h[:1].detach().copy_(leaf([7.0]))
    h.sum().backward()
    assert (h.tolist(), x.grad.tolist()) == ([7.0, 2.0], [1.0, 1.0])


def test_transposed_in_place_shares_memory_still() -> None:
    x = leaf([[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]], False)
    row = x[0]
    x.t_()
    row.add_(1.0)
    x[0].mul_(2.0)
    assert (x.tolist(), row.tolist()) == ([[4.0, 6.0], [3.0, 4.0], [6.0, 6.0]], [4.0, 3.0, 6.0])
    w = leaf([[1.0, 2.0, 3.0]])
    y = w * 1.0
    part = y[0, 1:]
    y.squeeze_().mul_(3.0)
    (part * leaf([1.0, 2.0], False)).sum().backward()
    assert w.grad.tolist() == [[0.0, 3.0, 6.0]]


def test_views_of_views_to_any_depth() -> None:
    x = leaf(np.arange(8.0))
    h = x * 1.0
    v = h
    for i in range(50):
        v = v.view(2, 4) if i % 2 == 0 else v.view(8)
    v.mul_(2.0)
    h.sum().backward()
    assert (h.tolist(), x.grad.tolist()) == ([2.0 * i for i in range(8)], [2.0] * 8)


def test_copies_are_no_views() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3), False)
    for y in (
        x.t().contiguous(),
        x[:, :2].reshape(-1),
        x.t().reshape(-1),
        x.flip(0),
        x[[0]],
        x.repeat(1, 1),
        x.clone(),
    ):
        y.add_(100.0)
        assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert not x.t().is_contiguous()
    assert x.t().contiguous().is_contiguous()


def test_parameters_and_those_who_share_their_values() -> None:
    layer = hs.nn.Linear(2, 2)
    state, weight = layer.state_dict(), layer.weight.detach()
    layer(hs.ones(1, 2)).sum().backward()
    hs.optim.SGD(layer.parameters(), lr=0.5).step()
    assert (state["weight"] == layer.weight).all()
    assert (weight == layer.weight).all()
    with hs.no_grad():
        layer.weight[0].fill_(3.0)
    layer.weight.data[1] = 4.0
    assert weight.tolist() == [[3.0, 3.0], [4.0, 4.0]]


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: leaf([1.0]).add_(1.0), "a leaf that takes a gradient"),
    (lambda: leaf([1.0])[0].add_(1.0), "a view of a leaf that takes a gradient"),
    (lambda: leaf([1.0]).unsqueeze_(0), "a leaf that takes a gradient keeps its shape"),
    (lambda: _made_quietly(leaf([1.0])).add_(1.0), "made under no_grad"),
    (lambda: leaf([1.0], False).expand(3, 1).add_(1.0), "several values of an expanded tensor"),
    (lambda: leaf([1.0, 2.0, 3.0], False).unfold(0, 2, 1).add_(1.0), "several values of an expanded tensor"),
    (lambda: leaf([1.0], False).add_(hs.ones(2)), r"shape \(2,\) does not fit \(1,\)"),
    (lambda: leaf(1.0, False).add_(hs.ones(1)), r"shape \(1,\) does not fit \(\)"),
    (lambda: hs.tensor([1]).add_(1.5), "float32 does not fit a tensor of int64"),
    (lambda: hs.tensor([1]).div_(2), "float32 does not fit a tensor of int64"),
    (lambda: hs.tensor([True]).add_(1), "int64 does not fit a tensor of bool"),
]


def _made_quietly(x: hs.Tensor) -> Any:
    with hs.no_grad():
        return x[:1]


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_what_cannot_be_changed_in_place(call: Callable[[], object], text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        call()


def test_formats_stay_in_place() -> None:
    x = hs.tensor([1.0, 2048.0], "fp16")
    x += hs.tensor([1e-4, 1.0], "fp32")
    assert (x.format, x.tolist()) == (hs.float16, [1.0, 2048.0])
    byte = hs.tensor([1, 250], dtype="uint8")
    byte += hs.tensor([-2, 10])
    assert byte.tolist() == [255, 4]
    assert hs.zeros(0).add_(1.0).mul_(2.0).shape == (0,)
    y = leaf([1.0, 2.0]) * 1.0
    y.eq_(1.0)
    y.sum().backward()
    assert y.tolist() == [1.0, 0.0]


def test_in_a_narrower_precision_a_part_is_rounded_and_still_a_part() -> None:
    p = hs.nn.Parameter(hs.tensor([[1.1, 2.2], [3.3, 4.4]]))
    with hs.precision("fp16"), hs.no_grad():
        row, flat = p[0], p.view(-1)
        assert (row.dtype, row.tolist()) == (hs.float16, np.float16([1.1, 2.2]).tolist())
        flat[3] = 0.1
        assert p.tolist() == [*np.float32([[1.1, 2.2]]).tolist(), [float(np.float32(3.3)), float(np.float16(0.1))]]
        row.zero_()
        assert flat.tolist() == [0, 0, *np.float16([3.3, 0.1]).tolist()]
        p.fill_(0.3)
        assert row.tolist() == [float(np.float16(0.3))] * 2
    assert p.dtype == hs.float32


def test_moving_bfloat16_copies_nothing_more_than_moving_float16() -> None:
    """Its numbers are float32's: a transposed or reshaped tensor is a view, and reading it for a kernel too."""
    for fmt in ("float16", "bfloat16", "tfloat32", "float8_e5m2"):
        x = hs.tensor(np.ones((4, 6)), fmt)
        assert x.array.dtype == np.float32
        with hs.precision(hs.Precision(storage=fmt)):
            for y in (x.T, x.reshape(6, 4), x[1:], x.reshape(2, 12).T):
                assert np.shares_memory(x.array, y.array)


def test_bfloat16_in_float32_is_rounded_once_down_to_its_smallest_number() -> None:
    """Every step in bfloat16 itself: products in its subnormal range, where float32 would round twice."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**16, (2, 4000), dtype=np.uint16)
    a, b = (v[np.isfinite(v)] for v in hs.decode(codes, "bfloat16"))
    a, b = a[:3000] * 2.0**-64, b[:3000] * 2.0**-64
    a, b = hs.round_to(a, "bfloat16"), hs.round_to(b, "bfloat16")
    with hs.precision("storage=bf16, compute=bf16, accumulate=fp32:sequential"):
        got = (hs.tensor(a, "bf16") * hs.tensor(b, "bf16")).array
    np.testing.assert_array_equal(got, hs.round_to(a * b, "bfloat16"))  # float64 holds each product
