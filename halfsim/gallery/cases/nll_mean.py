"""A loss over 262,144 pixels: its sum is infinite in half, and so is the number of pixels. 4 images instead of 32."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    rng = np.random.default_rng(15)
    logits, target = rng.normal(size=(4, 2, 256, 256)), rng.integers(2, size=(4, 256, 256))
    log_probs, weight = hs.tensor(logits).log_softmax(1), hs.tensor([1.0, 1.0])
    loss = hs.nn.functional.nll_loss(log_probs, target, weight, reduction="sum")
    return loss / weight[target].sum()


def losses():
    rng = np.random.default_rng(15)
    logits, target = rng.normal(size=(4, 2, 256, 256)), rng.integers(2, size=(4, 256, 256))
    return np.log(np.exp(logits).sum(1)) - np.take_along_axis(logits, target[:, None], 1)[:, 0]


CASE = Case(
    id="B15",
    name="nll-mean",
    link="https://github.com/pytorch/pytorch/issues/29429",
    year=2019,
    layer="NLLLoss",
    seen="NaN",
    klass="overflow",
    op=("nll_loss", "sum"),
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isnan(flat(loss)[0])),
    right=lambda: losses().mean(),
    facts=lambda: {"sum": losses().sum(), "pixels": losses().size},
    inferred=True,
    title="The mean loss over many pixels is infinity over infinity",
    title_zh="大量像素的平均损失成了无穷大除以无穷大",
    symptom="the mean loss of an image segmentation is NaN in half, its single losses are fine",
    symptom_zh="图像分割的平均损失在半精度里是 NaN，而单个像素的损失都正常",
    message="NLLLoss reduce=True returning nan in float16",
    why="The sum of the losses is {sum:,.0f} and the sum of the weights {pixels:,}; both are past {fp16.max:,.0f}. "
    "Infinity divided by infinity is NaN, though the mean, {reference[0]:.3g}, is a small number. Reductions over "
    "pixels belong in float32, and autocast puts this loss there.",
    why_zh="损失之和是 {sum:,.0f}，权重之和是 {pixels:,}，都超过 {fp16.max:,.0f}。无穷大除以无穷大是 NaN，尽管均值不"
    "过 {reference[0]:.3g}。对像素的归约应当用 float32，autocast 也正是这样安排这个损失的。",
)
