"""``torch.cuda.amp``, PyTorch's older place for autocast and GradScaler."""

from __future__ import annotations

from typing import Any

from halfsim.amp import autocast as _autocast
from halfsim.amp.custom import custom_bwd, custom_fwd
from halfsim.amp.grad_scaler import GradScaler as _GradScaler
from halfsim.names import public

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


class autocast(_autocast):  # noqa: N801  # PyTorch's name
    """`halfsim.amp.autocast` of "cuda"; the first argument is ``enabled``, as it was there."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(_GradScaler):
    """`halfsim.amp.GradScaler` of "cuda"; the first argument is ``init_scale``, as it was there."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


public(__name__)
