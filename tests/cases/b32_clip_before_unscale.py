"""Gradients clipped while they are still multiplied by the loss scale: the step is 65536 times too small."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def train(unscale):
    model = hs.nn.Linear(2, 1, bias=False)
    model.load_state_dict({"weight": [[0.0, 0.0]]})
    optimizer, scaler = hs.optim.SGD(model.parameters(), lr=1.0), hs.amp.GradScaler()
    loss = hs.ops.mse_loss(model(hs.tensor([[0.6, 0.7], [0.6, 0.7]])), hs.tensor([[-0.5], [-0.5]]))
    scaler.scale(loss).backward()
    if unscale:
        scaler.unscale_(optimizer)
    hs.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return model.weight


CASE = Case(
    id="B32",
    name="clip-before-unscale",
    title="Clipping before unscaling makes the step smaller by the loss scale",
    link="https://github.com/harubaru/waifu-diffusion/issues/64",
    year=2023,
    precision="amp",
    run=lambda: train(unscale=False),
    broken=lambda w: 1.5e-5 < np.linalg.norm(flat(w)) < 1.54e-5,
    right=[-0.6, -0.7],
    klass="scaler",
    op="clip_grad_norm_",
    phase="optimizer",
    advice="unscale_",
    fixed=lambda: train(unscale=True),
    note="no rounding is to blame, and no precision mends it",
)
