"""gelu_accurate of 300: the forward is right, tanh(inf) being 1, but the gradient is 0 times an infinite square."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def gelu_accurate(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def run():
    x = hs.tensor([0.7, 300.0], requires_grad=True)
    gelu_accurate(x).sum().backward()
    return x.grad


def fixed():
    x = hs.tensor([0.7, 300.0], requires_grad=True)
    with hs.precision(hs.Policy({"default": "pure_fp16", "@pow": "fp32"})):
        gelu_accurate(x).sum().backward()
    return x.grad


CASE = Case(
    id="B11",
    name="gelu-accurate",
    title="The gradient of a hand-written GELU is zero times infinity from x = 256 on",
    link="https://github.com/facebookresearch/fairseq/issues/2235",
    year=2020,
    precision="pure_fp16",
    run=run,
    broken=lambda g: bool(np.isnan(flat(g)[1])),
    right=[0.9763, 1.0],
    klass="overflow",
    op="pow",
    phase="backward",
    advice="float32",
    fixed=fixed,
    note="the infinite cube of the forward does no harm, tanh makes 1 of it; the square in the backward does; "
    "Policy key: @pow",
)
