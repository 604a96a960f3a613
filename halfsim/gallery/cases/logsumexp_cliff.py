"""The logarithm of a sum of exponentials over 32 channels falls off a cliff at 7.63; the Neural Engine then gives 0."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor(np.tile([[7.5], [7.62], [7.6313]], 32))
    return x.exp().sum(-1).log()


CASE = Case(
    id="N09",
    name="logsumexp-cliff",
    link="https://github.com/apple/coremltools/issues/2690",
    year=2026,
    layer="logsumexp",
    seen="infinity",
    klass="overflow",
    op="sum",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isfinite(flat(y)[:2]).all() and np.isinf(flat(y)[2])),
    right=np.array([7.5, 7.62, 7.6313]) + np.log(32),
    facts=lambda: {"n": 32, "edge": np.log(float(hs.float16.max) / 32), "alone": np.log(float(hs.float16.max))},
    title="logsumexp without the shift by the maximum overflows for moderate inputs",
    title_zh="没有减去最大值的 logsumexp 对中等的输入就上溢",
    symptom="logsumexp collapses at a sharp threshold near 7.63, right below and inf (or 0) above",
    symptom_zh="logsumexp 在 7.63 附近有一道坎：以下正确，以上为 inf（或 0）",
    message="reduce_log_sum_exp wrong result Core ML Neural Engine fp16",
    why="One exponential passes {fp16.max:,.0f} at {alone:.2f}, and the sum of {n} of them at {edge:.2f} already. "
    "Below it the result is right to three digits, above it is {observed[2]:g}, where {reference[2]:.4g} is right. "
    "Subtract the maximum first and add it back after the logarithm: then no exponential is above one.",
    why_zh="单个指数在 {alone:.2f} 处超过 {fp16.max:,.0f}，{n} 个相加在 {edge:.2f} 处就超过了。在它以下结果有三位正"
    "确，以上则是 {observed[2]:g}，而正确的是 {reference[2]:.4g}。先减去最大值，取对数之后再加回来：这样每个指数都"
    "不超过一。",
)
