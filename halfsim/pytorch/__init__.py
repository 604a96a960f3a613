"""Any PyTorch program, run in a simulated precision on the CPU, unchanged: `simulate` and `observe`."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("halfsim.pytorch: PyTorch is not installed; allowed: pip install 'halfsim[torch]'") from error

from halfsim.pytorch import state as _state  # noqa: F401  # how experiments keep and read what is PyTorch's
from halfsim.pytorch.mapped import Mapped
from halfsim.pytorch.simulation import Simulation, observe, simulate

__all__ = ["Mapped", "Simulation", "observe", "simulate"]
