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
from halfsim.autograd.ops.masking import dropout, dropout1d, dropout2d
from halfsim.autograd.ops.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from halfsim.autograd.ops.reduce import cumsum, max, mean, norm, sum, var
from halfsim.autograd.ops.shape import getitem, reshape, transpose
from halfsim.autograd.ops.sparse import embedding

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "batch_norm",
    "cross_entropy",
    "cumsum",
    "div",
    "dropout",
    "dropout1d",
    "dropout2d",
    "embedding",
    "exp",
    "getitem",
    "group_norm",
    "instance_norm",
    "layer_norm",
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
    "rms_norm",
    "sigmoid",
    "softmax",
    "sqrt",
    "sub",
    "sum",
    "tanh",
    "transpose",
    "var",
]
