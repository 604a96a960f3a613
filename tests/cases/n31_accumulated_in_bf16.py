"""Gradients of 500 micro-batches added up in bfloat16: most are below half a step of the sum."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

BATCHES = 500


def data():
    return np.random.default_rng(0).exponential(0.78, (BATCHES, 1, 3))


def gradient(format):
    weight = hs.nn.Parameter(hs.tensor([[0.1, 0.2, 0.3]], format))
    for x in data():
        hs.nn.functional.linear(hs.tensor(x, "bf16"), weight).sum().backward()
    return weight.grad


CASE = Case(
    id="N31",
    name="accumulated-in-bf16",
    title="A gradient added up over many micro-batches in bfloat16 comes out too small",
    link="https://github.com/mlnomadpy/flaxchat/issues/6",
    year=2026,
    precision="bf16",
    run=lambda: gradient("bf16"),
    broken=lambda g: bool((flat(g) < 0.97 * data().sum((0, 1))).all()),
    right=data().sum((0, 1)),
    klass="swamping",
    op="accumulate",
    phase="backward",
    advice="float32",
    fixed=lambda: gradient("fp32"),
    note="A parameter in float32 has a gradient in float32, whatever the operations run in. Also "
    "deepspeedai/DeepSpeed#2768.",
)
