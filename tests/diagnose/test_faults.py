"""Faults planted in working models: the verdict names class, phase, path and operation of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.bodies import Planted, train


class Fault(NamedTuple):
    run: Callable[[], hs.Trace]
    klass: str
    phase: str
    path: str
    op: str


FAULTS: dict[str, Fault] = {}


def fault(klass: str, phase: str, path: str, op: str) -> Any:
    """Register a run whose verdict is known."""

    def decorate(run: Callable[[], hs.Trace]) -> Callable[[], hs.Trace]:
        FAULTS[run.__name__] = Fault(run, klass, phase, path, op)
        return run

    return decorate


def inside(body: str, klass: str, op: str, rule: str = "fp16", path: str = "fault", **options: Any) -> Any:
    """Register a function of a model's features that goes wrong in the forward pass."""

    def decorate(function: Callable[[hs.Tensor], hs.Tensor]) -> Callable[[hs.Tensor], hs.Tensor]:
        weights = "bf16" if rule == "bf16" else "fp16"

        def run() -> hs.Trace:
            return train(body, function, rule, weights, **options)

        FAULTS[function.__name__] = Fault(run, klass, "forward", path, op)
        return function

    return decorate


# Overflow, forward.


@inside("encoder", "overflow", "matmul")
def unscaled_attention_score(x: hs.Tensor) -> hs.Tensor:
    q = x * 200.0
    return ops.softmax((q @ q.transpose(0, 1)) * 8**-0.5) @ x


@inside("mlp", "overflow", "mul")
def squared_sum(x: hs.Tensor) -> hs.Tensor:
    y = x + 300.0
    return x / ops.sqrt((y * y).sum(-1, keepdims=True))


@inside("lstm", "overflow", "exp")
def softmax_without_maximum(x: hs.Tensor) -> hs.Tensor:
    e = ops.exp(x + 12.0)
    return e / e.sum(-1, keepdims=True)


@inside("cnn", "overflow", "exp")
def softplus_by_hand(x: hs.Tensor) -> hs.Tensor:
    return ops.log(ops.exp(x * 8.0) + 1.0)


@inside("mlp", "overflow", "sum", "pure_fp16")
def mean_as_sum_over_n(x: hs.Tensor) -> hs.Tensor:
    return x - (x + 3000.0).sum(-1, keepdims=True) / 32.0


@inside("cnn", "overflow", "pow")
def rms_norm_by_hand(x: hs.Tensor) -> hs.Tensor:
    y = x * 300.0
    return y * ops.rsqrt((y**2).mean(-1, keepdims=True) + 1e-5)


@inside("mlp", "overflow", "mul")
def instance_norm_by_hand(x: hs.Tensor) -> hs.Tensor:
    y = x * 500.0
    d = y - y.mean(-1, keepdims=True)
    return d / ops.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)


@inside("encoder", "overflow", "mul")
def cosine_of_squared_norms(x: hs.Tensor) -> hs.Tensor:
    y = x * 15.0
    n = (y * y).sum(-1, keepdims=True)
    return x * ((y * y).sum(-1, keepdims=True) / ops.sqrt(n * n))


@inside("lstm", "overflow", "sum")
def norm_stored_before_its_root(x: hs.Tensor) -> hs.Tensor:
    return x / ops.sqrt(((x + 100.0) ** 2).sum(-1, keepdims=True))


@inside("cnn", "overflow", "mul")
def gelu_by_hand(x: hs.Tensor) -> hs.Tensor:
    y = x * 100.0
    cube = y * y * y
    return y * 0.5 * (ops.tanh((cube * 0.044715 + y) * 0.7978846) + 1.0)


@inside("mlp", "overflow", "dropout", path="fault.drop")
def dropout_past_the_limit(x: hs.Tensor) -> hs.Tensor:
    with hs.autograd.policy.scoped(path="fault.drop"):
        return functional.dropout(ops.clamp(x, 0, 1) * 60000.0, 0.2) * 1e-5


@inside("encoder", "constant changed", "masked_fill")
def finite_mask_that_is_infinite(x: hs.Tensor) -> hs.Tensor:
    scores = ops.masked_fill(x @ x.transpose(0, 1), np.ones((32, 32), bool), -1e9)
    return ops.softmax(scores) @ x


