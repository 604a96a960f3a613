"""A gradient penalty: the norm's guard of 1e-12 is zero in half, so every gradient is NaN and every step is skipped."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def trained(epsilon):
    first = hs.nn.Parameter(hs.tensor(np.linspace(-0.5, 0.5, 24).reshape(6, 4)))
    last = hs.nn.Parameter(hs.tensor(np.zeros((1, 6))))  # many a critic begins at zero
    optimizer = hs.optim.SGD([first, last], lr=0.01, master_weights=True)
    scaler = hs.amp.GradScaler(init_scale=128.0)
    for _ in range(40):
        optimizer.zero_grad()
        slope = last @ first  # the gradient of the critic's score in its input, written out
        norm = (slope.square().sum() + epsilon).sqrt()
        scores = slope @ hs.tensor([0.3, -0.2, 0.7, 0.1])  # of a forged sample, less that of a real one
        scaler.scale(scores.sum().float() + (norm.float() - 1) ** 2).backward()
        scaler.step(optimizer)
        scaler.update()
    return [scaler.get_scale(), float(np.abs(last.array).max() > 0)]


CASE = Case(
    id="N33",
    name="gradient-penalty",
    title="The loss scale of a Wasserstein GAN with gradient penalty falls until it divides by zero",
    link="https://github.com/NVIDIA/apex/issues/654",
    year=2019,
    precision="fp16",
    run=lambda: trained(1e-12),
    broken=lambda v: bool(flat(v)[0] < 1e-6 and flat(v)[1] == 0),
    right=[128.0, 1.0],  # the scale stays, the critic moves
    klass="eps lost",
    op="add",
    phase="forward",
    advice="1e-4",
    fixed=lambda: trained(1e-4),
    missing="autograd.grad, create_graph",
    note="Inferred: the thread gives the falling scale and the code of the penalty. The gradient in the input is "
    "written out for a linear critic, since a gradient of a gradient is not to be had.",
)
