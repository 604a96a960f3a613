"""The scaler skips steps while it looks for its scale, and the learning rate is lowered for each of them.

The schedule warns of lr_scheduler.step() before optimizer.step(), as PyTorch's does; here its rate is set by hand.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def rate(always):
    w = hs.nn.Parameter(hs.tensor([[0.1, 0.2, 0.3, 0.4]], "fp32"))
    optimizer, scaler, lr = hs.optim.SGD([w], lr=1.0), hs.amp.GradScaler(), 1.0
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale(hs.nn.functional.linear(hs.tensor(np.full((2, 4), 3.3)), w).sum()).backward()
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        lr *= 0.5 if always or scaler.get_scale() >= before else 1.0  # the schedule
    return [lr]


def run():
    return rate(always=True)


def fixed():
    return rate(always=False)


CASE = Case(
    id="N20",
    name="schedule-runs-on",
    link="https://github.com/pytorch/pytorch/issues/55585",
    year=2021,
    layer="Learning-rate schedule, GradScaler",
    seen="wrong numbers",
    klass="benign rounding",
    op=(),
    phase="forward",
    precision="amp",
    run=run,
    broken=lambda lr: flat(lr)[0] == 0.25,
    right=[1.0],
    fixed=fixed,
    facts=lambda: {"gradient": 2 * 3.3, "scale": 2.0**16},
    title="Steps were skipped, yet the learning rate has been lowered for each of them",
    title_zh="步被跳过了，学习率却照样下降",
    symptom="the learning rate runs ahead of the training; a warning about the order of calls",
    symptom_zh="学习率走在训练前面；有一条关于调用次序的警告",
    message="UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`",
    why="A fresh scaler begins at {scale:,.0f} and finds its scale by trying: gradients of {gradient:g} times that "
    "are infinite in half, and the step is skipped. That is no trouble of numbers, and the trace says so. But a "
    "schedule that steps every time is at {observed[0]:g} of the rate already, where {reference[0]:g} is right. "
    "Step it only where the scale after `update()` is not smaller than before.",
    why_zh="新的 scaler 从 {scale:,.0f} 开始，靠试探找到合适的缩放：{gradient:g} 的梯度乘上它在半精度里是无穷大，这"
    "一步就跳过。这不是数值故障，跟踪也是这么说的。但每次都走的学习率计划已经降到了 {observed[0]:g} 倍，正确的是 "
    "{reference[0]:g}。只有 `update()` 之后缩放没有变小，才让计划走一步。",
)
