"""Layers and losses with PyTorch's names."""

from halfsim.autograd.ops import cross_entropy
from halfsim.nn.attention import MultiheadAttention
from halfsim.nn.containers import Flatten, Identity, ModuleDict, ModuleList, ParameterList, Sequential, Unflatten
from halfsim.nn.conversion import Conversion, ConversionRow, ConversionWarning, conversion_report
from halfsim.nn.layers import CrossEntropyLoss, Linear, ReLU, Tanh
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter
from halfsim.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Conversion",
    "ConversionRow",
    "ConversionWarning",
    "CrossEntropyLoss",
    "Flatten",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "ParameterList",
    "RNNCell",
    "ReLU",
    "Sequential",
    "Tanh",
    "Unflatten",
    "conversion_report",
    "cross_entropy",
]
