"""A softplus written as log(1 + exp(x)) is infinite from x = 11.09 on."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    x = hs.tensor([12.0, 11.1, 3.3, -8.0])
    return np.log(1 + np.exp(x))


def fixed():
    x = hs.tensor([12.0, 11.1, 3.3, -8.0])
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


CASE = Case(
    id="B12",
    name="softplus",
    title="A softplus by its formula overflows at 11.09",
    link="https://github.com/sbryngelson/ANEForge/issues/113",
    year=2026,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isinf(flat(y)[:2]).all()),
    right=np.log1p(np.exp([12.0, 11.1, 3.3, -8.0])),
    klass="overflow",
    op="exp",
    phase="forward",
    advice="maximum",
    fixed=fixed,
    note="The backend then returned 0. The last element, 0.000335, is 0 here because 1 + exp(-8) is 1. "
    "ops.softplus mends it too, and @exp, @add and @log in float32.",
)