@inside("lstm", "overflow", "mul")
def mask_by_products(x: hs.Tensor) -> hs.Tensor:
    b = hs.tensor(np.arange(16) < 0, "fp16")  # nothing is left open
    scores = x * b - (1.0 - b) * 1e10
    return ops.exp(scores - scores.max(-1, keepdims=True))


@inside("encoder", "constant changed", "mul", "pure_fp16")
def mask_by_products_in_half(x: hs.Tensor) -> hs.Tensor:
    b = hs.tensor(np.arange(8) < 4, "fp16")
    return ops.softmax(x * b - (1.0 - b) * 1e10)


@inside("cnn", "overflow", "mul")
def areas_of_boxes(x: hs.Tensor) -> hs.Tensor:
    side = ops.clamp(x, 0.5, 1.0) * 600.0
    area = side * side
    return x * (area / (area - area))


@inside("mlp", "overflow", "sum")
def dice_over_many_pixels(x: hs.Tensor) -> hs.Tensor:
    ones = hs.tensor(np.ones(512 * 512), "fp16")
    return x * ((ones * ones).sum() * 2.0 / (ones.sum() + ones.sum()))


@inside("cnn", "overflow", "linear", path="fault.wide")
def a_wide_feed_forward(x: hs.Tensor) -> hs.Tensor:
    with hs.autograd.policy.scoped(path="fault.wide"):
        return functional.linear(x * 200.0, np.eye(36) * 400.0) * 1e-4


@inside("mlp", "overflow", "div")
def quotient_past_the_limit(x: hs.Tensor) -> hs.Tensor:
    return (ops.clamp(x, 0.5, 1.0) / 1e-5) * 1e-4


@fault("overflow", "forward", "3", "conv2d")
def activations_grow_layer_by_layer() -> hs.Trace:
    layers = [hs.nn.Conv2d(1 if i == 0 else 2, 2, 3, padding=1, bias=False) for i in range(6)]
    for layer in layers:
        layer.weight.data = np.full_like(layer.weight.data, 2.0)  # every layer multiplies the middle by 36 or 18
    model = hs.nn.Sequential(*layers, hs.nn.GroupNorm(1, 2)).to("fp16")
    with hs.precision("fp16"), hs.trace() as t:
        model(hs.tensor(np.ones((2, 1, 8, 8)), "fp16")).sum().backward()
    return t


@fault("overflow", "forward", "", "sum")
def label_smoothing_over_a_vocabulary() -> hs.Trace:
    with hs.precision("fp16"), hs.trace() as t:
        logits = hs.tensor(np.zeros((2, 50265)), "fp16", requires_grad=True)
        (-ops.log_softmax(logits).sum(-1) * 1e-5).mean().backward()
    return t


@fault("overflow", "forward", "", "tensor")
def running_variance_cast_to_half() -> hs.Trace:
    layer = hs.nn.BatchNorm1d(4).eval()
    layer.running_var.data = np.full(4, 1e5, np.float32)
    with hs.precision("fp16"), hs.trace() as t, pytest.warns(UserWarning, match="infinite"):
        layer.to("fp16")(hs.tensor(np.full((3, 4), 1000.0)))
    return t


@fault("overflow", "forward", "first", "linear")
def input_that_nobody_scaled() -> hs.Trace:
    model = hs.nn.Sequential()
    model.add_module("first", hs.nn.Linear(8, 8))
    model.add_module("norm", hs.nn.LayerNorm(8))
    model.first.weight.data = np.ones((8, 8), np.float32)
    with hs.precision("fp16"), hs.trace() as t:
        model.to("fp16")(hs.tensor(np.full((2, 8), 9000.0))).sum().backward()
    return t


@fault("overflow", "forward", "", "mse_loss")
def squared_error_of_large_numbers() -> hs.Trace:
    return train("mlp", loss=lambda y, c: functional.mse_loss(y, hs.tensor(np.full(y.shape, 400.0), "fp16")))


@fault("overflow", "forward", "lstm", "lstm")
def lstm_gates_past_the_limit() -> hs.Trace:
    model = Planted(lambda x: x)
    model.lstm = hs.nn.LSTM(8, 8, batch_first=True)
    for p in model.lstm.parameters():
        p.data = np.full_like(p.data, 100.0)
    model.to("fp16")
    model.lstm.bias_ih_l0.data = np.tile(np.float32([60000, -60000]), 16)  # gates of both signs
    with hs.precision("pure_fp16"), hs.trace() as t:
        model.lstm(hs.tensor(np.full((2, 3, 8), 100.0), "fp16"))[0].sum().backward()
    return t


