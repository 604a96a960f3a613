"""Boxes of a class are moved aside by 59,500 pixels, where half numbers lie 32 apart: a box of 24 loses its area."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def iou(b):
    area = (b[:, 2:] - b[:, :2]).prod(-1)
    inner = np.minimum(b[:, None, 2:], b[:, 2:]) - np.maximum(b[:, None, :2], b[:, :2])
    inter = inner.clip(min=0).prod(-1)
    return inter / (area[:, None] + area - inter)


def run():
    boxes = hs.tensor([[117.0, 117.0, 141.0, 141.0], [120.0, 120.0, 144.0, 144.0], [3300.0, 3320.0, 3500.0, 3400.0]])
    labels = hs.tensor([17.0, 17.0, 0.0])
    return iou(boxes + labels[:, None] * (boxes.max() + 1))[:2, :2]


def fixed():
    ops = ("@add", "@getitem", "@sub", "@maximum", "@minimum", "@clamp")
    with hs.precision(hs.Policy({"default": "fp16"} | dict.fromkeys(ops, "fp32"))):
        return run()


CASE = Case(
    id="B22",
    name="batched-nms",
    title="Boxes moved aside by class lose their area",
    link="https://github.com/MultimediaTechLab/YOLO/pull/234",
    year=2026,
    precision="fp16",
    run=run,
    broken=lambda pairs: not flat(pairs)[1] > 0.5,
    right=[1.0, 441 / 711, 441 / 711, 1.0],
    klass="integer rounding",
    op=("add", "mul"),
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="The thread's label 18 overflows too. Three operations round integers (3500 + 1, 17 * 3500, the corners); "
    "only the last does harm. The first five give the right value; with @clamp no trouble is left.",
)
