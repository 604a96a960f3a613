"""Numbers past the largest: infinite, or clipped."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.bodies import Planted, centred, train
from tests.diagnose.faults.registry import fault, inside

# Overflow.


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
    with hs.autograd.scope.scoped(path="fault.drop"):
        return functional.dropout(ops.clamp(x, 0, 1) * 60000.0, 0.2) * 1e-5


@inside("lstm", "overflow", "mul")
def mask_by_products(x: hs.Tensor) -> hs.Tensor:
    b = hs.tensor(np.arange(16) < 0, "fp16")  # nothing is left open
    scores = x * b - (1.0 - b) * 1e10
    return ops.exp(scores - scores.amax(-1, keepdims=True))


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
    with hs.autograd.scope.scoped(path="fault.wide"):
        return functional.linear(x * 200.0, np.eye(36) * 400.0) * 1e-4


@inside("mlp", "overflow", "div")
def quotient_past_the_limit(x: hs.Tensor) -> hs.Tensor:
    return (ops.clamp(x, 0.5, 1.0) / 1e-5) * 1e-4


@fault("overflow", "forward", "3", "conv2d")
def activations_grow_layer_by_layer() -> hs.Trace:
    layers = [hs.nn.Conv2d(1 if i == 0 else 2, 2, 3, padding=1, bias=False) for i in range(6)]
    for layer in layers:
        layer.weight.array = np.full_like(layer.weight.array, 2.0)  # every layer multiplies the middle by 36 or 18
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
    layer.running_var.array = np.full(4, 1e5, np.float32)
    with hs.precision("fp16"), hs.trace() as t, pytest.warns(UserWarning, match="infinite"):
        layer.to("fp16")(hs.tensor(np.full((3, 4), 1000.0)))
    return t


@fault("overflow", "forward", "first", "linear")
def input_that_nobody_scaled() -> hs.Trace:
    model = hs.nn.Sequential()
    model.add_module("first", hs.nn.Linear(8, 8))
    model.add_module("norm", hs.nn.LayerNorm(8))
    model.first.weight.array = np.ones((8, 8), np.float32)
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
        p.array = np.full_like(p.array, 100.0)
    model.to("fp16")
    model.lstm.bias_ih_l0.array = np.tile(np.float32([60000, -60000]), 16)  # gates of both signs
    with hs.precision("pure_fp16"), hs.trace() as t:
        model.lstm(hs.tensor(np.full((2, 3, 8), 100.0), "fp16"))[0].sum().backward()
    return t


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


# Clipped.


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
