"""``torch.cuda`` for ported scripts: there is no device, and everything runs without one."""

from __future__ import annotations

from typing import Any

from halfsim.autograd.random import manual_seed
from halfsim.cuda import amp
from halfsim.names import public as _public

__all__ = ["amp", "current_device", "device_count", "empty_cache", "get_device_name", "is_available",
           "is_bf16_supported", "manual_seed", "manual_seed_all", "max_memory_allocated", "memory_allocated",
           "reset_peak_memory_stats", "set_device", "synchronize"]  # fmt: skip


def is_available() -> bool:
    """False: everything runs on the CPU."""
    return False


def is_bf16_supported() -> bool:
    """True: every format is simulated."""
    return True


def device_count() -> int:
    """0."""
    return 0


def current_device() -> int:
    """0, the number of a device that is not there."""
    return 0


def get_device_name(device: Any = None) -> str:
    """The word simulated: there is no device."""
    return "simulated"


manual_seed_all = manual_seed


def set_device(device: Any) -> None:
    """Accepted: there is one place to run."""


def synchronize(device: Any = None) -> None:
    """Accepted: every operation is over when it returns."""


def empty_cache() -> None:
    """Accepted: there is no cache."""


def reset_peak_memory_stats(device: Any = None) -> None:
    """Accepted: nothing is counted; `halfsim.cost` tells what a device would hold."""


def memory_allocated(device: Any = None) -> int:
    """0: `halfsim.cost` tells what a device would hold."""
    return 0


max_memory_allocated = memory_allocated

_public(__name__)
