"""Constants, eps and integers that the format turns into other numbers."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.bodies import train
from tests.diagnose.faults.registry import fault, inside

# Constant changed.


@inside("encoder", "constant changed", "masked_fill")
def finite_mask_that_is_infinite(x: hs.Tensor) -> hs.Tensor:
    scores = ops.masked_fill(x @ x.transpose(0, 1), np.ones((32, 32), bool), -1e9)
    return ops.softmax(scores) @ x


@inside("encoder", "constant changed", "mul", "pure_fp16")
def mask_by_products_in_half(x: hs.Tensor) -> hs.Tensor:
    b = hs.tensor(np.arange(8) < 4, "fp16")
    return ops.softmax(x * b - (1.0 - b) * 1e10)


@inside("mlp", "constant changed", "mul", "pure_fp16")
def factor_that_is_zero(x: hs.Tensor) -> hs.Tensor:
    return x * 1e-9 * 1e3


@inside("mlp", "constant changed", "mul", "pure_fp16")
def decay_that_is_one(x: hs.Tensor) -> hs.Tensor:
    y = x
    with hs.no_grad():
        for _ in range(400):
            y = y * (1 - 2e-4)
    return x + y


@inside("cnn", "constant changed", "sub", "pure_fp16")
def guard_that_is_one(x: hs.Tensor) -> hs.Tensor:
    iou = x * 0.0 + 1.0
    v = x * 0.0
    return v / ((1 + 1e-5) - iou + v)


@inside("lstm", "constant changed", "clamp", "pure_fp16")
def bound_that_is_one(x: hs.Tensor) -> hs.Tensor:
    return ops.log(1.0 - ops.clamp(ops.sigmoid(x + 20.0), 0.0, 1 - 1e-7))


@inside("encoder", "constant changed", "masked_fill", "pure_fp16")
def mask_constant_that_is_infinite(x: hs.Tensor) -> hs.Tensor:
    return ops.softmax(ops.masked_fill(x, np.ones((32, 8), bool), -1e9))


@fault("constant changed", "optimizer", "norm.weight", "SGD")
def learning_rate_that_is_zero() -> hs.Trace:
    return train("mlp", rule="pure_fp16", optimizer=lambda p: hs.optim.SGD(p, lr=1e-9))


# Eps lost.


@fault("eps lost", "optimizer", "norm.weight", "Adam")
def eps_of_adam() -> hs.Trace:
    return train("mlp", optimizer=hs.optim.Adam)


@fault("eps lost", "optimizer", "norm.weight", "RMSprop")
def eps_of_rmsprop() -> hs.Trace:
    return train("cnn", optimizer=hs.optim.RMSprop)


@fault("eps lost", "forward", "fault", "layer_norm")
def eps_of_layer_norm() -> hs.Trace:
    return train("encoder", lambda x: functional.layer_norm(x * 0.0, (8,), eps=1e-12), "pure_fp16")


@fault("eps lost", "forward", "fault", "clamp")
def eps_of_normalize() -> hs.Trace:
    return train("mlp", lambda x: functional.normalize(x * 0.0))


@fault("eps lost", "forward", "fault", "clamp")
def eps_of_normalize_in_half() -> hs.Trace:
    return train("lstm", lambda x: functional.normalize(x * 0.0), "pure_fp16")


@inside("cnn", "eps lost", "add")
def eps_beside_a_deviation_of_zero(x: hs.Tensor) -> hs.Tensor:
    y = x * 0.0 + 1.0
    d = y - y.mean(-1, keepdims=True)
    return d / (ops.sqrt((d * d).mean(-1, keepdims=True)) + 1e-8)


@inside("mlp", "eps lost", "add", "pure_fp16")
def eps_beside_one(x: hs.Tensor) -> hs.Tensor:
    iou = x * 0.0 + 1.0
    v = x * 0.0
    return v / ((iou * 0.0 + 1e-9) + v)


# Integer rounding.


@inside("encoder", "integer rounding", "tensor")
def positions_in_half(x: hs.Tensor) -> hs.Tensor:
    return x * ops.cos(hs.tensor(np.arange(4096), "fp16")[:8])


@inside("lstm", "integer rounding", "mul", "bf16")
def rotary_angles_in_bfloat16(x: hs.Tensor) -> hs.Tensor:
    return x * ops.cos(hs.tensor(0.01, "bf16") * np.arange(8192.0))[:16]


@fault("integer rounding", "forward", "", "tensor")
def timesteps_in_bfloat16() -> hs.Trace:
    with hs.precision("bf16"), hs.trace() as t:
        ops.sin(hs.tensor([999, 937, 833, 625]) * 0.1)
    return t
