"""LAMB's beta2 of 0.999 is 1 in bfloat16, so that its bias correction divides by 1 - 1. An optimizer of the user's own."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


class Lamb(hs.optim.Optimizer):
    def step(self):
        for p, cast in zip(self.param_groups[0]["params"], [self.defaults["cast"]]):  # the first step
            m, v = p.grad * (1 - 0.9), p.grad * p.grad * (1 - 0.999)
            update = m / (1 - cast(0.9)) / (np.sqrt(v / (1 - cast(0.999))) + 1e-6)
            p.data -= update * (np.linalg.norm(p) / np.linalg.norm(update)) * 1e-2


def train(cast):
    w = hs.nn.Parameter(hs.tensor([1.0, 0.5, -0.5]))
    (w * hs.tensor([0.3, -0.2, 0.05])).sum().backward()
    Lamb([w], {"cast": cast}).step()
    return w


def run():
    return train(hs.tensor)


def fixed():
    return train(float)


def right():
    w, gradient = np.array([1.0, 0.5, -0.5]), np.array([0.3, -0.2, 0.05])
    update = gradient / (np.abs(gradient) + 1e-6)  # the corrected moments are the gradient and its square
    return w - 1e-2 * update * np.linalg.norm(w) / np.linalg.norm(update)


CASE = Case(
    id="B58",
    name="beta-is-one",
    link="https://github.com/keras-team/keras/pull/21238",
    year=2025,
    layer="LAMB, Adam",
    seen="NaN",
    klass="constant changed",
    op="tensor",
    phase="optimizer",
    precision="bf16",
    run=run,
    broken=lambda w: bool(np.isnan(flat(w)).all()),
    right=right,
    fixed=fixed,
    advice="float32",
    facts=lambda: {"gap": float(hs.bfloat16.eps) / 2},
    title="A decay rate of 0.999 is 1 in bfloat16, and the bias correction divides by zero",
    title_zh="衰减率 0.999 在 bfloat16 里是 1，偏差校正除以零",
    symptom="all weights are NaN after the first step, in bfloat16 only",
    symptom_zh="第一步之后所有权重都是 NaN，只在 bfloat16 里发生",
    message="LAMB optimizer nan bfloat16; Adam bias correction beta_2 bf16",
    why="The numbers of bfloat16 below one lie {gap:.2g} apart, so `0.999` is rounded to {v[became]:g}, and the "
    "correction divides the second moment by one minus one, which is zero. In float16 the same comes with `0.9999`. "
    "Hyperparameters are no tensors: leave them to Python's floats.",
    why_zh="一以下的 bfloat16 数间隔是 {gap:.2g}，`0.999` 舍入成 {v[became]:g}，偏差校正就要把二阶矩除以“一减一”，也就"
    "是除以零。float16 里 `0.9999` 也会这样。超参数不是张量：交给 Python 的浮点数就好。",
)
