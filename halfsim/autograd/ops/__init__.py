"""Every operation, by PyTorch's or NumPy's name."""

from halfsim.autograd.ops.avg_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool1d, avg_pool2d
from halfsim.autograd.ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
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
from halfsim.autograd.ops.padding import pad
from halfsim.autograd.ops.pool import max_pool1d, max_pool2d
from halfsim.autograd.ops.reduce import cumsum, max, mean, norm, sum, var
from halfsim.autograd.ops.shape import getitem, reshape, transpose

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "add",
    "addcdiv",
    "addcmul",
    "avg_pool1d",
    "avg_pool2d",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
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
    "max_pool1d",
    "max_pool2d",
    "mean",
    "mul",
    "neg",
    "nll_loss",
    "norm",
    "pad",
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
