"""The 3-norm of numbers near 1e-4: their cubes are zero in half, and the gradient of the root is 0 times infinity."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def norm(x, p=3):
    return (np.abs(x) ** p).sum() ** (1 / p)


def run():
    x = hs.tensor([1e-4, 1.5e-4], requires_grad=True)
    norm(x).backward()
    return x.grad


def fixed():
    x = hs.tensor([1e-4, 1.5e-4], requires_grad=True)
    with hs.precision(hs.Policy({"default": "pure_fp16", "@pow": "fp32", "@sum": "fp32"})):
        norm(x).backward()
    return x.grad


CASE = Case(
    id="B29",
    name="norm3-gradient",
    title="The gradient of a norm of small numbers is NaN: their third powers are zero",
    link="https://github.com/pytorch/pytorch/issues/43211",
    year=2020,
    precision="pure_fp16",
    run=run,
    broken=lambda g: bool(np.isnan(flat(g)).all()),
    right=np.array([1.0, 2.25]) / (1 + 1.5**3) ** (2 / 3),
    klass="underflow",
    op="pow",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="composed by hand, for halfsim's own norm has a gradient of 0 where the norm is 0; the thread's forward "
    "was right and the square in its gradient vanished, here the cube of the forward does too; Policy keys: "
    "@pow, @sum",
)
