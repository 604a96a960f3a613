"""A gradient penalty: the norm's guard of 1e-12 is zero in half, so every gradient is NaN and every step is skipped.

The thread gives the falling scale and the code of the penalty. The gradient in the input is written out for a linear
critic.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    first = hs.nn.Parameter(hs.tensor(np.linspace(-0.5, 0.5, 24).reshape(6, 4)))
    last = hs.nn.Parameter(hs.tensor(np.zeros((1, 6))))  # many a critic begins at zero
    optimizer = hs.optim.SGD([first, last], lr=0.01, master_weights=True)
    scaler = hs.amp.GradScaler(init_scale=128.0)
    for _ in range(40):
        optimizer.zero_grad()
        slope = last @ first  # the gradient of the critic's score in its input
        norm = (slope.square().sum() + 1e-12).sqrt()
        scores = slope @ hs.tensor([0.3, -0.2, 0.7, 0.1])  # of a forged sample, less that of a real one
        scaler.scale(scores.sum().float() + (norm.float() - 1) ** 2).backward()
        scaler.step(optimizer), scaler.update()
    return [scaler.get_scale(), float(np.abs(last.array).max() > 0)]


CASE = Case(
    id="N33",
    name="gradient-penalty",
    link="https://github.com/NVIDIA/apex/issues/654",
    year=2019,
    layer="Gradient penalty (WGAN-GP)",
    seen="no change",
    klass="eps lost",
    op="add",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda v: bool(flat(v)[0] < 1e-6 and flat(v)[1] == 0),
    right=[128.0, 1.0],  # the scale stays, the critic moves
    facts=lambda: {"steps": 40},
    inferred=True,
    title="The loss scale of a Wasserstein GAN with gradient penalty falls until it divides by zero",
    title_zh="带梯度惩罚的 Wasserstein GAN，损失缩放一路降到除以零",
    symptom="WGAN-GP in mixed precision: the loss scale is halved at every step, nothing trains",
    symptom_zh="混合精度的 WGAN-GP：损失缩放每步减半，什么也没训练",
    message="WGAN-GP apex amp Gradient overflow. Skipping step; ZeroDivisionError: float division by zero",
    why="The penalty is a norm, whose root has no slope at zero; `1e-12` under the root guards it, and in float16 "
    "that is {v[became]:g}. The gradient is NaN in every step, whatever the scale, which falls from "
    "{reference[0]:g} to {observed[0]:.1e} in {steps} steps without a weight having moved. An eps of `1e-4` mends "
    "it.",
    why_zh="惩罚项是范数，开方在零处没有斜率；根号下的 `1e-12` 就是为此而设，可是在 float16 里它是 {v[became]:g}。不"
    "管缩放多大，每一步的梯度都是 NaN，缩放在 {steps} 步里从 {reference[0]:g} 降到 {observed[0]:.1e}，权重一点没动"
    "。eps 取 `1e-4` 就好。",
)
