"""The area of a box of 300 by 300 pixels is infinite in half, and no overlapping box is suppressed."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def iou(b):
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    inner = (np.minimum(b[:, None, 2:], b[:, 2:]) - np.maximum(b[:, None, :2], b[:, :2])).clip(min=0)
    inter = inner[..., 0] * inner[..., 1]
    return inter / (area[:, None] + area - inter)


def run():
    overlaps = np.asarray(
        iou(hs.tensor([[0.0, 0.0, 300.2, 300.1], [5.1, 5.3, 305.0, 305.4], [2.0, 0.4, 302.3, 300.0]]))
    )
    kept = []
    for i in range(3):
        if not (overlaps[i, kept] > 0.2).any():
            kept.append(i)
    return len(kept)


def fixed():
    ops = ("@mul", "@getitem", "@add", "@sub", "@div")
    with hs.precision(hs.Policy({"default": "fp16"} | dict.fromkeys(ops, "fp32"))):
        return run()


CASE = Case(
    id="B21",
    name="nms-area",
    title="The area of a box overflows, and NMS keeps every box",
    link="https://github.com/pytorch/vision/issues/3371",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda kept: flat(kept)[0] == 3,
    right=1.0,
    klass="overflow",
    op="mul",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="The thread kept 37 boxes for 1. Those five are the smallest policy: an index stores the areas again. "
    "Boxes divided by 16 mend it too, as an overlap has no unit.",
)
