"""Class labels kept in half: of 80,000 classes those above 2048 are mixed up and those above 65,519 infinite."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

LABELS = np.array([7, 2049, 30_001, 65_519, 70_000, 79_999])


def run():
    return hs.tensor(LABELS)


CASE = Case(
    id="N25",
    name="half-labels",
    title="Labels in half precision: class 2049 is trained as class 2048, class 70,000 as infinity",
    link="https://github.com/THUFutureLab/gluon-face/issues/28",
    year=2019,
    precision="fp16",
    run=run,
    broken=lambda labels: bool(flat(labels)[1] == 2048 and np.isinf(flat(labels)[4:]).all()),
    right=LABELS,
    klass="overflow",
    op="tensor",
    phase="forward",
    advice="integers",
    fixed=lambda: LABELS,
    note="Without the classes from 65,520 up it is integer rounding, and as wrong. Losses take such labels silently.",
)
