"""Gradients unscaled after the first micro-batch: the second adds its own, 65,536 times too large."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def batch(micro):
    return np.random.default_rng(micro).uniform(0.0, 0.8, (8, 3))


def weights(soon):
    model = hs.nn.Linear(3, 1, bias=False)
    model.weight.array[:] = 0.5
    optimizer, scaler = hs.optim.SGD(model.parameters(), lr=1.0), hs.amp.GradScaler()
    for micro in range(2):
        scaler.scale((model(hs.tensor(batch(micro))).float() ** 2).mean() / 2).backward()
        if soon and micro == 0:
            scaler.unscale_(optimizer)  # to clip; a second call would be an error, so it is made once
    if not soon:
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    return model.weight


def exact():
    x = np.stack([batch(0), batch(1)])
    return 0.5 - ((x @ np.full(3, 0.5))[..., None] * x).mean(1).sum(0)


CASE = Case(
    id="N19",
    name="unscaled-too-soon",
    title="unscale_ before the last micro-batch makes a step that is tens of thousands of times too long",
    link="https://github.com/microsoft/Swin-Transformer/issues/311",
    year=2023,
    precision="amp",
    run=lambda: weights(True),
    broken=lambda w: bool(np.abs(flat(w)).max() > 1000),
    right=exact(),
    klass="scaler",
    op=("accumulate", "unscale_", "update"),
    phase="backward",
    advice="unscale",
    fixed=lambda: weights(False),
    note="The thread called unscale_ after every micro-batch, which is an error, here in the same words; once only is "
    "the silent variant.",
)
