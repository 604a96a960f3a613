"""Operations on integers and bools: PyTorch's dtypes and values where it is installed, and by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import halfsim as hs

F = hs.nn.functional
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64")


@pytest.mark.parametrize("name", ["add", "mul", "maximum"])
def test_dtypes_join_as_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    for first, second in product(DTYPES, DTYPES):
        for shapes in ((2,), (2,)), ((2,), ()), ((), (2,)), ((), ()):
            arrays = [np.ones(shape, dtype) for shape, dtype in zip(shapes, (first, second), strict=True)]
            found = getattr(hs, name)(*(hs.tensor(x, x.dtype) for x in arrays))
            expected = getattr(torch, name)(*map(torch.tensor, arrays))
            assert str(found.dtype) == str(expected.dtype).removeprefix("torch."), (first, second, shapes)
            assert (found.numpy() == expected.numpy()).all()


def test_numbers_alone_are_tensors_of_their_kind() -> None:
    assert (hs.add(-8, 6).dtype, hs.add(True, True).dtype, hs.add(1, 0.5).dtype) == (hs.int64, hs.bool, hs.float32)
    assert hs.where(np.array([True, False]), 1, 0).tolist() == [1, 0]
    assert hs.sum(np.arange(3)).dtype == hs.int64
    with hs.precision("fp16"):
        assert hs.add(-8, 6).dtype == hs.float16
        assert hs.mul(True, False).dtype == hs.bool


def test_a_number_does_not_widen_and_wraps() -> None:
    x = hs.tensor([250, 1], dtype="uint8")
    assert (x + 300).tolist() == [38, 45]
    assert (x + hs.tensor(300)).dtype == hs.uint8
    assert (hs.tensor([True]) + 5).dtype == hs.int64
    with pytest.raises(ValueError, match=r"^add: an integer of \d+ bits is not allowed; allowed: 64 bits$"):
        _ = x + 10**30
    with pytest.raises(TypeError, match=r"^dtypes: .* are not allowed; allowed: "):
        _ = hs.tensor([1], dtype="uint64") + hs.tensor([1])


def test_negative_powers() -> None:
    base, exponents = hs.tensor([1, -1, -1, 2, 0, 3]), hs.tensor([-3, -3, -2, -1, -1, 2])
    assert (base**exponents).tolist() == [1, -1, 1, 0, 0, 9]
    assert (hs.tensor([2, 3]) ** 2).dtype == hs.int64
    with pytest.raises(ValueError, match=r"^pow: negative exponents .*; allowed: "):
        _ = base**-1


def test_products_of_matrices_and_windows_stay_integers() -> None:
    y = F.linear(hs.tensor([[1, 2]]), hs.tensor([[3, 4], [5, 6]]), hs.tensor([10, 20]))
    assert (y.dtype, y.tolist()) == (hs.int64, [[21, 37]])
    line = hs.tensor([[[1, 2, 3, 4]]])
    assert F.conv1d(line, hs.tensor([[[1, 10]]])).tolist() == [[[21, 32, 43]]]
    assert F.conv_transpose1d(line, hs.tensor([[[1, 10]]]), stride=2).tolist() == [[[1, 10, 2, 20, 3, 30, 4, 40]]]
    assert F.avg_pool1d(hs.tensor([[[-3, 0, 3, 2]]]), 2).tolist() == [[[-1, 2]]]  # cut, not floored
    assert F.bilinear(hs.tensor([[1, 2]]), hs.tensor([[3]]), hs.tensor([[[1], [1]]])).tolist() == [[9]]
    assert F.conv1d(line, hs.tensor([[[1]]]), hs.tensor([0.5])).dtype == hs.float32


def test_bounds_are_cut() -> None:
    x = hs.tensor([-3, -1, 0, 5, 9])
    assert F.hardtanh(x, -1.5, 5.5).tolist() == [-1, -1, 0, 5, 5]
    assert F.relu6(x).tolist() == [0, 0, 0, 5, 6]
    assert F.threshold(x, 0.5, -7.9).tolist() == [-7, -7, -7, 5, 9]
    assert hs.nan_to_num(x).dtype == hs.square(x).dtype == hs.int64
    assert hs.square(hs.tensor([2**31 + 1])).tolist() == [(2**31 + 1) ** 2]


def test_dtype_of_sums_is_the_one_that_is_asked_for() -> None:
    bools = hs.tensor([[True, False], [True, True]])
    assert hs.prod(bools, 1, dtype=hs.bool).tolist() == [False, True]
    assert hs.sum(hs.tensor([1, 2]), dtype=hs.int32).dtype == hs.int32
    assert bools.sum_to_size(()).tolist() == 3


def test_integers_counted_and_spaced() -> None:
    assert hs.arange(3.1, dtype="int64").tolist() == [0, 1, 2]
    assert hs.arange(0.1, -7.9, -4, dtype="int64").tolist() == [0, -4]
    assert hs.linspace(4.3, -3, 5, dtype="int64").tolist() == [4, 2, 0, -1, -3]
    assert hs.logspace(0, 1.2, 2, dtype="int64").tolist() == [1, 10]
    mean = hs.scatter_reduce(hs.tensor([-4, 0]), 0, hs.tensor([0]), hs.tensor([-3]), "mean")
    assert mean.tolist() == [-4, 0]  # floored


@pytest.mark.parametrize(
    "call",
    [
        lambda: hs.masked_fill(hs.tensor([1]), hs.tensor([True]), 1j),
        lambda: hs.linspace(hs.tensor([1, 1]), 3, 1),
        lambda: hs.multinomial(hs.tensor([1, 2]), 1),
        lambda: hs.tensor([1.0]).exponential_(0),
        lambda: hs.tensor([1.0]).uniform_(3, -1),
        lambda: hs.tensor([1.0]).geometric_(1.0),
        lambda: hs.tensor([1.0]).cauchy_(0, 0),
        lambda: hs.tensor([1.0]).log_normal_(0, 0),
        lambda: hs.arange(0, 3, 0.5, dtype="int64"),
        lambda: F.cross_entropy(hs.tensor([[1.0, 2.0]]), hs.tensor([[0, 1]])),
    ],
)
def test_what_pytorch_refuses(call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^\S+: .* allowed.*: [^\n]+$"):
        call()
