"""The area of a box of 300 by 300 pixels is infinite in half, and no overlapping box is suppressed.

The thread kept 37 boxes for 1. Boxes divided by 16 mend it too, as an overlap has no unit.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def iou(b):
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    inner = np.minimum(b[:, None, 2:], b[:, 2:]) - np.maximum(b[:, None, :2], b[:, :2])
    inter = inner.clip(min=0)[..., 0] * inner.clip(min=0)[..., 1]
    return inter / (area[:, None] + area - inter)


def run():
    boxes = [[0.0, 0.0, 300.2, 300.1], [5.1, 5.3, 305.0, 305.4], [2.0, 0.4, 302.3, 300.0]]
    overlaps, kept = np.asarray(iou(hs.tensor(boxes))), []
    for i in range(3):
        if not (overlaps[i, kept] > 0.2).any():
            kept.append(i)
    return len(kept)


CASE = Case(
    id="B21",
    name="nms-area",
    link="https://github.com/pytorch/vision/issues/3371",
    year=2021,
    layer="NMS, IoU",
    seen="wrong numbers",
    klass="overflow",
    op="mul",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda kept: flat(kept)[0] == 3,
    right=1.0,
    facts=lambda: {"area": 300.2 * 300.1, "side": float(hs.float16.max) ** 0.5},
    title="The area of a box overflows, and NMS keeps every box",
    title_zh="框的面积上溢，NMS 一个框也不去掉",
    symptom="non-maximum suppression in half keeps boxes that lie on top of each other",
    symptom_zh="半精度的非极大值抑制留下了互相重叠的框",
    message="nms fp16 returns too many boxes; half precision NMS different results",
    why="A box with sides longer than {side:.0f} pixels has an area past {fp16.max:,.0f}; here it is {area:,.0f}. "
    "Areas and overlap are infinite, infinity less infinity is NaN, and `NaN > 0.2` is false: {observed[0]:.0f} "
    "boxes stay where {reference[0]:.0f} should. No NaN reaches the result, which is a list of indices.",
    why_zh="边长超过 {side:.0f} 像素的框，面积就超过 {fp16.max:,.0f}；这里是 {area:,.0f}。面积和交集都是无穷大，无穷"
    "大减无穷大是 NaN，而 `NaN > 0.2` 为假：留下了 {observed[0]:.0f} 个框，本应只有 {reference[0]:.0f} 个。结果是一"
    "串下标，里面看不到 NaN。",
)
