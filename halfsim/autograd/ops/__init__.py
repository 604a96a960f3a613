"""Every operation, by PyTorch's or NumPy's name."""

from halfsim.autograd.ops.elementwise import (
    add,
    addcdiv,
    addcmul,
    div,
    exp,
    lerp,
    log,
    mul,
    neg,
    reciprocal,
    relu,
    sigmoid,
    sqrt,
    sub,
    tanh,
)
from halfsim.autograd.ops.linalg import linear, matmul
from halfsim.autograd.ops.loss import cross_entropy, log_softmax, nll_loss, softmax
from halfsim.autograd.ops.reduce import cumsum, max, mean, norm, sum, var
from halfsim.autograd.ops.shape import getitem, reshape, transpose

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "cross_entropy",
    "cumsum",
    "div",
    "exp",
    "getitem",
    "lerp",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "mean",
    "mul",
    "neg",
    "nll_loss",
    "norm",
    "reciprocal",
    "relu",
    "reshape",
    "sigmoid",
    "softmax",
    "sqrt",
    "sub",
    "sum",
    "tanh",
    "transpose",
    "var",
]
