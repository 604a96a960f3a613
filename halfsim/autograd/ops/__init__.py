"""Every operation, by PyTorch's or NumPy's name."""

from halfsim.autograd.ops.attention import baddbmm, scaled_dot_product_attention
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
from halfsim.autograd.ops.recurrent import (
    gru,
    gru_cell,
    lstm,
    lstm_cell,
    rnn_relu,
    rnn_relu_cell,
    rnn_tanh,
    rnn_tanh_cell,
)
from halfsim.autograd.ops.reduce import cumsum, max, mean, norm, sum, var
from halfsim.autograd.ops.shape import getitem, reshape, transpose
from halfsim.autograd.ops.sparse import embedding

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "baddbmm",
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
    "gru",
    "gru_cell",
    "instance_norm",
    "layer_norm",
    "lerp",
    "linear",
    "log",
    "log_softmax",
    "lstm",
    "lstm_cell",
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
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
    "scaled_dot_product_attention",
    "sigmoid",
    "softmax",
    "sqrt",
    "sub",
    "sum",
    "tanh",
    "transpose",
    "var",
]
