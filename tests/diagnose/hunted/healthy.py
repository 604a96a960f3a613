"""Programs that are as right as their format allows, of which nothing must be said."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.hunted.rows import calm, noise

# Healthy.


@calm("fp16", "bf16")
def a_mask_of_minus_a_billion() -> Any:
    mask = np.triu(np.ones((4, 4)), 1)
    return ops.softmax(hs.tensor(noise(4, 4)) + hs.tensor(mask) * -1e9, -1)


@calm("fp16")
def a_narrow_gaussian_window() -> Any:
    d = hs.tensor([0.0, 10.0, 20.0, 300.0])
    w = ops.exp(-(d * d) / (2 * 10.0**2))
    return w / w.sum()


@calm("pure_fp16", "fp16", "bf16")
def a_compensated_sum() -> Any:
    total, lost = hs.tensor([0.0]), hs.tensor([0.0])
    for x in 1 + 0.1 * noise(2300):
        y = float(x) - lost
        t = total + y
        lost = (t - total) - y
        total = t
    return total


@calm("amp")
def contrast_by_hand_under_autocast() -> Any:
    z = noise(6, 16)
    z = hs.tensor(z / np.linalg.norm(z, axis=1, keepdims=True), requires_grad=True)
    e = ops.exp((z @ z.transpose(0, 1)) / 0.07)
    loss = -ops.log(e.diagonal() / e.sum(-1)).mean()
    loss.backward()
    return loss


@calm("fp16", "bf16")
def moments_in_one_pass() -> Any:
    mean, m2 = hs.tensor([0.0]), hs.tensor([0.0])
    for n, x in enumerate(3 + noise(50), 1):
        d = float(x) - mean
        mean = mean + d / n
        m2 = m2 + d * (float(x) - mean)
    return m2 / 50


@calm("fp16", "bf16", "amp")
def an_adversary_on_logits() -> Any:
    w = hs.tensor(noise(8, 1), requires_grad=True)
    real, fake = hs.tensor(noise(16, 8, seed=1)) @ w, hs.tensor(noise(16, 8, seed=2)) @ w
    (functional.softplus(-real).mean() + functional.softplus(fake).mean()).backward()
    return w.grad


@calm("fp16", "bf16")
def a_router_with_its_two_losses() -> Any:
    logits = hs.tensor(noise(64, 8), requires_grad=True)
    p = ops.softmax(logits, -1)
    loss = (p.mean(0) * p.mean(0)).sum() * 8.0 + (ops.logsumexp(logits, -1) ** 2).mean() * 1e-3
    loss.backward(np.float32(1024.0))
    return loss


@calm("fp16", "bf16")
def the_root_by_newton() -> Any:
    a = hs.tensor([2.0, 3.0, 5.0])
    x = a * 0.5
    for _ in range(8):
        x = x - (x * x - a) / (2.0 * x)
    return x


@calm("fp16", "bf16")
def a_rendered_ray() -> Any:
    sigma = hs.tensor([0.5, 2.0, 5.0, 9.0])
    alpha = 1.0 - ops.exp(-sigma * 0.4)
    clear = ops.exp(-ops.cumsum(sigma * 0.4) + sigma * 0.4)
    return (alpha * clear * hs.tensor([0.1, 0.5, 0.9, 0.3])).sum()


@calm("fp8")
def a_scaled_layer_in_eight_bits() -> Any:
    return functional.linear(hs.tensor(noise(4, 16)), hs.tensor(noise(8, 16, seed=1)))


@calm("fp16")
def pixels_that_lie_on_the_grid() -> Any:
    x = hs.tensor(np.arange(40.0) * 3)
    return x - ops.floor(x)


@calm("fp16", "bf16")
def chances_of_a_large_vocabulary() -> Any:
    return ops.softmax(hs.tensor(8 * noise(2, 3000)), -1)


@calm("fp16", "bf16")
def preferences_by_logarithms() -> Any:
    policy = hs.tensor([-11.3, -9.2, -12.8, -10.1], requires_grad=True)
    margin = (policy - hs.tensor([-12.0, -8.1, -14.3, -9.0])) * 0.1
    loss = -functional.logsigmoid(margin).mean()
    loss.backward()
    return loss


@calm("bf16")
def large_numbers_in_bfloat16() -> Any:
    return (hs.tensor([1e20, 2e25, 3e18]) * 1e-20).mean()


@calm("fp16", "bf16")
def distances_with_a_guard() -> Any:
    a = hs.tensor([[0.1, 0.2], [0.3, 0.4]], requires_grad=True)
    d = a - hs.tensor([[0.1, 0.2], [0.5, 0.1]])
    ops.sqrt((d * d).sum(-1) + 1e-4).sum().backward()
    return a.grad


@calm("fp16", "bf16")
def dead_rectifiers() -> Any:
    x = hs.tensor(-np.abs(noise(8, 4)), requires_grad=True)
    (ops.relu(x) * 3.0).sum().backward()
    return x.grad


@calm("fp16", "bf16")
def the_best_path_through_a_chain() -> Any:
    step = np.log([[0.9, 0.1], [0.2, 0.8]])
    score = hs.tensor(np.log([0.5, 0.5]))
    for _ in range(20):
        score = (score.reshape(2, 1) + hs.tensor(step)).max(0)[0] + hs.tensor(np.log([0.7, 0.3]))
    return score


@calm("pure_fp16")
def a_small_network_in_use() -> Any:
    hs.manual_seed(3)
    model = hs.nn.Sequential(
        hs.nn.Conv2d(1, 4, 3), hs.nn.GroupNorm(2, 4), hs.nn.GELU(), hs.nn.Flatten(), hs.nn.Linear(144, 5)
    ).to("fp16")
    return ops.softmax(model(hs.tensor(noise(2, 1, 8, 8))), -1)


@calm("fp16", "bf16")
def a_ratio_that_stays_near_one() -> Any:
    new = hs.tensor([-1.0, -0.5, -2.0, -0.1], requires_grad=True)
    ratio = ops.exp(new - hs.tensor([-1.1, -0.6, -2.2, -0.2]))
    gain = hs.tensor([0.5, -0.3, 0.7, 0.2])
    loss = -ops.minimum(ratio * gain, ops.clamp(ratio, 0.8, 1.2) * gain).mean()
    loss.backward()
    return loss


@calm("fp16", "bf16")
def a_constant_column_standardised() -> Any:
    x = hs.tensor(np.full((8, 3), 0.1))
    return (x - x.mean(0)) / (x.std(0) + 1e-3)


@calm("fp16", "bf16")
def gates_that_are_shut() -> Any:
    z = ops.sigmoid(hs.tensor([12.0, 11.0, 14.0]))
    h = hs.tensor([0.3, -0.2, 0.8])
    return (1.0 - z) * hs.tensor([0.5, 0.1, -0.7]) + z * h


@calm("fp16", "bf16", "pure_fp16")
def compensated_sums_of_small_addends() -> Any:
    total, lost = hs.tensor([100.0, 200.0]), hs.tensor([0.0, 0.0])
    for x in 0.01 + 0.001 * noise(300):
        y = float(x) - lost
        t = total + y
        lost = (t - total) - y
        total = t
    return total / 3.0


@calm("fp16", "bf16")
def weights_that_have_arrived() -> Any:
    w, goal = hs.tensor([0.5, -0.3, 0.8]), hs.tensor([0.1, 0.2, 0.3])
    for _ in range(60):
        w = w - (w - goal) * 0.5
    return w / 0.7


@calm("fp16")
def a_kernel_of_far_points() -> Any:
    x = hs.tensor(300 * noise(5, 3))
    return ops.exp(-((x.reshape(5, 1, 3) - x.reshape(1, 5, 3)) ** 2).sum(-1) / 2.0)


@calm("fp16", "bf16")
def a_mask_by_the_smallest_float32() -> Any:
    mask = np.triu(np.ones((4, 4), bool), 1)
    return ops.softmax(hs.tensor(noise(4, 4)) + ops.where(mask, hs.tensor(np.zeros((4, 4))) - 1e5, 0.0), -1)


@calm("fp16")
def progress_in_percent() -> Any:
    before, after = hs.tensor([0.31, 0.52, 0.77]), hs.tensor([0.31, 0.52, 0.75])
    return (1.0 - after / before) * 100.0


@calm("amp")
def a_step_with_the_scaler() -> Any:
    hs.manual_seed(1)
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.SiLU(), hs.nn.Linear(16, 1))
    optimizer, scaler = hs.optim.AdamW(model.parameters(), lr=1e-2), hs.amp.GradScaler()
    x = noise(32, 8)
    for _ in range(10):
        optimizer.zero_grad()
        loss = functional.mse_loss(model(hs.tensor(x)), hs.tensor(x[:, :1] * 2 - 1))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return loss
