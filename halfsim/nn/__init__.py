"""Layers and losses with PyTorch's names."""

from halfsim.autograd.ops import cross_entropy
from halfsim.nn.layers import CrossEntropyLoss, Linear, ReLU, Sequential, Tanh
from halfsim.nn.module import Module, Parameter
from halfsim.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CrossEntropyLoss",
    "GRUCell",
    "LSTMCell",
    "Linear",
    "Module",
    "Parameter",
    "RNNCell",
    "ReLU",
    "Sequential",
    "Tanh",
    "cross_entropy",
]
