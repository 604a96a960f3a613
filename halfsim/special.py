"""Special functions, by the names of ``torch.special``."""

from halfsim.autograd import ops as _ops
from halfsim.autograd.ops.special import SPECIAL as _SPECIAL
from halfsim.names import missing as _missing

__all__ = sorted(_SPECIAL)


def __getattr__(name: str) -> object:
    if name in _SPECIAL:
        return getattr(_ops, _SPECIAL[name])
    raise _missing("halfsim.special", name)


def __dir__() -> list[str]:
    return list(__all__)
