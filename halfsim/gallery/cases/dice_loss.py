"""The soft Dice loss of a 512 x 512 mask: each sum is past 65504, and infinity by infinity is NaN."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def soft_dice_loss(logits, mask, smooth=1e-7):
    p = hs.ops.sigmoid(logits)
    intersection = (p * mask).sum()
    return 1 - (2 * intersection + smooth) / (p.sum() + mask.sum() + smooth)


def run():
    rng = np.random.default_rng(0)
    mask = (rng.uniform(size=(512, 512)) < 0.9).astype(float)
    logits = rng.normal(size=mask.shape) + 2 * mask - 1
    return soft_dice_loss(hs.tensor(logits), hs.tensor(mask))


def parts():
    rng = np.random.default_rng(0)
    mask = (rng.uniform(size=(512, 512)) < 0.9).astype(float)
    p = 1 / (1 + np.exp(-(rng.normal(size=mask.shape) + 2 * mask - 1)))
    return (p * mask).sum(), p.sum(), mask.sum()


def right():
    both, p, mask = parts()
    return 1 - 2 * both / (p + mask)


CASE = Case(
    id="B20",
    name="dice-loss",
    link="https://github.com/qubvel-org/segmentation_models.pytorch/issues/463",
    year=2021,
    layer="Dice loss",
    seen="NaN",
    klass="overflow",
    op="sum",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isnan(flat(loss)).all()),
    right=right,
    facts=lambda: dict(zip(("both", "p", "mask"), parts(), strict=True)),
    title="The Dice loss of a large image in half is infinity over infinity",
    title_zh="大图的 Dice 损失在半精度里是无穷大除以无穷大",
    symptom="the Dice loss is NaN for large images, and fine for small crops",
    symptom_zh="大图的 Dice 损失是 NaN，小块则正常",
    message="DiceLoss nan with amp / fp16",
    why="The sums of the overlap and of the mask are {both:,.0f} and {mask:,.0f} pixels, past {fp16.max:,.0f}. Both "
    "sides of the fraction are infinite, and the loss is NaN instead of {reference[0]:.3g}. The number of pixels "
    "decides, not the data. Keep the sums in float32.",
    why_zh="重叠部分之和与掩码之和是 {both:,.0f} 和 {mask:,.0f} 个像素，都超过 {fp16.max:,.0f}。分子分母都是无穷大，"
    "损失成了 NaN，而本应是 {reference[0]:.3g}。起决定作用的是像素的个数，而不是数据。求和要留在 float32。",
)
