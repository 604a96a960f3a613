"""Numbers below the smallest: zeros that should not be."""

from __future__ import annotations

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.bodies import centred, train
from tests.diagnose.faults.registry import fault, inside


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
