"""A running variance of 1e5, rounded to half for the kernel, is infinite, and the layer's output silently zero."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

CHECKPOINT = {
    "weight": np.ones(2),
    "bias": np.zeros(2),
    "running_mean": np.zeros(2),
    "running_var": np.full(2, 1e5),
    "num_batches_tracked": 1,
}


def run():
    with hs.precision("fp32"):
        norm = hs.nn.BatchNorm1d(2).eval()
        norm.load_state_dict(CHECKPOINT)
    return norm(hs.tensor([[1000.0, -123.4]]))


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@batch_norm": "fp32"})):
        return run()


CASE = Case(
    id="B44",
    name="variance-downcast",
    title="A batch norm's running variance does not fit into half, and its output is zero",
    link="https://github.com/apple/coreai-torch/pull/54",
    year=2026,
    precision="fp16",
    run=run,
    broken=lambda y: bool((flat(y) == 0).all()),
    right=np.array([1000.0, -123.4]) / np.sqrt(1e5 + 1e-5),
    klass="overflow",
    op="batch_norm",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="the rounding is that of reading an operand in float32; Policy key: @batch_norm",
)
