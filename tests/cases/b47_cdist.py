"""Distances by |a|^2 + |b|^2 - 2ab: 1360 + 1360 - 2720 in half leaves 0, or the root of a negative number."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def inputs():
    rng = np.random.RandomState(0)
    a = rng.rand(32, 4096)
    return a, a + 0.01 * rng.randn(32, 4096)


def cdist(a, b):
    squares = (a * a).sum(-1, keepdims=True) + (b * b).sum(-1) - 2 * (a @ b.T)
    return np.sqrt(squares)


def run():
    a, b = (hs.tensor(v) for v in inputs())
    return np.diagonal(cdist(a, b))


def fixed():
    a, b = (hs.tensor(v) for v in inputs())
    wide = {f"@{op}": "fp32" for op in ("mul", "sum", "add", "matmul", "sub")}
    with hs.precision(hs.Policy({"default": "fp16", **wide})):
        return np.diagonal(cdist(a, b))


def right():
    a, b = inputs()
    return np.sqrt(((a - b) ** 2).sum(-1))


CASE = Case(
    id="B47",
    name="cdist",
    title="The distance of near points, from a difference of large squares, is 0 or NaN",
    link="https://github.com/pytorch/pytorch/issues/136748",
    year=2024,
    precision="fp16",
    run=run,
    broken=lambda d: int((np.isnan(flat(d)) | (flat(d) == 0)).sum()) >= 16,
    right=right(),
    klass="cancellation",
    op="sub",
    phase="forward",
    advice="float32",
    fixed=fixed,
    missing="cdist",
    note="composed by hand; Policy keys: @mul, @sum, @add, @matmul, @sub, all five, since each would round its result",
)
