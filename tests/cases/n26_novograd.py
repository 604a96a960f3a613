"""NovoGrad's second moment is a whole layer's norm: a layer without gradient divides zero by its eps, zero in half."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def update(gradient, epsilon):
    g = hs.tensor(gradient)
    moment = g.square().sum()  # the first step's second moment, one number for the layer
    return g / (moment.sqrt() + epsilon) * -0.001


def updates(epsilon):
    return [update(gradient, epsilon) for gradient in ([0.3, -0.4], [0.0, 0.0])]


CASE = Case(
    id="N26",
    name="novograd",
    title="A layer whose gradient is zero gets a NaN from NovoGrad in half",
    link="https://github.com/google-deepmind/optax/issues/1789",
    year=2026,
    precision="fp16",
    run=lambda: updates(1e-8),
    broken=lambda u: bool(np.isfinite(flat(u)[:2]).all() and np.isnan(flat(u)[2:]).all()),
    right=[-0.0006, 0.0008, 0.0, 0.0],
    klass="eps lost",
    op="add",
    phase="forward",
    advice="1e-4",
    fixed=lambda: updates(1e-4),
    missing="NovoGrad, Adan, Adadelta",
    note="Written as optax writes it, a function from gradients to updates. Adan is like it; AdaDelta, named too, is "
    "not: its eps of 1e-6 is a subnormal half. In float32 both @add and @div must stay.",
)
