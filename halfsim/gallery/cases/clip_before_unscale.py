"""Gradients clipped while they are still multiplied by the loss scale: no rounding is to blame, no precision mends it."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def step(unscale):
    weight = hs.nn.Parameter(hs.tensor([[0.0, 0.0]], "fp32"))
    optimizer, scaler = hs.optim.SGD([weight], lr=1.0), hs.amp.GradScaler()
    output = hs.nn.functional.linear(hs.tensor([[0.6, 0.7], [0.6, 0.7]]), weight)
    scaler.scale(hs.ops.mse_loss(output, hs.tensor([[-0.5], [-0.5]]))).backward()
    if unscale:
        scaler.unscale_(optimizer)
    hs.nn.utils.clip_grad_norm_([weight], 1.0)
    scaler.step(optimizer)
    return weight


def run():
    return step(unscale=False)


def fixed():
    return step(unscale=True)


CASE = Case(
    id="B32",
    name="clip-before-unscale",
    link="https://github.com/harubaru/waifu-diffusion/issues/64",
    year=2023,
    layer="Gradient clipping, GradScaler",
    seen="no change",
    klass="scaler",
    op="clip_grad_norm_",
    phase="optimizer",
    precision="amp",
    run=run,
    broken=lambda w: bool(1.5e-5 < np.linalg.norm(flat(w)) < 1.54e-5),
    right=[-0.6, -0.7],
    fixed=fixed,
    advice="unscale_",
    title="Clipping before unscaling makes the step smaller by the loss scale",
    title_zh="先裁剪再还原缩放，步长就小了损失缩放那么多倍",
    symptom="training with a GradScaler and gradient clipping hardly moves",
    symptom_zh="用了 GradScaler 和梯度裁剪，训练几乎不动",
    message="clip_grad_norm_ GradScaler loss not decreasing; unscale_ before clip",
    why="While they are multiplied by the loss scale, {v[scale]:,.0f}, the gradients have the norm {v[norm]:,.0f}. "
    "Clipped to a norm of one and unscaled afterwards they are {v[scale]:,.0f} times too small: the weight comes "
    "to {observed[0]:.2g} instead of {reference[0]:g}. `scaler.unscale_(optimizer)` comes before the clipping.",
    why_zh="梯度还乘着损失缩放 {v[scale]:,.0f} 时，范数是 {v[norm]:,.0f}。裁剪到范数一之后再除以缩放，就小了 "
    "{v[scale]:,.0f} 倍：权重走到 {observed[0]:.2g}，而不是 {reference[0]:g}。`scaler.unscale_(optimizer)` 要放在裁"
    "剪之前。",
)
