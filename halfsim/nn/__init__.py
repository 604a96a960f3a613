"""Layers and losses with PyTorch's names."""

from halfsim.autograd.ops import cross_entropy
from halfsim.nn import utils
from halfsim.nn.layers import CrossEntropyLoss, Linear, ReLU, Sequential, Tanh
from halfsim.nn.module import Module, Parameter

__all__ = [
    "CrossEntropyLoss",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Tanh",
    "cross_entropy",
    "utils",
]
