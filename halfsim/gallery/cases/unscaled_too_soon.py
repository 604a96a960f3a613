"""Gradients unscaled after the first micro-batch: the second adds its own, 65,536 times too large.

The thread called unscale_ after every micro-batch, which is an error; once only is the silent variant.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def step(unscale_after):
    weight = hs.nn.Parameter(hs.tensor([[0.5, 0.5, 0.5]], "fp32"))
    optimizer, scaler = hs.optim.SGD([weight], lr=1.0), hs.amp.GradScaler()
    for micro in range(2):
        x = hs.tensor(np.random.default_rng(micro).uniform(0.0, 0.8, (8, 3)))
        scaler.scale((hs.nn.functional.linear(x, weight).float() ** 2).mean() / 2).backward()
        if micro == unscale_after:
            scaler.unscale_(optimizer)
    scaler.step(optimizer)
    return weight


def run():
    return step(unscale_after=0)


def fixed():
    return step(unscale_after=1)


def right():
    x = np.stack([np.random.default_rng(micro).uniform(0.0, 0.8, (8, 3)) for micro in range(2)])
    return 0.5 - ((x @ np.full(3, 0.5))[..., None] * x).mean(1).sum(0)


CASE = Case(
    id="N19",
    name="unscaled-too-soon",
    link="https://github.com/microsoft/Swin-Transformer/issues/311",
    year=2023,
    layer="GradScaler, gradient accumulation",
    seen="wrong numbers",
    klass="scaler",
    op=("accumulate", "unscale_", "update"),
    phase="backward",
    precision="amp",
    run=run,
    broken=lambda w: bool(np.abs(flat(w)).max() > 1000),
    right=right,
    fixed=fixed,
    advice="unscale",
    title="unscale_ before the last micro-batch makes a step that is tens of thousands of times too long",
    title_zh="在最后一个小批之前调用 unscale_，步长大了几万倍",
    symptom="training explodes with gradient accumulation and a GradScaler, without it is fine",
    symptom_zh="梯度累积加 GradScaler 时训练爆炸，不累积就正常",
    message="unscale_() has already been called on this optimizer since the last update(); gradient accumulation "
    "GradScaler",
    why="After the first micro-batch the gradients are divided by the loss scale; the second adds its own, which "
    "still contain {v[scale]:,.0f}. The step is that much too long: the weight is {observed[0]:,.0f} instead of "
    "{reference[0]:.3g}. Unscale once, after the last `backward()` of a step.",
    why_zh="第一个小批之后梯度除以了损失缩放；第二个小批又加上自己的梯度，里面还乘着 {v[scale]:,.0f}。步长大了这么多"
    "倍：权重成了 {observed[0]:,.0f}，而不是 {reference[0]:.3g}。每步只在最后一次 `backward()` 之后还原一次。",
)
