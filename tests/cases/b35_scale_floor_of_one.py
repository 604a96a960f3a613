"""Gradients of 1e5 overflow at a loss scale of 1 too: with a floor of 1 every step is skipped, silently."""

import halfsim as hs
from tests.cases.case import Case, flat


def train(scaler):
    model = hs.nn.Linear(1, 1, bias=False)
    model.load_state_dict({"weight": [[0.0]]})
    optimizer = hs.optim.SGD(model.parameters(), lr=2e-7)
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((model(hs.tensor([[1000.0]])) - 50) ** 2).mean()  # its first gradient is -1e5
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return model.weight


CASE = Case(
    id="B35",
    name="scale-floor-of-one",
    title="A loss scale that may not fall below 1 skips every step for ever",
    link="https://github.com/keras-team/keras/issues/16100",
    year=2022,
    precision="amp",
    run=lambda: train(hs.amp.GradScaler(min_scale=1.0)),
    broken=lambda w: bool((flat(w) == 0).all()),
    right=[0.05],
    klass="scaler",
    op="linear",
    phase="backward",
    advice="min_scale",
    fixed=lambda: train(hs.amp.GradScaler()),
    note="without the floor the scale settles at 2**-1 after 17 skipped steps",
)
