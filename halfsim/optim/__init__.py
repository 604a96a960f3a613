"""Optimizers with PyTorch's names and semantics."""

from halfsim.optim.optimizer import Optimizer
from halfsim.optim.optimizers import SGD, Adam

__all__ = ["SGD", "Adam", "Optimizer"]
