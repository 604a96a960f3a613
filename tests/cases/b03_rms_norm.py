"""An RMSNorm that squares in half: past 256 the square is infinite, and the output all zeros."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    x = hs.tensor([[300.1, 3.2, 2.3, 1.1], [1.1, -0.3, 0.7, 2.2]])
    return x * hs.ops.rsqrt((x**2).mean(-1, keepdim=True) + 1e-6)


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@pow": "fp32", "@mean": "fp32"})):
        return run()


x = np.array([[300.1, 3.2, 2.3, 1.1], [1.1, -0.3, 0.7, 2.2]])

CASE = Case(
    id="B03",
    name="rms-norm",
    title="RMSNorm squares in half and returns zeros",
    link="https://github.com/pytorch/pytorch/pull/133085",
    year=2024,
    precision="fp16",
    run=run,
    broken=lambda y: bool((flat(y)[:4] == 0).all()),
    right=x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6),
    klass="overflow",
    op="pow",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="As PyTorch 2.4 composed it of stored steps. The mean of 22503 fits again, so @pow and @mean are enough.",
)
