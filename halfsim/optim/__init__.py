"""Optimizers with PyTorch's names and semantics."""

from halfsim.optim.adam import Adam, AdamW, NAdam
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.optimizers import SGD, Adagrad, Lion, RMSprop

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "NAdam",
    "Optimizer",
    "RMSprop",
]
