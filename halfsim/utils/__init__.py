"""PyTorch's ``torch.utils``, as far as ported scripts use it: data loading and gradient checkpointing."""

from halfsim.names import public as _public
from halfsim.utils import checkpoint, data

__all__ = ["checkpoint", "data"]

_public(__name__)
