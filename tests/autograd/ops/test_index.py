"""Indexing as PyTorch does it: against recorded shapes and values, and live against PyTorch where it is installed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs

VALUES = np.arange(24.0).reshape(2, 3, 4)


def _index(seed: int) -> Callable[[Any], Any]:
    """A random index of every kind of part, made of a module's own tensors."""
    draw, parts = random.Random(seed), []
    for axis in range(draw.randint(1, 3)):
        n = VALUES.shape[axis]
        parts.append((draw.randrange(13), n, draw.randrange(-n, n), draw.randrange(-n, n)))

    dots = draw.random() < 0.3

    def build(m: Any) -> Any:
        made = []
        for kind, n, a, b in parts:
            truths = [i % 2 == 0 for i in range(n)]
            choices = (
                a, slice(None), slice(a, None), slice(None, b, 2), None, [a, b], np.array([a, b]), m.tensor([a, b]),
                m.tensor(a), m.tensor([[a], [b]]), m.tensor(truths), truths, np.int64(b),
            )  # fmt: skip
            made.append(choices[kind])
        return (*made, ...) if dots else tuple(made)

    return build


def _outcome(m: Any, index: Any) -> list[Any]:
    x = m.tensor(VALUES, dtype=m.float64, requires_grad=True)
    v = m.tensor(-3.0, dtype=m.float64, requires_grad=True)
    picked, y = x[index], x * 1.0
    y[index] = v
    whole = m.tensor(VALUES.astype(np.int64))
    whole[index] += 1
    ((picked**2).sum() + (y**3).sum()).backward()
    return [picked.detach(), y.detach(), whole, x.grad, v.grad]


@pytest.mark.parametrize("block", range(6))
def test_random_indices_read_and_write_as_pytorchs(block: int) -> None:
    torch = pytest.importorskip("torch")
    met = 0
    for seed in range(60 * block, 60 * block + 60):
        build = _index(seed)
        try:
            expected = _outcome(torch, build(torch))
        except (IndexError, RuntimeError):
            with pytest.raises((IndexError, ValueError)):
                _outcome(hs, build(hs))
            continue
        met += 1
        for a, b in zip(expected, _outcome(hs, build(hs)), strict=True):
            np.testing.assert_array_equal(b.numpy(), a.numpy(), err_msg=f"seed {seed}: {build(hs)}")
    assert met > 30


SHAPES: list[tuple[Callable[[hs.Tensor], Any], tuple[int, ...], float]] = [
    (lambda x: x[0, :, [1, 2]], (3, 2), 33.0),  # the number is taken first: NumPy's shape is (2, 3)
    (lambda x: x[hs.tensor(0), :, hs.tensor([1, 2])], (3, 2), 33.0),
    (lambda x: x[[0, 1], :, [1, 2]], (2, 3), 69.0),
    (lambda x: x[:, [0, 1], ..., [[0], [1]]], (2, 2, 2), 68.0),  # the ellipsis stands for no axis
    (lambda x: x[0, hs.tensor([True, False, True])], (2, 4), 44.0),
    (lambda x: x[hs.tensor([1, 0], dtype=hs.uint8)], (1, 3, 4), 66.0),  # a mask of old
    (lambda x: x[True], (1, 2, 3, 4), 276.0),
    (lambda x: x[[]], (0, 3, 4), 0.0),
    (lambda x: x[..., -1, None], (2, 3, 1), 78.0),
    (lambda x: x[x > 20], (3,), 66.0),
]


@pytest.mark.parametrize(("pick", "shape", "total"), SHAPES)
def test_what_is_picked(pick: Callable[[hs.Tensor], Any], shape: tuple[int, ...], total: float) -> None:
    found = pick(hs.tensor(VALUES))
    assert (found.shape, found.sum().item()) == (shape, total)


def test_numbers_beside_arrays_write_where_they_read() -> None:
    x = hs.tensor(VALUES, "fp64", requires_grad=True)
    v = hs.tensor([[1.0], [2.0], [3.0]], "fp64", requires_grad=True)
    y = x * 1.0
    y[0, :, [1, 3]] = v
    assert y[0].tolist() == [[0, 1, 2, 1], [4, 2, 6, 2], [8, 3, 10, 3]]
    y.sum().backward()
    assert v.grad.tolist() == [[2.0], [2.0], [2.0]]
    assert x.grad[0, 0].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_where_of_a_condition_alone_is_its_places() -> None:
    rows, columns = hs.where(hs.tensor([[1.0, 0.0], [0.0, 2.0]]) > 0)
    assert (rows.tolist(), columns.tolist(), rows.dtype) == ([0, 1], [0, 1], hs.int64)


REFUSED: list[tuple[Callable[[hs.Tensor], object], type[Exception], str]] = [
    (lambda x: x[2], IndexError, "index"),
    (lambda x: x[0, 0, 0, 0], IndexError, "index"),
    (lambda x: x[hs.tensor([1.0])], TypeError, "index: dtype float32 is not allowed; allowed: integers"),
    (lambda x: x[hs.tensor([True, False, True])], IndexError, "index"),
    (lambda x: x.gather(2, hs.tensor([[[-1]]])), ValueError, "index: -1 to -1 is not allowed; allowed: 0 to 3"),
    (lambda x: x.index_select(1, hs.tensor([-1])), ValueError, "index: -1 to -1 is not allowed; allowed: 0 to 2"),
    (lambda x: x.index_add(1, hs.tensor([-1]), x[:, :1]), ValueError, "index: -1 to -1 is not allowed"),
    (lambda x: x.index_copy(1, hs.tensor([3]), x[:, :1]), ValueError, "index: 3 to 3 is not allowed"),
    (lambda x: x.__setitem__(0, hs.ones(5)), ValueError, "value: shape"),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
def test_bad_indices_get_one_line(call: Callable[[hs.Tensor], object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        call(hs.tensor(VALUES))
    assert "\n" not in str(caught.value)
