"""A running mean kept in bfloat16, (mean * n + x) / (n + 1), drifts to a fraction of its value."""

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    mean = hs.tensor(0.0)
    for n in range(600):
        x = hs.tensor(3.7)
        mean = (mean * n + x) / (n + 1)
    return mean


CASE = Case(
    id="B41",
    name="running-mean",
    link="https://github.com/NVIDIA/Model-Optimizer/pull/738",
    year=2026,
    layer="Running statistics, calibration",
    seen="wrong numbers",
    klass="swamping",
    op="add",
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda mean: bool(flat(mean)[0] < 3.0),
    right=[3.7],
    facts=lambda: {"gap": float(hs.spacing(1024.0, "bfloat16")), "edge": 2**10},
    inferred=True,
    title="A running mean kept in bfloat16 shrinks with every batch",
    title_zh="bfloat16 的滑动均值一批比一批小",
    symptom="calibration statistics get smaller the more batches are seen; accuracy drops",
    symptom_zh="校准用的批次越多，统计量越小，精度下降",
    message="running mean bf16 drift calibration accuracy drop",
    why="Every batch is {reference[0]:g}, and so is its mean. But `mean * n` grows, and from {edge:,} on the "
    "numbers of bfloat16 lie {gap:g} apart: adding {reference[0]:g} changes nothing, while the division by `n + 1` "
    "goes on. The mean falls to {observed[0]:.3g}. Keep sum and count apart, the sum in float32.",
    why_zh="每一批都是 {reference[0]:g}，均值也就是它。但 `mean * n` 越来越大，从 {edge:,} 起 bfloat16 的数间隔是 "
    "{gap:g}：加上 {reference[0]:g} 什么也不变，除以 `n + 1` 却照常进行，均值降到 {observed[0]:.3g}。应当分开存和与"
    "个数，和用 float32。",
)
