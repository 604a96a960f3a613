"""The layers of which outputs, gradients and states are recorded: name, class, arguments, input shape."""

from __future__ import annotations

from typing import Any

LAYERS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    "batch_norm1d": ("BatchNorm1d", (4,), {}, (5, 4)),
    "batch_norm1d_length": ("BatchNorm1d", (4,), {"eps": 1e-3, "momentum": 0.3}, (3, 4, 2)),
    "batch_norm1d_cumulative": ("BatchNorm1d", (4,), {"momentum": None}, (5, 4)),
    "batch_norm1d_untracked": ("BatchNorm1d", (4,), {"track_running_stats": False}, (5, 4)),
    "batch_norm1d_plain": ("BatchNorm1d", (4,), {"affine": False}, (5, 4)),
    "batch_norm2d": ("BatchNorm2d", (3,), {}, (2, 3, 3, 2)),
    "batch_norm2d_no_bias": ("BatchNorm2d", (3,), {"bias": False}, (2, 3, 3, 2)),
    "layer_norm": ("LayerNorm", (6,), {}, (3, 2, 6)),
    "layer_norm_two_axes": ("LayerNorm", ((2, 6),), {"eps": 1e-3}, (3, 2, 6)),
    "layer_norm_no_bias": ("LayerNorm", (6,), {"bias": False}, (3, 6)),
    "layer_norm_plain": ("LayerNorm", (6,), {"elementwise_affine": False}, (3, 6)),
    "group_norm": ("GroupNorm", (2, 4), {}, (2, 4, 3)),
    "group_norm_plain": ("GroupNorm", (4, 4), {"affine": False}, (2, 4, 3)),
    "group_norm_flat": ("GroupNorm", (2, 6), {}, (3, 6)),
    "instance_norm1d": ("InstanceNorm1d", (3,), {}, (2, 3, 4)),
    "instance_norm1d_affine": ("InstanceNorm1d", (3,), {"affine": True}, (2, 3, 4)),
    "instance_norm1d_one": ("InstanceNorm1d", (3,), {"affine": True}, (3, 4)),
    "instance_norm2d_tracked": (
        "InstanceNorm2d",
        (3,),
        {"affine": True, "track_running_stats": True, "momentum": 0.25},
        (2, 3, 2, 2),
    ),
    "rms_norm": ("RMSNorm", (6,), {}, (3, 6)),
    "rms_norm_eps": ("RMSNorm", ((2, 6),), {"eps": 1e-2}, (3, 2, 6)),
    "rms_norm_plain": ("RMSNorm", (6,), {"elementwise_affine": False}, (3, 6)),
}

# In float16, and with an input of float16 on weights and statistics of float32. (PyTorch's CPU kernel of batch
# normalisation keeps the moments of a float16 layer in float16, its CUDA kernel, which halfsim follows, in float32.)
HALVES = ("layer_norm", "group_norm", "rms_norm")
MIXED = ("batch_norm2d", "instance_norm1d_affine")
