"""Automatic mixed precision, as ``torch.amp``: the autocast policy and dynamic loss scaling.

`AMP` runs each operation in the precision of its place in PyTorch's CUDA autocast lists, which every operation of
`halfsim.ops` declares; operations in neither list keep the format of their widest operand.
"""

from halfsim.amp.autocast import autocast
from halfsim.amp.custom import custom_bwd, custom_fwd, is_autocast_available
from halfsim.amp.grad_scaler import GradScaler, ScaleRecord
from halfsim.autograd.policy import AMP
from halfsim.names import public as _public

__all__ = [
    "AMP",
    "GradScaler",
    "ScaleRecord",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "is_autocast_available",
]

_public(__name__)
