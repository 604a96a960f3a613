"""The soft Dice loss of a 512 x 512 mask: each sum is past 65504, and infinity by infinity is NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def inputs():
    rng = np.random.default_rng(0)
    mask = (rng.uniform(size=(512, 512)) < 0.9).astype(float)
    return rng.normal(size=mask.shape) + 2 * mask - 1, mask


def soft_dice_loss(logits, mask, smooth=1e-7):
    p = hs.ops.sigmoid(logits)
    intersection = (p * mask).sum()
    return 1 - (2 * intersection + smooth) / (p.sum() + mask.sum() + smooth)


def run():
    return soft_dice_loss(*map(hs.tensor, inputs()))


def fixed():
    logits, mask = map(hs.tensor, inputs())
    with hs.precision(hs.Policy({"default": "fp16", "@sum": "fp32", "@mul": "fp32", "@add": "fp32", "@div": "fp32"})):
        return soft_dice_loss(logits, mask)


def right():
    logits, mask = inputs()
    p = 1 / (1 + np.exp(-logits))
    return [1 - 2 * (p * mask).sum() / (p.sum() + mask.sum())]


CASE = Case(
    id="B20",
    name="dice-loss",
    title="The Dice loss of a large image in half is infinity by infinity",
    link="https://github.com/qubvel-org/segmentation_models.pytorch/issues/463",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isnan(flat(loss)).all()),
    right=right(),
    klass="overflow",
    op="sum",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="Policy keys: @sum, @mul, @add, @div",
)
