"""Reductions: variances at their edges, formats of their own, NaN left out, numbers without axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

O = hs.ops  # noqa: E741
PRECISIONS = ["fp64", "fp32", "fp16", "bf16", "pure_fp16", "storage=fp16, compute=fp16, accumulate=exact"]


def t(x: Any) -> hs.Tensor:
    return hs.tensor(np.asarray(x, np.float64), "fp64")


def test_variances_at_their_edges_are_pytorchs() -> None:
    """Infinite or NaN where nothing is left over after the correction; a bool is PyTorch's old ``unbiased``."""
    x = t([1.0, 3.0])
    assert O.var(x, correction=3).item() == np.inf
    assert O.var(x, correction=2).item() == np.inf
    assert np.isnan(O.var(t([2.0])).item())
    assert np.isnan(O.var(t([])).item())
    assert O.var(x, correction=None).item() == O.var(x).item() == 2
    assert O.var(x, False).item() == O.var(x, unbiased=False).item() == O.var(x, correction=0).item() == 1
    assert O.std(x, True).item() == np.sqrt(2)
    assert x.var(False).item() == 1
    assert O.var(t([[1.0, 3.0]]), 1, False, True).numpy().tolist() == [[1]]  # dim, unbiased, keepdim
    assert np.var(x, ddof=1) == 2


def test_variance_and_mean_together() -> None:
    x = t([[1.0, 3.0], [2.0, 8.0]])
    for both, one in ((O.var_mean, O.var), (O.std_mean, O.std)):
        found, mean = both(x, 1, keepdim=True)
        np.testing.assert_array_equal(found.numpy(), one(x, 1, keepdim=True).numpy())
        np.testing.assert_array_equal(mean.numpy(), [[2], [5]])
        assert both(x, False)[1].shape == ()
        assert hs.gradcheck(lambda x, both=both: both(x, 0, correction=0), x)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_numbers_without_axes(precision: str) -> None:
    x = hs.tensor(0.5, "fp16", requires_grad=True)
    with hs.precision(precision):
        for dim in (0, -1):
            assert O.softmax(x, dim).item() == O.softmin(x, dim).item() == 1
            assert O.log_softmax(x, dim).item() == 0
            for function in (O.cumsum, O.cumprod, O.logcumsumexp, O.amax, O.amin, O.sum, O.logsumexp, O.nansum):
                assert function(x, dim).item() == 0.5
        O.softmax(x, 0).backward()
    assert x.grad is not None
    assert x.grad.item() == 0


@pytest.mark.parametrize("name", ["amax", "amin", "sum", "mean", "var", "prod", "logsumexp", "nansum", "norm"])
def test_an_axis_named_twice_is_refused(name: str) -> None:
    keyword = {"axis": (0, -2)}
    with pytest.raises(ValueError, match=r"axis: \(0, -2\) names an axis twice; allowed: each once"):
        getattr(O, name)(t(np.ones((2, 3))), **keyword)


def test_formats_of_their_own() -> None:
    """PyTorch's ``dtype``: the operand is cast to it, the sum is formed and stored in it."""
    x = hs.tensor([40000.0, 40000.0], "fp16", requires_grad=True)
    with hs.precision("pure_fp16"):
        for function, expected in ((O.sum, 80000), (O.mean, 40000), (O.prod, 1.6e9), (O.nansum, 80000)):
            assert function(x).item() == np.inf
            y = function(x, dtype="fp32")
            assert (y.format, y.item()) == (hs.float32, expected)
        O.sum(x, dtype="float32").backward()
    assert x.grad is not None
    assert (x.grad.format, x.grad.numpy().tolist()) == (hs.float16, [1, 1])
    logits = hs.tensor([1.0, 2.0, 3.0], "fp16")
    for function in (O.softmax, O.log_softmax, O.softmin):
        y = function(logits, -1, dtype="fp32")
        assert y.format == hs.float32
        np.testing.assert_array_equal(y.numpy(), function(logits.to("fp32"), -1).numpy())
    with hs.precision("fp64", override=True):  # as a reference runs
        assert O.sum(x, dtype="fp32").format == hs.float64
    with pytest.raises(ValueError, match="dtype: 'half32'"):
        O.sum(x, dtype="half32")


def test_integers_in_formats_of_their_own() -> None:
    """PyTorch casts first: integers to floats, and floats, cut off, to integers."""
    whole = hs.tensor([1, 2, 3])
    assert str(O.sum(whole, dtype="fp16").format) == "float16"
    total = O.cumsum(hs.tensor([1.75, 2.5]), 0, dtype=whole.dtype)
    assert (total.dtype, total.tolist()) == (whole.dtype, [1, 3])
    assert O.softmax(whole, 0, dtype="fp32").format == hs.float32


def test_sums_to_a_size_are_those_over_what_it_would_be_broadcast_along() -> None:
    x = hs.tensor(np.arange(24.0).reshape(2, 3, 4))
    for size in ((2, 3, 4), (3, 4), (1, 4), (3, 1), (2, 1, 1), (4,), ()):
        back = O.sum_to_size(x, size)
        assert back.shape == size
        ones = hs.tensor(np.ones(size), requires_grad=True)  # sums are what broadcasting hands back
        (ones.expand(2, 3, 4) * x).sum().backward()
        assert ones.grad is not None
        assert back.tolist() == ones.grad.tolist()
    for size in ((2, 1), (1, 2, 3, 4), (0, 4)):
        with pytest.raises(ValueError, match="does not fit input"):
            O.sum_to_size(x, size)
    assert O.sum_to_size(hs.tensor(True), ()).dtype == hs.int64, "a sum, as all sums of bools"


def test_nan_is_left_out() -> None:
    x = hs.tensor([[1.0, np.nan], [2.0, 4.0], [np.nan, np.nan]], "fp64", requires_grad=True)
    assert O.nansum(x, 1).numpy().tolist() == [1, 6, 0]
    np.testing.assert_array_equal(O.nanmean(x, 1).numpy(), [1, 3, np.nan])
    assert O.nanmean(x, keepdim=True).shape == (1, 1)
    O.nanmean(x[:2]).backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [[1 / 3, 0], [1 / 3, 1 / 3], [0, 0]])
