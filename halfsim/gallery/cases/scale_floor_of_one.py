"""Gradients of 1e5 overflow at a loss scale of 1 too: with a floor of 1 every step is skipped, silently."""

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    w = hs.nn.Parameter(hs.tensor([[0.0]], "fp32"))
    optimizer, scaler = hs.optim.SGD([w], lr=2e-7), hs.amp.GradScaler(min_scale=1.0)
    for _ in range(60):
        optimizer.zero_grad()
        output = hs.nn.functional.linear(hs.tensor([[1000.0]]), w)
        scaler.scale(((output - 50) ** 2).mean()).backward()
        scaler.step(optimizer)
        scaler.update()
    return w


CASE = Case(
    id="B35",
    name="scale-floor-of-one",
    link="https://github.com/keras-team/keras/issues/16100",
    year=2022,
    layer="LossScaleOptimizer, GradScaler",
    seen="no change",
    klass="scaler",
    op="linear",
    phase="backward",
    precision="amp",
    run=run,
    broken=lambda w: bool((flat(w) == 0).all()),
    right=[0.05],
    facts=lambda: {"gradient": -2 * 50.0 * 1000},
    title="A loss scale that may not fall below 1 skips every step for ever",
    title_zh="损失缩放不许低于 1，于是永远跳过每一步",
    symptom="the loss is finite and never changes; no error, no warning",
    symptom_zh="损失有限，却从不变化；没有报错，也没有警告",
    message="LossScaleOptimizer stuck at 1; mixed precision training does not learn",
    why="The first gradient is {gradient:,.0f}, past {fp16.max:,.0f} without any scale. The scaler skips the step "
    "and halves its scale, down to its floor of {v[scale]:g}, and there it stays: {v[skipped]:,} steps skipped, "
    "{v[taken]} taken. A scale below one is a scale like any other; without the floor the weight comes to "
    "{fixed[0]:.3g}.",
    why_zh="第一个梯度是 {gradient:,.0f}，不乘任何缩放就超过 {fp16.max:,.0f}。scaler 跳过这一步并把缩放减半，降到下"
    "限 {v[scale]:g} 就停在那里：跳过 {v[skipped]:,} 步，更新 {v[taken]} 步。小于一的缩放与别的缩放没有两样；去掉下"
    "限，权重就走到 {fixed[0]:.3g}。",
)
