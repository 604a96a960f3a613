"""normalize clamps the norm by 1e-12, which is zero in half, and a zero vector becomes NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run(eps=1e-12):
    x = hs.tensor([[0.3, -1.1, 0.7], [0.0, 0.0, 0.0]])
    return hs.nn.functional.normalize(x, dim=-1, eps=eps)


x = np.array([0.3, -1.1, 0.7])

CASE = Case(
    id="B28",
    name="normalize-eps",
    title="normalize's eps of 1e-12 is zero in half",
    link="https://github.com/pytorch/pytorch/issues/32137",
    year=2020,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[3:]).all()),
    right=[*(x / np.linalg.norm(x)), 0.0, 0.0, 0.0],
    klass="eps lost",
    op=("normalize", "clamp"),
    phase="forward",
    advice="eps",
    fixed=lambda: run(1e-4),
    note="@clamp and @div in float32 mend it with the eps as it is.",
)
