"""Special functions, by the names of ``torch.special``."""

from halfsim.autograd import ops as _ops
from halfsim.autograd.ops.special import SPECIAL as _SPECIAL
from halfsim.names import public as _public

__all__ = sorted(_SPECIAL)

globals().update({name: getattr(_ops, ours) for name, ours in _SPECIAL.items()})

_public(__name__)
