"""Decoupled weight decay multiplies by 1 - 1e-4, which in bfloat16 leaves every weight as it is.

Rates ten times those of the thread, in a thirty-third of the steps.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    w = hs.nn.Parameter(hs.tensor([1.0, 0.7, -0.3]))
    optimizer = hs.optim.AdamW([w], lr=1e-3, weight_decay=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (w * 0).sum().backward()
        optimizer.step()
    return w


CASE = Case(
    id="B39",
    name="no-decay",
    link="https://github.com/Nerogar/OneTrainer/issues/996",
    year=2025,
    layer="AdamW, weight decay",
    seen="no change",
    klass="swamping",
    op="decay",
    phase="optimizer",
    precision="bf16",
    run=run,
    broken=lambda w: np.array_equal(flat(w), flat(hs.tensor([1.0, 0.7, -0.3], "bf16"))),
    right=np.array([1.0, 0.7, -0.3]) * (1 - 1e-4) ** 300,
    facts=lambda: {"factor": 1 - 1e-3 * 0.1, "gap": float(hs.bfloat16.eps) / 2},
    title="Weight decay in bfloat16 decays nothing",
    title_zh="bfloat16 里的权重衰减什么也没有衰减",
    symptom="weight decay has no effect in bfloat16, whatever its value",
    symptom_zh="bfloat16 里权重衰减不起作用，怎么调都一样",
    message="weight decay no effect bf16 AdamW",
    why="Each step multiplies the weights by {factor:g}. The next bfloat16 below one is {gap:.2g} away, so the "
    "product is rounded back to the weight, three hundred times. The first weight stays at {observed[0]:g} and should "
    "have come down to {reference[0]:.3g}. The decay needs float32 weights, or Kahan's compensation.",
    why_zh="每一步把权重乘以 {factor:g}。bfloat16 里比一小的最近一个数与一相差 {gap:.2g}，所以乘积舍入回原来的权重，三"
    "百次都如此。第一个权重停在 {observed[0]:g}，本应降到 {reference[0]:.3g}。衰减需要 float32 的权重，或者 Kahan 补偿"
    "。",
)
