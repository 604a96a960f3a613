"""Focal loss: max(1 - p, FLT_MIN) guards a logarithm with a number that half does not have."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

FLT_MIN = 1.17549435e-38


def losses(guard):
    logits, target = hs.tensor([9.3906, -4.2344]), np.array([1.0, 0.0])
    p = logits.sigmoid()
    hit = (1 - p) ** 2 * p.clamp(min=guard).log()
    miss = p**2 * (1 - p).clamp(min=guard).log()
    return -0.25 * hs.tensor(target) * hit - 0.75 * hs.tensor(1 - target) * miss


def exact():
    p = 1 / (1 + np.exp(-np.array([9.3906, -4.2344])))
    return [-0.25 * (1 - p[0]) ** 2 * np.log(p[0]), -0.75 * p[1] ** 2 * np.log(1 - p[1])]


CASE = Case(
    id="N16",
    name="focal-guard",
    title="A focal loss is NaN where the classifier is sure: its guard of 1e-38 is zero in half",
    link="https://github.com/open-mmlab/mmcv/issues/1488",
    year=2021,
    precision="fp16",
    run=lambda: losses(FLT_MIN),
    broken=lambda loss: bool(np.isnan(flat(loss)[0])),
    right=exact(),
    klass="eps lost",
    op="clamp",
    phase="forward",
    advice="1e-4",
    fixed=lambda: losses(1e-4),
    note="A zero times -inf. @clamp and @log in float32 mend it too, or @sigmoid and @sub (the 1 - p).",
)
