"""Signal processing, by the names of ``torch.signal``."""

from halfsim.names import public as _public
from halfsim.signal import windows

__all__ = ["windows"]

_public(__name__)
