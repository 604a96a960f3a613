"""Bessel's correction N / (N - 1) of a batch of 100352 pixels: N itself is infinite in half."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

PIXELS = np.random.default_rng(0).normal(size=(32, 56, 56))


def run():
    x = hs.tensor(PIXELS)
    n = hs.tensor(float(PIXELS.size))
    return x.var(correction=0) * (n / (n - 1))


def fixed():
    x = hs.tensor(PIXELS)
    n = hs.tensor(float(PIXELS.size), "fp32")
    with hs.precision(hs.Policy({"default": "fp16", "@sub": "fp32", "@div": "fp32"})):
        return x.var(correction=0) * (n / (n - 1))


CASE = Case(
    id="B43",
    name="bessel",
    title="The number of pixels of a batch is infinite in half, and infinity by infinity is NaN",
    link="https://github.com/tensorflow/tensorflow/pull/30230",
    year=2019,
    precision="fp16",
    run=run,
    broken=lambda variance: bool(np.isnan(flat(variance)).all()),
    right=[PIXELS.var(ddof=1)],
    klass="constant changed",
    op="tensor",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="the count must be made in float32, and no Policy alone does that; then keys: @sub, @div",
)