# Overflow, backward and optimizer.


def centred(y: hs.Tensor) -> hs.Tensor:
    """Zeros with the gradient of ``y``."""
    return y - y.detach()


@fault("overflow", "backward", "", "mul")
def loss_scale_too_large() -> hs.Trace:
    scaler = hs.amp.GradScaler(init_scale=2.0**24, dynamic=False)
    return train("mlp", loss=lambda y, c: scaler.scale(functional.cross_entropy(y, c)))


@fault("overflow", "backward", "head", "linear")
def weight_gradients_past_the_limit() -> hs.Trace:
    def large(x: hs.Tensor) -> hs.Tensor:
        return x * 0.0 + 3000.0

    return train("cnn", large, loss=lambda y, c: centred(y).sum())


@fault("overflow", "backward", "fault", "sqrt")
def root_at_zero() -> hs.Trace:
    return train("mlp", lambda x: ops.sqrt(ops.clamp(x, 0.0, 0.0)))


@fault("overflow", "optimizer", "norm.weight", "addcmul")
def squares_of_gradients_in_adam() -> hs.Trace:
    return train(
        "mlp", loss=lambda y, c: (centred(y) * 300.0).sum(),
        optimizer=lambda p: hs.optim.Adam(p, eps=1e-3, betas=(0.5, 0.5)),
    )  # fmt: skip


@fault("overflow", "optimizer", "norm.weight", "add")
def learning_rate_that_explodes() -> hs.Trace:
    return train("mlp", optimizer=lambda p: hs.optim.SGD(p, lr=1e9))


# Underflow.


@inside("lstm", "underflow", "mul")
def denominator_that_is_flushed(x: hs.Tensor) -> hs.Tensor:
    small = x * 1e-4
    return x / (small * small)


@inside("mlp", "underflow", "mul")
def norm_whose_squares_vanish(x: hs.Tensor) -> hs.Tensor:
    small = x * 1e-4
    return x * ops.sqrt((small * small).sum(-1, keepdims=True))


@inside("cnn", "underflow", "exp")
def probabilities_that_vanish(x: hs.Tensor) -> hs.Tensor:
    return ops.log(ops.exp(x - 30.0))


@inside("encoder", "underflow", "softmax")
def logarithm_of_a_softmax(x: hs.Tensor) -> hs.Tensor:
    return ops.log(ops.softmax(x * 20.0))


@inside("lstm", "underflow", "prod")
def product_of_likelihoods(x: hs.Tensor) -> hs.Tensor:
    return x + ops.log(ops.prod(ops.sigmoid(x - 3.0), -1, keepdims=True))


@inside("mlp", "constant changed", "mul", "pure_fp16")
def factor_that_is_zero(x: hs.Tensor) -> hs.Tensor:
    return x * 1e-9 * 1e3


@fault("underflow", "backward", "", "mul")
def gradients_without_loss_scale() -> hs.Trace:
    return train("encoder", loss=lambda y, c: (centred(y) * 1e-4).sum() * 2.0**-12)


@fault("underflow", "backward", "fault", "mul")
def gradients_of_a_small_factor() -> hs.Trace:
    def shrink(x: hs.Tensor) -> hs.Tensor:
        return x * 2.0**-10

    return train("mlp", shrink, loss=lambda y, c: y.sum() * 2.0**-13)


@fault("underflow", "optimizer", "norm.weight", "addcmul")
def second_moments_in_half() -> hs.Trace:
    return train(
        "mlp", loss=lambda y, c: functional.cross_entropy(y, c) * 1e-2,
        optimizer=lambda p: hs.optim.Adam(p, eps=1e-4, lr=1e-2),
    )  # fmt: skip


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
            p.data = p.data + np.float32(0.125)
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


# An eps that is zero.


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


# Integers.


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


# NaN that numbers make, and NaN that was there.


@inside("mlp", "NaN propagation", "div")
def zero_over_zero(x: hs.Tensor) -> hs.Tensor:
    row = hs.tensor(np.zeros((32, 32)), "fp16")
    return x + row / row.sum(-1, keepdims=True)


