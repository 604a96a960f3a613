"""While the loss is tiny the scale doubles at every step; real gradients then overflow for a hundred steps."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

TEACHER = np.array([0.5, -1.0, 0.25, 0.75, -0.3])


def train(scaler):
    net = hs.nn.Linear(5, 1, bias=False)
    net.load_state_dict({"weight": np.zeros((1, 5))})
    optimizer, rng = hs.optim.SGD(net.parameters(), lr=0.1), np.random.default_rng(0)
    for step in range(220):
        x = rng.normal(size=(8, 5)) * (step >= 120)  # blank at first
        optimizer.zero_grad()
        loss = ((net(hs.tensor(x)) - hs.tensor(x @ TEACHER[:, None])) ** 2).mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return net.weight


CASE = Case(
    id="B34",
    name="scale-without-ceiling",
    title="A loss scale without a ceiling grows to the largest float32 and cannot come back in time",
    link="https://github.com/pytorch/pytorch/issues/98828",
    year=2023,
    precision="amp",
    run=lambda: train(hs.amp.GradScaler(growth_interval=1)),
    broken=lambda w: bool((flat(w) == 0).all()),
    right=TEACHER,
    klass="scaler",
    op=("sub", "GradScaler"),
    phase="backward",
    advice="max_scale",
    fixed=lambda: train(hs.amp.GradScaler(growth_interval=1, max_scale=2.0**16)),
    note="the thread's scale became infinite; since PyTorch's own fix, which halfsim follows, it stops at 2**127, and "
    "100 steps are skipped on the way down; the blank data before the real is invented",
)
