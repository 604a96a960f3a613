"""Signal processing, by the names of ``torch.signal``."""

from halfsim.signal import windows

__all__ = ["windows"]
