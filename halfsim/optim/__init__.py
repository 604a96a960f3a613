"""Optimizers with PyTorch's names and semantics."""

from halfsim.optim import lr_scheduler
from halfsim.optim.adam import Adam, AdamW, NAdam
from halfsim.optim.ema import EMA
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.optimizers import SGD, Adagrad, Lion, RMSprop

__all__ = [
    "EMA",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
]
