"""Nucleus sampling: a running sum of 32,768 probabilities in bfloat16 stops at 0.25 and never comes to top_p."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

ENTRIES, TOP_P = 32_768, 0.9


def data():
    return np.sort(2.0 * np.random.default_rng(0).standard_normal(ENTRIES))[::-1]


def sums(precision):
    probabilities = hs.tensor(data()).softmax(-1)
    with hs.precision(precision):
        return probabilities.cumsum(-1)[::1024]  # the entries up to TOP_P are the nucleus


def run():
    return sums("storage=bf16, compute=bf16, accumulate=bf16:sequential")  # each sum is stored


def exact():
    e = np.exp(data())
    return np.cumsum(e / e.sum())[::1024]


CASE = Case(
    id="N04",
    name="top-p",
    title="The running sum of a large vocabulary's probabilities stops long before 1",
    link="https://github.com/NVIDIA/Megatron-LM/pull/7182",
    year=2026,
    precision="bf16",
    run=run,
    broken=lambda sums: bool(flat(sums)[-1] < TOP_P),  # so every entry is kept
    right=exact(),
    klass="swamping",
    op="cumsum",
    phase="forward",
    advice="float32",
    fixed=lambda: sums("fp32"),
    missing="sort, topk",
    note="The logits are sorted by NumPy. Every addition is stored in bfloat16, as the thread describes; PyTorch's CPU "
    "kernel adds in float32 and is off by one percent. Of the 131,072 entries of the thread's vocabulary the sums "
    "stop at 0.18.",
)
