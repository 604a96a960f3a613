"""The scaler skips steps while it looks for its scale, and the learning rate is lowered for each of them."""

import warnings

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def rate(always):
    model = hs.nn.Linear(4, 1, bias=False)
    optimizer, scaler = hs.optim.SGD(model.parameters(), lr=1.0), hs.amp.GradScaler()
    schedule = hs.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale(model(hs.tensor(np.full((2, 4), 3.3))).sum()).backward()  # 65536 * 3.3 is infinite in half
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if always or scaler.get_scale() >= before:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a schedule that steps before its optimizer
                schedule.step()
    return [optimizer.param_groups[0]["lr"]]


CASE = Case(
    id="N20",
    name="schedule-runs-on",
    title="Two steps were skipped, yet the learning rate is a quarter already",
    link="https://github.com/pytorch/pytorch/issues/55585",
    year=2021,
    precision="amp",
    run=lambda: rate(True),
    broken=lambda lr: flat(lr)[0] == 0.25,
    right=[1.0],
    klass="benign rounding",
    op=(),
    phase="forward",
    note="The skipped steps are the scaler's business and no trouble of numbers. scaler.history tells of each; the "
    "schedule warns of lr_scheduler.step() before optimizer.step(), as PyTorch's does. The scale before and after "
    "update() says whether to go on.",
)
