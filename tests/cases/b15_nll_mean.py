"""A loss over 262,144 pixels: its sum is infinite in half, and so is the number of pixels it is divided by."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def inputs():
    rng = np.random.default_rng(15)
    return rng.normal(size=(4, 2, 256, 256)), rng.integers(2, size=(4, 256, 256))


def run():
    logits, target = inputs()
    weight = hs.tensor([1.0, 1.0])
    loss = hs.nn.functional.nll_loss(hs.tensor(logits).log_softmax(1), target, weight, reduction="sum")
    return loss / weight[target].sum()


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@nll_loss": "fp32", "@sum": "fp32", "@div": "fp32"})):
        return run()


def right():
    logits, target = inputs()
    losses = np.log(np.exp(logits).sum(1)) - np.take_along_axis(logits, target[:, None], 1)[:, 0]
    return losses.mean()


CASE = Case(
    id="B15",
    name="nll-mean",
    title="The mean loss over many pixels is infinity over infinity",
    link="https://github.com/pytorch/pytorch/issues/29429",
    year=2019,
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isnan(flat(loss)[0])),
    right=right(),
    klass="overflow",
    op=("nll_loss", "sum"),
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="Mechanism inferred: the kernel stored sum and weight count in half. 4 images instead of 32.",
)
