"""Quantization by channels: a channel of zeros has a largest magnitude of zero, so its scale is infinite."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def quantized(floor):
    w = 0.02 * np.random.default_rng(1).standard_normal((4, 64))
    w[2] = 0.0  # a channel that pruning emptied
    w = hs.tensor(w)
    scale = w.abs().amax(1, keepdims=True).clamp(min=floor).reciprocal() * 448.0
    return hs.tensor(w * scale, "float8_e4m3fn").to("bf16") / scale


def run():
    return quantized(0.0)


def fixed():
    return quantized(1e-4)


def right():
    w = 0.02 * np.random.default_rng(1).standard_normal((4, 64))
    w[2] = 0.0
    return w


CASE = Case(
    id="N07b",
    name="dead-channel",
    link="https://github.com/NVIDIA/Model-Optimizer/pull/381",
    year=2025,
    layer="Quantization by channels (float8)",
    seen="NaN",
    klass="overflow",
    op=("reciprocal", "div"),
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda w: bool(np.isnan(flat(w)).sum() == 64),
    right=right,
    fixed=fixed,
    advice="clamp",
    tolerance=0.05,  # eight bits
    facts=lambda: {"broken": 64},
    title="The scale of a channel of zeros is infinite, and its weights become NaN",
    title_zh="全零通道的缩放是无穷大，它的权重成了 NaN",
    symptom="a pruned model is NaN after quantization to float8, the dense one is fine",
    symptom_zh="剪枝过的模型量化成 float8 后是 NaN，没剪枝的正常",
    message="fp8 quantization scale inf amax 0 nan weights",
    why="The scale of a channel is {fp8.max:g} divided by its largest magnitude. For a channel of zeros that is a "
    "division by zero, in any format, and zero times infinity makes NaN of its {broken} weights. A floor under the "
    "divisor mends it; what is left, {left:.1%} of the norm, is the rounding to eight bits.",
    why_zh="通道的缩放是 {fp8.max:g} 除以其最大绝对值。全零的通道就是除以零，用什么格式都一样，零乘以无穷大让它的 "
    "{broken} 个权重都成了 NaN。给除数一个下限就好；剩下的误差是范数的 {left:.1%}，那是舍入到八位的代价。",
)