@fault("NaN propagation", "forward", "", "tensor")
def nan_in_the_data() -> hs.Trace:
    model = hs.nn.Sequential(hs.nn.Linear(4, 4), hs.nn.ReLU(), hs.nn.Linear(4, 2)).to("fp16")
    with hs.precision("fp16"), hs.trace() as t:
        functional.cross_entropy(model(hs.tensor([[1.0, np.nan, 0.0, 2.0]])), [1]).backward()
    return t


@fault("NaN propagation", "forward", "2", "linear")
def nan_in_a_weight() -> hs.Trace:
    model = hs.nn.Sequential(hs.nn.Linear(4, 4), hs.nn.ReLU(), hs.nn.Linear(4, 2)).to("fp16")
    model[2].weight.data[0, 0] = np.nan
    with hs.precision("fp16"), hs.trace() as t:
        functional.cross_entropy(model(hs.tensor([[1.0, 1.0, 0.0, 2.0]])), [1]).backward()
    return t


@inside("cnn", "NaN propagation", "log")
def logarithm_of_negative_numbers(x: hs.Tensor) -> hs.Tensor:
    return ops.log(x)


@inside("encoder", "NaN propagation", "softmax")
def every_key_masked(x: hs.Tensor) -> hs.Tensor:
    return ops.softmax(ops.masked_fill(x @ x.transpose(0, 1), np.ones((32, 32), bool), -math.inf)) @ x


# The order of a sum.


@fault("accumulation order", "forward", "fault", "sum")
def sum_in_order_of_appearance() -> hs.Trace:
    third = hs.tensor(np.full(2000, 0.3337), "fp16")

    def scaled(x: hs.Tensor) -> hs.Tensor:
        return x * (third.sum() * 1e-3)

    return train("mlp", scaled, "storage=fp16, accumulate=fp16:sequential", reference="fp64")


@fault("swamping", "forward", "0", "linear")  # it stops at 512 of 848
def long_dot_product_in_order() -> hs.Trace:
    model = hs.nn.Sequential(hs.nn.Linear(4096, 4, bias=False))
    model[0].weight.data = np.full((4, 4096), 0.23, np.float32)
    with hs.precision("storage=fp16, accumulate=fp16:sequential"), hs.trace(reference="fp64") as t:
        model.to("fp16")(hs.tensor(np.full((2, 4096), 0.9)))
    return t


# Numbers that are clipped.


@inside("mlp", "clipped", "mul", "storage=fp16, overflow=saturate")
def product_that_saturates(x: hs.Tensor) -> hs.Tensor:
    return (ops.clamp(x, 0.5, 1.0) * 60000.0) * 2.0 * 1e-5


@inside("cnn", "clipped", "mul", "storage=fp16, rounding=toward_zero")
def product_that_is_cut_off(x: hs.Tensor) -> hs.Tensor:
    return (ops.clamp(x, 0.5, 1.0) * 60000.0) * 4.0 * 1e-5


@inside("encoder", "clipped", "matmul", "storage=fp16, operands=e4m3, overflow=saturate")
def operands_of_eight_bits(x: hs.Tensor) -> hs.Tensor:
    y = x * 300.0
    return ((y @ y.transpose(0, 1)) * 1e-5) @ x


@inside("lstm", "clipped", "sum", "storage=fp16, compute=fp16, accumulate=fp16:sequential, overflow=saturate")
def sum_that_saturates(x: hs.Tensor) -> hs.Tensor:
    return x * (ops.clamp(x, 0.5, 1.0) * 9000.0).sum(-1, keepdims=True) * 1e-5


@fault("clipped", "forward", "first", "linear")
def input_that_nobody_scaled_in_eight_bits() -> hs.Trace:
    model = hs.nn.Sequential()
    model.add_module("first", hs.nn.Linear(8, 8))
    model.add_module("norm", hs.nn.LayerNorm(8))
    with hs.precision("fp8"), hs.trace() as t:
        model.to("bf16")(hs.tensor(np.full((2, 8), 2000.0), "bf16")).sum().backward()
    return t


