"""A blank image divided by its maximum is NaN in every step, whatever the loss scale, which halves down to zero.

Where the NaN comes from is invented, the thread does not say. apex's scale is a Python float and takes 1091 halvings
to zero, this one is a float32; no precision mends it.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def train(floor, steps=170):
    images = np.random.default_rng(0).uniform(size=(4, 6)) * [[1], [1], [0], [1]]  # one is blank
    w, x = hs.nn.Parameter(hs.tensor(np.full((1, 6), 0.3), "fp32")), hs.tensor(images)
    x = x / np.maximum(np.amax(x, axis=1, keepdims=True), floor)
    optimizer, scaler = hs.optim.SGD([w], lr=0.1), hs.amp.GradScaler(init_scale=2.0**10)
    for _ in range(steps):
        optimizer.zero_grad()
        scaler.scale(((hs.nn.functional.linear(x, w) - 1) ** 2).mean()).backward()
        scaler.step(optimizer)
        scaler.update()
    return [scaler.get_scale() / 2**10, w]


def run():
    return train(floor=0.0)


def fixed():
    return train(floor=1e-3)


def right():
    x, w = np.random.default_rng(0).uniform(size=(4, 6)), np.full(6, 0.3)
    x[2] = 0
    x = x / np.maximum(x.max(1, keepdims=True), 1e-3)
    for _ in range(170):
        w = w - 0.1 * 2 * x.T @ (x @ w - 1) / 4
    return [1.0, *w]


CASE = Case(
    id="B33",
    name="scale-to-zero",
    link="https://github.com/NVIDIA/apex/issues/318",
    year=2019,
    layer="GradScaler",
    seen="no change",
    klass="scaler",
    op="div",
    phase="forward",
    precision="amp",
    run=run,
    broken=lambda value: flat(value)[0] == 0,
    right=right,
    fixed=fixed,
    advice="div",
    inferred=True,
    title="A NaN that the loss scale did not make drives the scale down to zero",
    title_zh="与损失缩放无关的 NaN 把缩放一路逼到零",
    symptom="the loss scale is halved at every step until it is zero; no step is ever taken",
    symptom_zh="损失缩放每一步减半，直到为零；一步也没有真正更新",
    message="Gradient overflow. Skipping step, loss scaler 0 reducing loss scale to 0.0; ZeroDivisionError: float "
    "division by zero",
    why="A scaler reads every NaN as 'the scale is too large' and halves it. This NaN is zero divided by zero, from "
    "a blank image divided by its maximum, and no scale helps: {v[skipped]:,} steps were skipped and {v[taken]} "
    "taken, and the scale is {observed[0]:g} of what it was. Find the first operation that made a NaN, and mend that.",
    why_zh="scaler 见到 NaN 就认为“缩放太大”而减半。这个 NaN 却是零除以零，来自一张空白图除以它的最大值，任何缩放都"
    "没有用：跳过了 {v[skipped]:,} 步，更新了 {v[taken]} 步，缩放成了原来的 {observed[0]:g} 倍。要找到第一个产生 "
    "NaN 的运算，改正它。",
)
