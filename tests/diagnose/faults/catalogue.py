"""All faults, by name."""

from __future__ import annotations

from tests.diagnose.faults import constants, nan, overflow, scaler, sums, underflow  # noqa: F401  (they register)
from tests.diagnose.faults.registry import FAULTS

__all__ = ["FAULTS"]
