"""LayerNorm's eps of 1e-12 is zero in half, and a padded row of zeros is 0/0."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run(eps=1e-12):
    x = np.random.default_rng(5).normal(size=(3, 10))
    x[1] = 0
    return hs.nn.LayerNorm(10, eps=eps)(hs.tensor(x))


def right():
    x = np.random.default_rng(5).normal(size=(3, 10))
    y = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    y[1] = 0
    return y


CASE = Case(
    id="B05",
    name="layer-norm-eps",
    title="LayerNorm's eps of 1e-12 is zero, and so is a padded row",
    link="https://github.com/pytorch/pytorch/issues/41527",
    year=2020,
    precision="pure_fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[10:20]).all()),
    right=right(),
    klass="eps lost",
    op="layer_norm",
    phase="forward",
    advice="eps",
    fixed=lambda: run(1e-4),
    note="@layer_norm in float32 alone mends it too, with the eps as it is.",
)
