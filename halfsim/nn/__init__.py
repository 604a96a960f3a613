"""Layers and losses with PyTorch's names."""

from halfsim.autograd.ops import cross_entropy
from halfsim.nn.containers import Flatten, Identity, ModuleDict, ModuleList, ParameterList, Sequential, Unflatten
from halfsim.nn.conversion import Conversion, ConversionRow, ConversionWarning, conversion_report
from halfsim.nn.layers import CrossEntropyLoss, Linear, ReLU, Tanh
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter

__all__ = [
    "Conversion",
    "ConversionRow",
    "ConversionWarning",
    "CrossEntropyLoss",
    "Flatten",
    "Identity",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Tanh",
    "Unflatten",
    "conversion_report",
    "cross_entropy",
]
