"""CIoU adds its eps of 1e-9 to 1, where it is lost, in float32 too, and equal boxes make 0/0. Upstream adds it last."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run(eps=1e-9):
    iou = hs.tensor([1.0, 0.8])  # the overlap
    v = hs.tensor([0.0, 0.05])  # how different the aspect ratios are
    alpha = v / ((1 + eps) - iou + v)
    return iou - v * alpha


def fixed(eps=1e-4):
    iou = hs.tensor([1.0, 0.8])
    v = hs.tensor([0.0, 0.05])
    alpha = v / ((1 - iou) + v + eps)
    return iou - v * alpha


CASE = Case(
    id="B53",
    name="ciou-eps",
    link="https://github.com/ultralytics/yolov5/issues/2376",
    year=2021,
    layer="CIoU loss",
    seen="NaN",
    klass="constant changed",
    op="sub",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda ciou: bool(np.isnan(flat(ciou)[0])),
    right=[1.0, 0.79],
    fixed=fixed,
    advice="constant",
    title="An eps of 1e-9 is added to 1 and lost",
    title_zh="eps 1e-9 加到 1 上就丢了",
    symptom="the box loss is NaN as soon as a predicted box equals its target",
    symptom_zh="预测框与目标框完全重合时，框损失是 NaN",
    message="bbox_iou CIoU nan; yolov5 box loss nan",
    why="`(1 + eps)` is exactly one: the next number above one is {fp16.eps:.2g} away in float16, and {fp32.eps:.1e} "
    "in float32, so neither holds it. Equal boxes make zero divided by zero. Added last, to a sum that can be small, "
    "an eps works, if it is one that the format holds: the result is {fixed[0]:g}.",
    why_zh="`(1 + eps)` 恰好等于一：比一大的下一个数，在 float16 里要大 {fp16.eps:.2g}，在 float32 里要大 "
    "{fp32.eps:.1e}，两种格式都装不下它。两框重合就是零除以零。把 eps 放在最后、加到可能很小的和上才有用，而且它得是格"
    "式装得下的数：结果是 {fixed[0]:g}。",
)
