"""Tensors in formats of every kind: codes, arithmetic, gradients, and what a trace says of what they lack."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.formats import NARROW

SMALL = [name for name in NARROW if name != "bfloat16"]


@pytest.mark.parametrize("name", SMALL)
def test_tensors_store_and_compute_as_ml_dtypes(name: str) -> None:
    """All pairs of numbers of at most 8 bits, kept in a tensor and computed in the format."""
    fmt, dtype = getattr(hs, name), getattr(ml_dtypes, name)
    codes = np.arange(1 << fmt.bits, dtype=np.uint8)
    values = hs.decode(codes, fmt)
    finite = codes[np.isfinite(values) & ((np.abs(values) > 2.0**-60) & (np.abs(values) < 2.0**60) | (values == 0))]
    a, b = (x.ravel() for x in np.meshgrid(finite, finite))
    x, y = hs.tensor(hs.decode(a, fmt), fmt), hs.tensor(hs.decode(b, fmt), fmt)
    assert np.array_equal(x.bits(), hs.encode(hs.decode(a, fmt), fmt))
    u, v = a.view(dtype), b.view(dtype)
    with np.errstate(all="ignore"):
        theirs = {"add": u + v, "sub": u - v, "mul": u * v, "div": u / v}
    nonzero = hs.decode(b, fmt) != 0
    for op, expected in theirs.items():
        with hs.precision(f"storage={name}, compute={name}"):
            got = getattr(hs.ops, op)(x, y)
        with np.errstate(all="ignore"):
            wanted = expected.astype(np.float64)
        kept = nonzero if op == "div" else np.ones_like(nonzero)
        assert np.array_equal(got.numpy()[kept].astype(np.float64), wanted[kept], equal_nan=True), op
        assert np.array_equal(hs.decode(got.bits(), fmt)[kept], wanted[kept], equal_nan=True), op


def test_exact_operations_stay_in_a_format_that_lacks_their_results() -> None:
    x = hs.tensor([0.0, 1.0, -2.0], "e4m3fnuz")
    assert not np.signbit((-x).numpy()[0])  # there is one zero
    assert (1 / -x).bits()[0] == 0x80  # past the largest number, as 1 / 0 is, there is NaN
    scale = hs.tensor([0.5, 4.0], "e8m0")
    assert (-scale).bits().tolist() == [255, 255]
    assert scale.relu().tolist() == [0.5, 4.0]
    assert np.isnan((scale - scale).numpy()).all()
    assert (scale * scale).bits().tolist() == [125, 131]


@pytest.mark.parametrize("name", SMALL)
def test_gradients_come_in_the_format_of_the_tensor(name: str) -> None:
    x = hs.tensor([1.0, 2.0], name, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == getattr(hs, name)
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_trace_tells_what_a_format_lacks() -> None:
    with hs.trace() as lacking:
        hs.tensor([-1.0, 2.0], "e8m0") * 1.0
    assert lacking.verdict().klass == "NaN propagation"
    assert "1 of 2 values became NaN" in lacking.verdict().message
    with hs.trace() as clipped:
        hs.tensor([300.0, 2.0], "e2m3") * 1.0
    assert clipped.verdict().klass == "clipped"
    assert "clipped to 7.5" in clipped.verdict().message
    with hs.precision("storage=e4m3fnuz"), hs.trace() as over:
        hs.tensor([200.0, 2.0]) * 2.0
    assert "became NaN, for float8_e4m3fnuz has no infinity, past 240" in over.verdict().message
