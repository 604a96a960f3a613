"""Gradients of 500 micro-batches added up in bfloat16: most are below half a step of the sum.

A parameter in float32 has a gradient in float32, whatever the operations run in. Also mlnomadpy/flaxchat#6.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def gradient(format):
    weight = hs.nn.Parameter(hs.tensor([[0.1, 0.2, 0.3]], format))
    for x in np.random.default_rng(0).exponential(0.78, (500, 1, 3)):
        hs.nn.functional.linear(hs.tensor(x, "bf16"), weight).sum().backward()
    return weight.grad


def run():
    return gradient("bf16")


def fixed():
    return gradient("fp32")


def right():
    return np.random.default_rng(0).exponential(0.78, (500, 1, 3)).sum(0)


CASE = Case(
    id="N31",
    name="accumulated-in-bf16",
    link="https://github.com/deepspeedai/DeepSpeed/issues/2768",
    year=2023,
    layer="Gradient accumulation",
    seen="wrong numbers",
    klass="swamping",
    op="accumulate",
    phase="backward",
    precision="bf16",
    run=run,
    broken=lambda g: bool((flat(g) < 0.97 * right().ravel()).all()),
    right=right,
    fixed=fixed,
    advice="float32",
    facts=lambda: {"batches": 500, "mean": right()[0, 0] / 500, "gap": float(hs.spacing(300.0, "bfloat16"))},
    title="A gradient added up over many micro-batches in bfloat16 comes out too small",
    title_zh="许多小批的梯度用 bfloat16 累加，结果偏小",
    symptom="with gradient accumulation in bfloat16 the model learns more slowly than with a large batch",
    symptom_zh="bfloat16 梯度累积比直接用大批量学得慢",
    message="gradient accumulation bf16 loss higher; accumulate gradients in fp32",
    why="Each micro-batch adds about {mean:.2f} to a sum that comes to {reference[0]:.0f}, where the numbers of "
    "bfloat16 lie {gap:g} apart: what is below half of that is rounded away, and only the larger ones count. The "
    "sum of {batches} is {observed[0]:.0f}, too small by {off:.0%}. Accumulate into float32, whatever the batch is "
    "computed in.",
    why_zh="每个小批给总和加上约 {mean:.2f}，总和到 {reference[0]:.0f} 附近时 bfloat16 的数间隔是 {gap:g}：不到一半"
    "的都被舍掉，只有较大的算数。{batches} 批的和是 {observed[0]:.0f}，小了 {off:.0%}。不管每批用什么精度计算，累加"
    "都应当用 float32。",
)
