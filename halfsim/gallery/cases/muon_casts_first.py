"""Muon casts a gradient of 1.2e5 to half before it divides by its norm: infinity by infinity, and NaN weights."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def newton_schulz(x):
    return 3.4445 * x + (-4.7750 * (x @ x.T) + 2.0315 * (x @ x.T @ x @ x.T)) @ x


class Muon(hs.optim.Optimizer):
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.data -= newton_schulz(self.defaults["normalise"](p.grad)) * 0.1


def step(normalise):
    w = hs.nn.Parameter(hs.tensor([[1.0, 0.0], [0.0, 1.0]]))
    w.grad = hs.tensor([[9e4, 1.2e5], [0.0, 3e4]])  # it contains the loss scale
    Muon([w], {"normalise": normalise}).step()
    return w


def run():
    return step(lambda g: g.half() / (np.linalg.norm(g.half()) + 1e-7))


def fixed():
    return step(lambda g: (g / (np.linalg.norm(g) + 1e-7)).half())


def right():
    g = np.array([[9e4, 1.2e5], [0.0, 3e4]])
    return np.eye(2) - 0.1 * newton_schulz(g / np.linalg.norm(g))


CASE = Case(
    id="B61",
    name="muon-casts-first",
    link="https://github.com/deepspeedai/DeepSpeed/pull/8533",
    year=2026,
    layer="Muon",
    seen="NaN",
    klass="overflow",
    op="cast",
    phase="optimizer",
    precision="amp",
    run=run,
    broken=lambda w: bool(np.isnan(flat(w)).any()),
    right=right,
    fixed=fixed,
    advice="scale",
    facts=lambda: {"gradient": 1.2e5},
    title="A finite gradient becomes infinite in half just before it would be divided by its norm",
    title_zh="有限的梯度在除以范数之前一刻转成半精度，变成无穷大",
    symptom="Muon gives NaN weights, or no update, while the gradients are finite",
    symptom_zh="梯度都有限，Muon 却给出 NaN 权重或零更新",
    message="Muon optimizer fp16 nan newton_schulz zeropower; DeepSpeed Muon loss scale",
    why="The gradient still contains the loss scale: {gradient:,.0f}, past {fp16.max:,.0f}. Muon divides it by its "
    "norm, after which every size is harmless, but the cast to half comes first. Infinity divided by infinity is "
    "NaN. The same two steps in the other order, normalise and then cast, lose nothing.",
    why_zh="梯度里还乘着损失缩放：{gradient:,.0f}，超过 {fp16.max:,.0f}。Muon 会把它除以范数，除过之后大小都无妨，可"
    "是转成半精度却在前面。无穷大除以无穷大是 NaN。同样的两步换个次序，先归一化再转换，什么也不丢。",
)
