"""Stochastic rounding draws in the order of the elements, whatever their layout in memory and whoever watches."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

import halfsim as hs

A = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
LAYOUTS = {
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "strided": lambda a: np.repeat(a, 2, 2)[..., ::2],
    "of the other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
}
PRECISIONS = (
    "storage=fp16, compute=fp16, rounding=stochastic(seed=1)",
    "storage=fp16, compute=fp32, rounding=stochastic(seed=1)",
    "storage=bf16, compute=bf16, accumulate=bf16:sequential, rounding=stochastic(seed=2)",
    "storage=fp16, compute=fp16, accumulate=fp16:pairwise, rounding=stochastic(seed=1), subnormals=flush",
    "storage=fp16, compute=fp16, accumulate=fp16:kahan, rounding=stochastic(seed=3), overflow=saturate",
)
OPERATIONS = {
    "mul": lambda x: x * 0.3,
    "exp": lambda x: x.exp(),
    "power": lambda x: x**2,
    "sum": lambda x: x.sum(1),
    "variance": lambda x: x.var(0),
    "cumsum": lambda x: x.cumsum(1),
    "softmax": lambda x: hs.ops.softmax(x, -1),
    "matmul": lambda x: x @ x.swapaxes(-1, -2),
    "layer_norm": lambda x: hs.ops.layer_norm(x, x.shape[-1:]),
    "reshape": lambda x: x.reshape(-1) * 0.1,
    "einsum": lambda x: hs.ops.einsum("ijk,ijl->ikl", x, x),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("fmt", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32", "float64"])
def test_rounding_and_encoding(fmt, dtype):
    a = A.astype(dtype)
    y, flags = hs.round_to(a, fmt, hs.Stochastic(1), return_flags=True)
    codes = hs.encode(a, fmt, hs.Stochastic(1))
    for layout in LAYOUTS.values():
        x = layout(a)
        got, seen = hs.round_to(x, fmt, hs.Stochastic(1), return_flags=True)
        assert np.array_equal(got, y)
        assert np.array_equal(seen, flags)
        assert np.array_equal(hs.encode(x, fmt, hs.Stochastic(1)), codes)
        out = np.asfortranarray(np.empty_like(y))
        hs.round_to(x, fmt, hs.Stochastic(1), out=out)
        assert np.array_equal(out, y)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("rule", PRECISIONS)
def test_operations_and_their_gradients(rule, name):
    half = hs.round_to(A, "float16")

    def run(x: hs.Tensor):
        x.requires_grad = True
        with hs.precision(rule):
            y = OPERATIONS[name](x)
            (y * 1.0).sum().backward()
        return y.numpy(), x.grad.numpy()

    def view() -> hs.Tensor:
        return hs.tensor(np.ascontiguousarray(half.swapaxes(0, 1)), "fp16").swapaxes(0, 1)

    y, gradient = run(hs.tensor(half, "fp16"))
    makers = [*(partial(hs.tensor, layout(half), "fp16") for layout in LAYOUTS.values()), view]
    for make, watch in zip(makers, itertools.cycle([nullcontext(), hs.trace("fp64")]), strict=False):
        with watch:
            got = run(make())
        assert np.array_equal(got[0], y)
        assert np.array_equal(got[1], gradient)
    with hs.trace():
        got = run(view())
    assert np.array_equal(got[0], y)
    assert np.array_equal(got[1], gradient)
