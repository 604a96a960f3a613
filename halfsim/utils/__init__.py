"""PyTorch's ``torch.utils``, as far as ported scripts use it: data loading and gradient checkpointing."""

from halfsim.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
