"""Layers and losses with PyTorch's names."""

from halfsim.autograd.ops import cross_entropy
from halfsim.nn.attention import MultiheadAttention
from halfsim.nn.containers import Flatten, Identity, ModuleDict, ModuleList, ParameterList, Sequential, Unflatten
from halfsim.nn.conversion import Conversion, ConversionRow, ConversionWarning, conversion_report
from halfsim.nn.dropout import Dropout, Dropout1d, Dropout2d
from halfsim.nn.layers import CrossEntropyLoss, Linear, ReLU, Tanh
from halfsim.nn.module import Module
from halfsim.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    RMSNorm,
)
from halfsim.nn.parameter import Parameter
from halfsim.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from halfsim.nn.sparse import Embedding

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conversion",
    "ConversionRow",
    "ConversionWarning",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "ParameterList",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "Sequential",
    "Tanh",
    "Unflatten",
    "conversion_report",
    "cross_entropy",
]
