"""Special functions, by the names of ``torch.special``."""

from halfsim.autograd import ops as _ops
from halfsim.autograd.ops.special import SPECIAL as _SPECIAL
from halfsim.names import missing as _missing

__all__ = sorted(_SPECIAL)

globals().update({name: getattr(_ops, ours) for name, ours in _SPECIAL.items()})


def __getattr__(name: str) -> object:
    raise _missing("halfsim.special", name)
