"""Quantization by channels: a channel of zeros has a largest magnitude of zero, so its scale is infinite."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def weights():
    w = 0.02 * np.random.default_rng(1).standard_normal((4, 64))
    w[2] = 0.0  # a channel that pruning emptied
    return w


def quantize(amax):
    w = hs.tensor(weights())
    scale = amax(w).reciprocal() * 448.0
    return hs.tensor(w * scale, "float8_e4m3fn").to("bf16") / scale


def run():
    return quantize(lambda w: w.abs().amax(1, keepdims=True))


def fixed():
    return quantize(lambda w: w.abs().amax(1, keepdims=True).clamp(min=1e-4))


CASE = Case(
    id="N07b",
    name="dead-channel",
    title="The scale of a channel of zeros is infinite, and its weights become NaN",
    link="https://github.com/NVIDIA/Model-Optimizer/pull/381",
    year=2025,
    precision="bf16",
    run=run,
    broken=lambda w: bool(np.isnan(flat(w)).sum() == 64),
    right=weights(),
    klass="overflow",
    op=("reciprocal", "div"),
    phase="forward",
    advice="clamp",
    fixed=fixed,
    tolerance=0.05,  # eight bits
    note="A division by zero, in any format. The cure is a floor below the divisor (or where()), not a wider format.",
)