@fault("clipped", "backward", "", "mul")
def gradients_that_saturate() -> hs.Trace:
    with hs.precision("storage=fp16, overflow=saturate"), hs.trace() as t:
        x = hs.tensor([0.1, 0.2], requires_grad=True)
        ((x * 300.0) * 300.0).backward(np.ones(2))
    return t


# Loss scales.


def scaled(
    loss: Callable[[hs.Tensor], hs.Tensor],
    steps: int = 5,
    between: Callable[..., None] = lambda *_: None,
    **options: Any,
) -> hs.Trace:
    """The trace of a small model under autocast and a scaler; ``between`` comes before its step."""
    hs.manual_seed(0)
    model, scaler = hs.nn.Linear(4, 4), hs.amp.GradScaler(**options)
    optimizer = hs.optim.SGD(model.named_parameters(), lr=1e-6)
    x = np.random.default_rng(0).standard_normal((8, 4))
    with hs.trace() as t:
        for _ in range(steps):
            optimizer.zero_grad()
            with hs.amp.autocast():
                value = loss(model(hs.tensor(x)))
            scaler.scale(value).backward()
            between(scaler, optimizer, model, value)
            scaler.step(optimizer)
            scaler.update()
    return t


@fault("scaler", "backward", "", "mul")
def scale_at_its_floor() -> hs.Trace:
    return scaled(lambda y: (centred(y) * 1e5).sum(), 30, min_scale=1.0)


@fault("scaler", "backward", "", "sum")
def scale_that_stays() -> hs.Trace:
    return scaled(lambda y: (centred(y) * 300.0).sum(), dynamic=False)


@fault("scaler", "backward", "", "sqrt")
def root_that_no_scale_mends() -> hs.Trace:
    return scaled(lambda y: ops.sqrt(y * 0.0).sum() + y.sum(), 40)


@fault("scaler", "forward", "", "div")
def zero_over_zero_that_no_scale_mends() -> hs.Trace:
    return scaled(lambda y: ((y * 0.0) / (y * 0.0)).sum(), 40)


@fault("scaler", "optimizer", "", "clip_grad_norm_")
def clipped_before_unscaling() -> hs.Trace:
    return scaled(
        lambda y: y.mean(), between=lambda s, o, model, v: hs.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    )


@fault("scaler", "optimizer", "", "clip_grad_value_")
def clipped_by_value_before_unscaling() -> hs.Trace:
    return scaled(
        lambda y: y.mean(), between=lambda s, o, model, v: hs.nn.utils.clip_grad_value_(model.parameters(), 1.0)
    )


@fault("scaler", "backward", "", "accumulate")
def accumulated_after_unscaling() -> hs.Trace:
    w = hs.tensor(np.ones(4), requires_grad=True)
    optimizer, scaler = hs.optim.SGD([w], lr=1e-4), hs.amp.GradScaler()
    with hs.trace() as t:
        for i in range(2):
            scaler.scale((w * 0.5).sum()).backward()
            if not i:
                scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    return t


@fault("scaler", "optimizer", "weight", "step")
def step_without_unscaling() -> hs.Trace:
    model, scaler = hs.nn.Linear(4, 4), hs.amp.GradScaler()
    optimizer = hs.optim.SGD(model.named_parameters(), lr=1e-4)
    with hs.trace() as t:
        with hs.amp.autocast():
            loss = model(hs.tensor(np.ones((2, 4)))).mean()
        scaler.scale(loss).backward()
        optimizer.step()
    return t


# Constants that became other constants.


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


@pytest.mark.parametrize("name", FAULTS)
def test_the_verdict_names_the_fault(name: str) -> None:
    known = FAULTS[name]
    t = known.run()
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.phase, found.path, found.op) == known[1:5], f"{found}"
    assert found.message
    assert found.fix
    assert len(max(str(found).splitlines(), key=len)) <= 100
    first = t.first(known.klass)
    assert first is not None
    assert first.klass == known.klass
    if found.klass not in ("accumulation order", "eps lost"):
        assert t.first() is not None
        assert first.event.serial >= found.event.serial or first.event.klass == found.event.klass


def test_there_are_faults_enough() -> None:
    assert len(FAULTS) >= 36
    assert {known.klass for known in FAULTS.values()} == set(hs.diagnose.finding.CLASSES) - {"benign rounding"}
    assert {known.phase for known in FAULTS.values()} == {"forward", "backward", "optimizer"}
