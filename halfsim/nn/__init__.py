"""Layers and losses with PyTorch's names."""

from halfsim.autograd.ops import cross_entropy
from halfsim.nn.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from halfsim.nn.layers import CrossEntropyLoss, Linear, ReLU, Sequential, Tanh
from halfsim.nn.module import Module, Parameter
from halfsim.nn.pooling import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Tanh",
    "cross_entropy",
]
