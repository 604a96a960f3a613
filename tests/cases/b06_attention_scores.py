"""Attention scores overflow before they are divided by the root of the head's size."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def inputs():
    rng = np.random.default_rng(6)
    q, k, v = rng.normal(size=(3, 1, 5, 64))
    q[0, 0, 7], k[0, 3, 7] = 576.0, 382.75  # the thread's largest: one product is 220464
    return q, k, v


def run():
    q, k, v = (hs.tensor(a) for a in inputs())
    scores = q @ k.transpose(-2, -1) * 0.125
    return scores.softmax(-1) @ v


def fixed():
    q, k, v = (hs.tensor(a) for a in inputs())
    scores = (q * 0.125) @ k.transpose(-2, -1)
    return scores.softmax(-1) @ v


def right():
    q, k, v = inputs()
    s = q @ k.swapaxes(-2, -1) / 8
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


CASE = Case(
    id="B06",
    name="attention-scores",
    title="Attention scores overflow before they are scaled",
    link="https://github.com/pytorch/pytorch/issues/119131",
    year=2024,
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[:64]).all()),
    right=right(),
    klass="overflow",
    op="matmul",
    phase="forward",
    advice="scale",
    fixed=fixed,
    note="Largest q and k as in the thread, its largest product is 784449. @matmul and @mul in float32 mend it too.",
)
