"""Optimizers with PyTorch's names and semantics."""

from halfsim.names import public as _public
from halfsim.optim import lr_scheduler, swa_utils
from halfsim.optim.adafactor import Adafactor
from halfsim.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from halfsim.optim.ema import EMA
from halfsim.optim.lbfgs import LBFGS
from halfsim.optim.muon import Muon
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.optimizers import ASGD, SGD, Adadelta, Adagrad, Lion, RMSprop, Rprop
from halfsim.optim.sparse_adam import SparseAdam

__all__ = [
    "ASGD",
    "EMA",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
]

_public(__name__)
