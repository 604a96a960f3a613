"""Sums and differences: small terms lost in large totals, digits that cancel, and the order of a sum."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim import ops
from tests.diagnose.bodies import train
from tests.diagnose.faults.registry import fault, inside

# Swamping.


@fault("swamping", "forward", "fault", "sum")
def long_sum_in_half() -> hs.Trace:
    ones = hs.tensor(np.ones(5000), "fp16")
    return train("mlp", lambda x: x * (ones.sum() * 1e-3), "pure_fp16")


@inside("cnn", "swamping", "mean", "pure_fp16")
def long_mean_in_half(x: hs.Tensor) -> hs.Tensor:
    many = ops.clamp(x, 0.5, 0.9).reshape(-1, 1).expand(32 * 36, 8).reshape(-1)
    return x - many.mean()


@inside("lstm", "swamping", "cumsum", "pure_fp16")
def running_sum_in_half(x: hs.Tensor) -> hs.Tensor:
    many = hs.tensor(np.random.default_rng(0).uniform(0, 1, 10000), "fp16")
    return x * (ops.cumsum(many)[-1] * 1e-3)


@inside("mlp", "swamping", "add")
def total_of_a_loop(x: hs.Tensor) -> hs.Tensor:
    total = hs.tensor(np.full(32, 2000.0), "fp16")
    one = hs.tensor(np.ones(32), "fp16")
    for _ in range(120):
        total = total + one
    return x * (total * 1e-3)


@inside("encoder", "swamping", "add", "bf16")
def total_of_a_loop_in_bfloat16(x: hs.Tensor) -> hs.Tensor:
    total = hs.tensor(np.zeros(8), "bf16")
    for _ in range(300):
        total = total + 1.0
    return x * total


@fault("swamping", "optimizer", "norm.weight", "update")
def learning_rate_below_half_an_ulp() -> hs.Trace:
    return train("mlp", optimizer=lambda p: hs.optim.SGD(p, lr=1e-6))


@fault("swamping", "optimizer", "norm.weight", "update")
def updates_lost_in_bfloat16() -> hs.Trace:
    return train("lstm", rule="bf16", weights="bf16", optimizer=lambda p: hs.optim.SGD(p, lr=1e-4))


@fault("swamping", "optimizer", "norm.weight", "decay")
def weight_decay_that_is_no_decay() -> hs.Trace:
    return train("mlp", optimizer=lambda p: hs.optim.AdamW(p, lr=1e-3, eps=1e-3, weight_decay=1e-2))


@fault("swamping", "optimizer", "weight", "average")
def moving_average_in_half() -> hs.Trace:
    model = hs.nn.Linear(4, 4).to("fp16")
    ema = hs.optim.EMA(model, 0.9999)
    with hs.precision("fp16"), hs.trace() as t:
        for p in model.parameters():
            p.array = p.array + np.float32(0.125)
        for _ in range(3):
            ema.update()
    return t


@fault("swamping", "forward", "1", "average")
def running_statistics_in_half() -> hs.Trace:
    model = hs.nn.Sequential(hs.nn.Linear(8, 8), hs.nn.BatchNorm1d(8, momentum=1e-4)).to("fp16")
    with hs.precision("fp16"), hs.trace() as t:
        model(hs.tensor(np.random.default_rng(0).standard_normal((16, 8)))).sum()
    return t


# Cancellation.


@inside("cnn", "cancellation", "sub")
def variance_as_difference_of_moments(x: hs.Tensor) -> hs.Tensor:
    y = x * 0.02 + 5.0
    m = y.mean(-1, keepdims=True)
    v = (y * y).mean(-1, keepdims=True) - m * m
    return (y - m) / ops.sqrt(v)


@inside("mlp", "cancellation", "sub")
def squared_distance_by_expansion(x: hs.Tensor) -> hs.Tensor:
    a = x + 4.0
    b = a + 0.25
    d = (a * a).sum(-1) + (b * b).sum(-1) - (a * b).sum(-1) * 2.0
    return x * d.reshape(-1, 1)


@inside("encoder", "cancellation", "sub")
def distance_of_close_points(x: hs.Tensor) -> hs.Tensor:
    a = x + 4.0
    b = a + 0.0078125
    return x * ops.sqrt((a * a).sum(-1) + (b * b).sum(-1) - (a * b).sum(-1) * 2.0).reshape(-1, 1)


@inside("encoder", "cancellation", "sub")
def difference_quotient(x: hs.Tensor) -> hs.Tensor:
    return (ops.exp(x + 1.001) - ops.exp(x + 1.0)) / 0.001


@inside("lstm", "cancellation", "sub")
def one_minus_cosine(x: hs.Tensor) -> hs.Tensor:
    angle = x * 0.02
    return (1.0 - ops.cos(angle)) / (angle * angle + 1e-3)


@inside("mlp", "cancellation", "sub")
def saturated_sigmoid_in_cross_entropy(x: hs.Tensor) -> hs.Tensor:
    p = ops.sigmoid(x + 14.0)
    return -ops.log(1.0 - p)


@inside("cnn", "cancellation", "sub")
def overlap_of_equal_boxes(x: hs.Tensor) -> hs.Tensor:
    iou = ops.sigmoid(x + 12.0)
    v = hs.tensor(np.zeros(36), "fp16")
    return v / ((1.0 - iou) + v)


# Accumulation order.


@fault("accumulation order", "forward", "fault", "sum")
def sum_in_order_of_appearance() -> hs.Trace:
    third = hs.tensor(np.full(2000, 0.3337), "fp16")

    def scaled(x: hs.Tensor) -> hs.Tensor:
        return x * (third.sum() * 1e-3)

    return train("mlp", scaled, "storage=fp16, accumulate=fp16:sequential", reference="fp64")


@fault("swamping", "forward", "0", "linear")  # it stops at 512 of 848
def long_dot_product_in_order() -> hs.Trace:
    model = hs.nn.Sequential(hs.nn.Linear(4096, 4, bias=False))
    model[0].weight.array = np.full((4, 4096), 0.23, np.float32)
    with hs.precision("storage=fp16, accumulate=fp16:sequential"), hs.trace(reference="fp64") as t:
        model.to("fp16")(hs.tensor(np.full((2, 4096), 0.9)))
    return t
