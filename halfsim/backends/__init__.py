"""PyTorch's ``torch.backends`` for ported scripts: switches that are taken and change nothing."""

from __future__ import annotations

from types import SimpleNamespace

from halfsim.names import public as _public

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mps"]

cudnn = SimpleNamespace(
    enabled=False,
    benchmark=False,
    deterministic=True,
    allow_tf32=False,
    is_available=lambda: False,
    version=lambda: None,
)
cuda = SimpleNamespace(
    matmul=SimpleNamespace(
        allow_tf32=False, allow_fp16_reduced_precision_reduction=True, allow_bf16_reduced_precision_reduction=True
    ),
    is_built=lambda: False,
    enable_flash_sdp=lambda enabled: None,
    enable_math_sdp=lambda enabled: None,
    enable_mem_efficient_sdp=lambda enabled: None,
)
mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
mkl = SimpleNamespace(is_available=lambda: False)
cpu = SimpleNamespace(get_cpu_capability=lambda: "DEFAULT")

_public(__name__)
