"""Boxes of a class are moved aside by 59,500 pixels, where halves lie 32 apart: a box of 24 loses its area.

Three operations round integers (3500 + 1, 17 * 3500, the corners); only the last does harm. The thread's label 18
overflows too.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def iou(b):
    area = (b[:, 2:] - b[:, :2]).prod(-1)
    inner = np.minimum(b[:, None, 2:], b[:, 2:]) - np.maximum(b[:, None, :2], b[:, :2])
    inter = inner.clip(min=0).prod(-1)
    return inter / (area[:, None] + area - inter)


def run():
    boxes = [[117.0, 117.0, 141.0, 141.0], [120.0, 120.0, 144.0, 144.0], [3300.0, 3320.0, 3500.0, 3400.0]]
    boxes, labels = hs.tensor(boxes), hs.tensor([17.0, 17.0, 0.0])
    return iou(boxes + labels[:, None] * (boxes.max() + 1))[:2, :2]


CASE = Case(
    id="B22",
    name="batched-nms",
    link="https://github.com/MultimediaTechLab/YOLO/pull/234",
    year=2026,
    layer="batched NMS",
    seen="NaN",
    klass="integer rounding",
    op=("add", "mul"),
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda pairs: not flat(pairs)[1] > 0.5,
    right=[1.0, 441 / 711, 441 / 711, 1.0],
    facts=lambda: {"shift": 17 * 3501.0, "gap": float(hs.spacing(17 * 3501.0, "float16")), "side": 141.0 - 117.0},
    inferred=True,
    title="Boxes moved aside by class lose their area",
    title_zh="按类别平移的框丢了面积",
    symptom="small boxes of classes with a large number are not suppressed in half",
    symptom_zh="半精度里，类别号大的小框没有被抑制",
    message="batched_nms fp16 duplicate boxes; boxes + offsets half precision",
    why="To keep classes apart, boxes are moved by `label * (max + 1)`, here about {shift:,.0f} pixels. There the "
    "numbers of float16 lie {gap:g} apart, and a box of {side:g} pixels has both corners at the same place. Its "
    "area is zero and the overlap {observed[1]:g} instead of {reference[1]:.3g}. Add the offsets in float32.",
    why_zh="为了把类别分开，框要平移 `label * (max + 1)`，这里约 {shift:,.0f} 像素。那里 float16 的数间隔是 {gap:g}"
    "，一个 {side:g} 像素的框两角落在同一处，面积为零，重叠度得到 {observed[1]:g}，而不是 {reference[1]:.3g}。平移"
    "量要用 float32 相加。",
)
