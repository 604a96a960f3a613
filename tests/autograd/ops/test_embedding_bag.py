"""Bags of rows: sums, means, maxima, what is left out, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.live import agree, given

F = hs.nn.functional
IDS, STARTS = [3, 1, 1, 0, 4, 3, 3], [0, 3, 3, 7]
TABLE = np.random.default_rng(1).standard_normal((5, 3))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 3}, {"padding_idx": -4}, {"include_last_offset": True}])
def test_bags_are_pytorchs(mode: str, options: dict[str, Any]) -> None:
    def call(library: Any, table: Any) -> Any:
        ids, starts = given(library, IDS), given(library, STARTS)
        return library.nn.functional.embedding_bag(ids, table, starts, mode=mode, **options)

    agree(call, TABLE)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}])
def test_weights_of_samples_are_pytorchs(options: dict[str, Any]) -> None:
    def call(library: Any, table: Any, weights: Any) -> Any:
        ids = given(library, [[3, 1, 1], [0, 3, 4]])
        bags = library.nn.functional.embedding_bag
        return bags(ids, table, mode="sum", per_sample_weights=weights, **options)

    agree(call, TABLE, np.random.default_rng(2).standard_normal((2, 3)))


def test_by_hand() -> None:
    table = hs.tensor([[1.0, -2.0], [3.0, -4.0], [5.0, -6.0]], requires_grad=True)
    y = F.embedding_bag([2, 0, 1], table, [0, 2, 2], mode="mean")
    assert y.numpy().tolist() == [[3, -4], [0, 0], [3, -4]]
    y.sum().backward()
    assert table.grad is not None
    assert table.grad.numpy().tolist() == [[0.5, 0.5], [1, 1], [0.5, 0.5]]
    largest = F.embedding_bag([[2, 0], [1, 1]], table, mode="max")
    assert largest.numpy().tolist() == [[5, -2], [3, -4]]
    assert hs.gradcheck(lambda t: F.embedding_bag([[2, 0], [1, 0]], t, mode="max"), table)
    assert hs.gradcheck(lambda t: F.embedding_bag(IDS[:4], t, [0, 1], mode="sum"), hs.tensor(TABLE))


def test_gradients_are_scaled_by_how_often_a_row_is_met() -> None:
    """As in PyTorch's CUDA kernel; its CPU kernel takes the count of another row."""
    table = hs.tensor(TABLE, requires_grad=True)
    weights = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y = F.embedding_bag([[3, 1, 1], [0, 3, 4]], table, mode="sum", per_sample_weights=weights, scale_grad_by_freq=True)
    y.sum().backward()
    assert table.grad is not None
    assert table.grad.numpy()[:, 0].tolist() == [4, 2.5, 0, 3, 6]
    table.grad = None
    F.embedding_bag([[3, 1, 1]], table, scale_grad_by_freq=True).sum().backward()
    np.testing.assert_allclose(table.grad.numpy()[:, 0], [0, 1 / 3, 0, 1 / 3, 0], rtol=1e-6)


def test_the_last_offset_may_end_the_last_bag_early() -> None:
    table = hs.tensor(TABLE, "fp64")
    y = F.embedding_bag(IDS, table, [0, 3, 5], mode="sum", include_last_offset=True)
    np.testing.assert_allclose(y.numpy(), [TABLE[[3, 1, 1]].sum(0), TABLE[[0, 4]].sum(0)])


def test_a_sum_in_half_is_accumulated_and_rounded_once() -> None:
    table = hs.tensor([[2048.0], [1.0]], "fp16")
    ids = np.array([[0, 1, 1]])
    assert F.embedding_bag(ids, table, mode="sum").item() == 2050
    with hs.precision("pure_fp16"):
        assert F.embedding_bag(ids, table, mode="sum").item() == 2048
    weights = hs.tensor([[1.0, 0.5, 0.5]], "fp16")
    assert F.embedding_bag(ids, table, mode="sum", per_sample_weights=weights).item() == 2048  # 2049, a tie


def test_a_maximum_takes_nan_only_from_the_first() -> None:
    table = hs.tensor([[np.nan], [1.0]])
    assert np.isnan(F.embedding_bag([[0, 1]], table, mode="max").item())
    assert F.embedding_bag([[1, 0]], table, mode="max").item() == 1


def test_max_norm_changes_the_rows_that_are_met() -> None:
    table = hs.tensor([[3.0, 4.0], [30.0, 40.0]])
    F.embedding_bag([[0]], table, max_norm=1.0)
    np.testing.assert_allclose(table.numpy(), [[0.6, 0.8], [30, 40]], rtol=1e-6)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"mode": "median"}, "mode: 'median' is not allowed"),
    ({"mode": "max", "scale_grad_by_freq": True}, "mode: 'max' with scale_grad_by_freq"),
    ({"per_sample_weights": np.ones(3)}, "per_sample_weights: mode 'mean'"),
    ({"per_sample_weights": np.ones(2), "mode": "sum"}, r"per_sample_weights: shape \(2,\)"),
    ({"offsets": None}, "offsets: missing"),
    ({"offsets": [1, 2]}, "offsets: allowed: from 0 upwards"),
    ({"offsets": [0, 4]}, "offsets: allowed: from 0 upwards"),
    ({"offsets": [0, 2, 1]}, "offsets: allowed: from 0 upwards"),
    ({"offsets": [[0]]}, r"offsets: shape \(1, 1\)"),
    ({"padding_idx": 5}, "padding_idx: 5"),
    ({"input": [[0, 1]]}, "offsets: not allowed with an input of two axes"),
    ({"input": [[[0]]], "offsets": None}, r"input: shape \(1, 1, 1\)"),
    ({"input": [0, 9]}, "input: rows 0 to 9"),
    ({"weight": np.ones(3)}, r"embedding_bag: weight \(3,\)"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refusals(options: dict[str, Any], message: str) -> None:
    arguments = {"input": [0, 1, 2], "weight": TABLE, "offsets": [0, 2], **options}
    with pytest.raises(ValueError, match=message):
        F.embedding_bag(**arguments)
