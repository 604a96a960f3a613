"""Standardizing a column: its sum passes 65,504, so the mean is infinite and all that is left is NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

ROWS = 1_000_000  # ten million in the report


def scaled(policy):
    with hs.precision(policy):
        x = hs.tensor(np.full(ROWS, 10.0))
        mean = np.sum(x) / ROWS
        deviation = np.sqrt(np.sum((x - mean) ** 2) / ROWS)
        return ((x - mean) / np.where(deviation == 0, 1.0, deviation))[:4]


CASE = Case(
    id="N13",
    name="standard-scaler",
    title="A column of ten million tens cannot be standardized in half: its sum is infinite",
    link="https://github.com/scikit-learn/scikit-learn/issues/13007",
    year=2019,
    precision="fp16",
    run=lambda: scaled("fp16"),
    broken=lambda z: bool(np.isnan(flat(z)).all()),
    right=np.zeros(4),
    klass="overflow",
    op="sum",
    phase="forward",
    advice="div",
    fixed=lambda: scaled(hs.Policy({"default": "fp16", "@sum": "fp32", "@div": "fp32"})),
    missing="np.average, np.nanmean",
    note="A million rows here, and the smallest set. np.mean divides before it stores and mends it too. In pure_fp16 "
    "the sum stops at 32768: swamping.",
)
