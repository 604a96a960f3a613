"""Learning-rate schedules with PyTorch's names, and its formulas step for step in Python's double precision.

Warm-up is a `LinearLR` before another schedule:
``SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=5), CosineAnnealingLR(optimizer, 95)], [5])``.
"""

from halfsim.names import public as _public
from halfsim.optim.lr_scheduler.base import LRScheduler, _LRScheduler
from halfsim.optim.lr_scheduler.compound import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from halfsim.optim.lr_scheduler.curves import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from halfsim.optim.lr_scheduler.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "_LRScheduler",
]

_public(__name__)
