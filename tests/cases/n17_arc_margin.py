"""An angular margin: the sine of an angle of zero is a square root of zero, whose slope is infinite."""

import math

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

COS_M, SIN_M = math.cos(0.5), math.sin(0.5)


def slopes(guard):
    features = hs.tensor([[0.0, 3.1], [2.0, 2.0]])
    centre = hs.nn.Parameter(hs.tensor([[0.0, 0.7]]))  # the first face lies on its own centre
    cosine = hs.nn.functional.linear(hs.ops.normalize(features), hs.ops.normalize(centre))
    cosine.retain_grad()
    sine = guard(1.0 - cosine**2).sqrt()
    phi = cosine * COS_M - sine * SIN_M
    phi.sum().backward()
    return cosine.grad


CASE = Case(
    id="N17",
    name="arc-margin",
    title="The gradient of an angular margin is infinite for a face that lies on its own centre",
    link="https://github.com/Lightning-AI/pytorch-lightning/issues/7078",
    year=2021,
    precision="amp",
    run=lambda: slopes(lambda x: x),
    broken=lambda g: bool(np.isinf(flat(g)[0]) and np.isfinite(flat(g)[1])),
    right=[COS_M, COS_M + SIN_M],
    klass="overflow",
    op="sqrt",
    phase="backward",
    advice="clamp",
    fixed=lambda: slopes(lambda x: x.clamp(min=1e-4)),
    note="A division by zero, in any format: a smaller loss scale or a wider format cannot help. What stopped the "
    "reporter first was the weight that he had halved by hand: 'Attempting to unscale FP16 gradients.', the same "
    "words here.",
)
