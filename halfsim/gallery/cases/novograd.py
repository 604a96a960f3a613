"""NovoGrad's second moment is a whole layer's norm: a layer without gradient divides zero by its eps, zero in half.

Its first step, when the moment is that of the gradient alone. Adan is like it; AdaDelta, named too, is not: its eps of
1e-6 is a subnormal half.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


class NovoGrad(hs.optim.Optimizer):
    def step(self):
        for p in self.param_groups[0]["params"]:
            moment = p.grad.square().sum()  # the first step's second moment, one number for the layer
            p.data -= p.grad / (moment.sqrt() + self.defaults["eps"]) * self.defaults["lr"]


def run():
    used, unused = (hs.nn.Parameter(hs.tensor([1.0, 0.5])) for _ in range(2))
    (used * hs.tensor([0.3, -0.4]) + unused * 0).sum().backward()
    NovoGrad([used, unused], {"lr": 0.25, "eps": 1e-8}).step()
    return [used, unused]


CASE = Case(
    id="N26",
    name="novograd",
    link="https://github.com/google-deepmind/optax/issues/1789",
    year=2026,
    layer="NovoGrad, Adan",
    seen="NaN",
    klass="eps lost",
    op="add",
    phase="optimizer",
    precision="fp16",
    run=run,
    broken=lambda w: bool(np.isfinite(flat(w)[:2]).all() and np.isnan(flat(w)[2:]).all()),
    right=[0.85, 0.7, 1.0, 0.5],
    title="A layer whose gradient is zero gets a NaN from NovoGrad in half",
    title_zh="梯度为零的层在半精度的 NovoGrad 里得到 NaN",
    symptom="frozen or unused layers become NaN at the first step",
    symptom_zh="冻结或没用到的层在第一步就变成 NaN",
    message="optax novograd adan float16 nan zero gradient",
    why="The update is the gradient divided by the norm of the whole layer plus an eps of `1e-8`, which is "
    "{v[became]:g} in float16. A layer without gradient is zero divided by zero, and one NaN in the weights is "
    "everywhere after the next forward pass. float16 needs an eps such as `1e-4`; the layer with a gradient does not "
    "notice.",
    why_zh="更新量是梯度除以整层的范数加 eps，而 eps `1e-8` 在 float16 里是 {v[became]:g}。没有梯度的层就是零除以零。"
    "权重里有一个 NaN，下一次前向之后到处都是。float16 需要 `1e-4` 这样的 eps；有梯度的层不受影响。",
)
