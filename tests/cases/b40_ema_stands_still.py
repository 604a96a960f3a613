"""An average of weights with decay 0.9999, kept in half, stands still: each step is below half an ulp."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def average(format=None):
    model = hs.nn.Linear(3, 1, bias=False)
    model.load_state_dict({"weight": np.ones((1, 3))})
    ema = hs.optim.EMA(model, decay=0.9999, format=format)
    model.load_state_dict({"weight": np.full((1, 3), 2.0)})  # training moved them
    for _ in range(5000):
        ema.update()
    return ema.averages


CASE = Case(
    id="B40",
    name="ema-stands-still",
    title="A moving average kept in half does not move",
    link="https://github.com/d8ahazard/sd_dreambooth_extension/pull/1417",
    year=2023,
    precision="fp16",
    run=average,
    broken=lambda averages: bool((flat(averages) == 1).all()),
    right=np.full(3, 2 - 0.9999**5000),
    klass="swamping",
    op="average",
    phase="optimizer",
    advice="float32",
    fixed=lambda: average("fp32"),
    note="5000 steps, half as many as in the thread",
)
