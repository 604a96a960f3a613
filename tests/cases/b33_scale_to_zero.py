"""A blank image divided by its maximum is NaN in every step, whatever the loss scale, which halves down to zero."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

IMAGES = np.random.default_rng(0).uniform(size=(4, 6))
IMAGES[2] = 0


def train(normalise, steps=170):
    model = hs.nn.Linear(6, 1, bias=False)
    model.load_state_dict({"weight": np.full((1, 6), 0.3)})
    optimizer, scaler = hs.optim.SGD(model.parameters(), lr=0.1), hs.amp.GradScaler(init_scale=2.0**10)
    x, y = normalise(hs.tensor(IMAGES)), hs.tensor(np.ones((4, 1)))
    for _ in range(steps):
        optimizer.zero_grad()
        scaler.scale(((model(x) - y) ** 2).mean()).backward()
        scaler.step(optimizer)
        scaler.update()
    return [scaler.get_scale() / 2**10, model.weight]


def run():
    return train(lambda x: x / np.amax(x, axis=1, keepdims=True))


def fixed():
    return train(lambda x: x / np.maximum(np.amax(x, axis=1, keepdims=True), 1e-3))


def right():
    x, w = IMAGES / np.maximum(IMAGES.max(1, keepdims=True), 1e-3), np.full(6, 0.3)
    for _ in range(170):
        w = w - 0.1 * 2 * x.T @ (x @ w - 1) / 4
    return [1.0, *w]


CASE = Case(
    id="B33",
    name="scale-to-zero",
    title="A NaN that the loss scale did not make drives the scale down to zero",
    link="https://github.com/NVIDIA/apex/issues/318",
    year=2019,
    precision="amp",
    run=run,
    broken=lambda value: flat(value)[0] == 0,
    right=right(),
    klass="scaler",
    op="div",
    phase="forward",
    advice="div",
    fixed=fixed,
    note="where the NaN comes from is invented, the thread does not say; apex's scale is a Python float and takes 1091 "
    "halvings to zero, this one a float32; no precision mends it",
)
