"""Adam's eps of 1e-8 is zero in half, so a gradient of zero divides zero by zero."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    w = hs.nn.Parameter(hs.tensor([1.0, 1.0], "fp16"))
    optimizer = hs.optim.Adam([w], lr=1e-3)
    (w * hs.tensor([0.0, 0.5])).sum().backward()  # the first weight takes no part
    optimizer.step()
    return w


CASE = Case(
    id="B36",
    name="adam-eps",
    title="Adam's eps is zero in half",
    link="https://github.com/google-deepmind/optax/issues/1754",
    year=2026,
    precision="fp16",
    run=run,
    broken=lambda w: bool(np.isnan(flat(w)[0])),
    right=[1.0, 0.999],
    klass="eps lost",
    op="Adam",
    phase="optimizer",
)
