"""Numbers of the program, integers, scalers and optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from halfsim import ops
from tests.diagnose.hunted.rows import noise, told

# Constants.


@told("eps lost", "add", "fp16", "pure_fp16")
def advantages_that_are_all_the_same() -> Any:
    a = hs.tensor([2.0, 2.0, 2.0, 2.0])
    return (a - a.mean()) / (a.std() + 1e-8)


@told("eps lost", "add", "fp16")
def the_logarithm_of_an_empty_bin() -> Any:
    p = hs.tensor([0.5, 0.5, 0.0])
    return -(p * ops.log(p + 1e-9)).sum()


@told("constant changed", "mul", "pure_fp16")
def microseconds_by_a_factor() -> Any:
    return hs.tensor([0.001, 0.002, 0.005]) * 1e6 / 1000.0


@told("constant changed", "clamp", "bf16")
def an_inverse_tanh_of_clamped_actions() -> Any:
    a = ops.clamp(hs.tensor([0.3, -0.2, 1.0]), -0.999, 0.999)
    return 0.5 * ops.log((1.0 + a) / (1.0 - a))


@told("constant changed", "mul", "bf16")
def discounts_of_a_long_episode() -> Any:
    g = hs.tensor([1.0])
    for _ in range(300):
        g = g * 0.999
    return g


@told("constant changed", "add", "fp16")
def a_mask_of_the_smallest_float32() -> Any:
    scores = hs.tensor(noise(2, 3))
    mask = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    bias = ops.where(mask > 0, hs.tensor(np.zeros((2, 3))) + -3.4e38, 0.0)
    return ops.softmax(scores + bias, -1)


# Integers.


@told("integer rounding", "add", "fp16", "bf16")
def the_flat_index_of_a_pixel() -> Any:
    y, x = np.mgrid[0:96, 0:96].astype(float)
    return hs.tensor(y) * 96.0 + hs.tensor(x)


@told("integer rounding", "cumsum", "fp16", "bf16")
def positions_from_a_mask() -> Any:
    return ops.cumsum(hs.tensor(np.ones((1, 4096))), -1) - 1.0


# Scaler and optimizers.


@told("overflow", "addcmul", "pure_fp16", "fp16", phase="optimizer")
def squares_of_large_gradients() -> Any:
    w = hs.tensor([0.5, 0.3, 0.1], requires_grad=True)
    (w * 9000.0).sum().backward()
    hs.optim.Adam([w], lr=1e-3).step()
    return w


@told("eps lost", "RMSprop", "pure_fp16", phase="optimizer")
def a_dead_unit_under_rmsprop() -> Any:
    w = hs.tensor([0.5, 0.3, 0.1], requires_grad=True)
    (w * hs.tensor([0.5, 0.0, 0.2])).sum().backward()
    hs.optim.RMSprop([w], lr=1e-3).step()
    return w
