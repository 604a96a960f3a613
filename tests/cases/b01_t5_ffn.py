"""One output of a feed-forward layer passes 65504, and the norm after it makes the row NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def model():
    wi, wo = hs.nn.Linear(2, 8, bias=False), hs.nn.Linear(8, 3, bias=False)
    wi.load_state_dict({"weight": np.outer([1.0] * 6 + [-1.0] * 2, [120.0, 61.0])})
    wo.load_state_dict({"weight": np.outer([61.0, 0.53, -7.9], np.ones(8))})
    return hs.nn.Sequential(wi, hs.nn.ReLU(), wo, hs.nn.RMSNorm(3, eps=1e-6))


def run():
    return model()(hs.tensor([[1.0, 1.0], [0.1, 0.2]]))  # the first token: 6 * 181 * 61 = 66246


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@linear": "fp32", "@rms_norm": "fp32"})):
        return run()


hidden = 6 * np.array([[181.0], [24.2]]) * [61.0, 0.53, -7.9]

CASE = Case(
    id="B01",
    name="t5-ffn",
    title="A T5 feed-forward layer passes 65504",
    link="https://github.com/huggingface/transformers/issues/5651",
    year=2020,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)).any()),
    right=hidden / np.sqrt((hidden**2).mean(1, keepdims=True)),
    klass="overflow",
    op="linear",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="66246 is the thread's number; the smallest policy is @linear and @rms_norm, the norm reads 66246 back.",
)
