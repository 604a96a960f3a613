"""Nucleus sampling: a running sum of 32,768 probabilities in bfloat16 stops at 0.25 and never comes to top_p.

The logits are sorted by NumPy. Every addition is stored in bfloat16, as the thread describes; PyTorch's CPU kernel
adds in float32 and is off by one percent. Of the thread's 131,072 entries the sums stop at 0.18.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def sums(precision):
    logits = np.sort(2.0 * np.random.default_rng(0).standard_normal(32768))[::-1]
    probabilities = hs.tensor(logits).softmax(-1)
    with hs.precision(precision):
        return probabilities.cumsum(-1)[::1024]  # the entries up to 0.9 are kept


def run():
    return sums("storage=bf16, compute=bf16, accumulate=bf16:sequential")  # each sum is stored


def fixed():
    return sums("fp32")


def right():
    e = np.exp(np.sort(2.0 * np.random.default_rng(0).standard_normal(32768))[::-1])
    return np.cumsum(e / e.sum())[::1024]


CASE = Case(
    id="N04",
    name="top-p",
    link="https://github.com/NVIDIA/Megatron-LM/pull/7182",
    year=2026,
    layer="Sampling (top-p), cumsum",
    seen="no change",
    klass="swamping",
    op="cumsum",
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda sums: bool(flat(sums)[-1] < 0.9),
    right=right,
    fixed=fixed,
    advice="float32",
    title="The running sum of a large vocabulary's probabilities stops long before 1",
    title_zh="大词表概率的累加和远没到 1 就停了",
    symptom="top-p sampling in bfloat16 keeps the whole vocabulary and gives nonsense",
    symptom_zh="bfloat16 的 top-p 采样留下了整个词表，生成的全是乱码",
    message="top_p sampling bf16 cumsum saturates; nucleus sampling keeps all tokens",
    why="Each probability is small, and soon smaller than half of the gap between the numbers of bfloat16 near the "
    "sum. From {observed[31]:.3g} on every addend is rounded away, and the sum never comes to `0.9`, at which "
    "sampling would cut: every word is kept, the least likely too. In float32 the last sum is {fixed[31]:.3g}.",
    why_zh="每个概率都很小；累加的和大到一定程度后，那里 bfloat16 间隔的一半就比它们大了。从 {observed[31]:.3g} 起每个加"
    "数都被舍掉，和永远到不了截断点 `0.9`：所有的词都留下来，连最不可能的也在内。用 float32，最后的和是 "
    "{fixed[31]:.3g}。",
)
