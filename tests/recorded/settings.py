"""What is recorded: the optimizers whose trajectories are (name, class, options), and the bit patterns of weights."""

from __future__ import annotations

from typing import Any

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.125}),
    "sgd_momentum": ("SGD", {"lr": 0.125, "momentum": 0.875, "dampening": 0.25, "weight_decay": 2.0**-7}),
    "sgd_nesterov": ("SGD", {"lr": 0.0625, "momentum": 0.75, "nesterov": True, "weight_decay": 2.0**-6}),
    "adam": ("Adam", {"lr": 1e-3}),
    "adam_decay": ("Adam", {"lr": 2.0**-6, "betas": (0.375, 0.875), "eps": 2.0**-13, "weight_decay": 2.0**-7}),
}

# Bit patterns of each format: zeros, infinities, a quiet NaN with a payload, subnormals, and common numbers.
CODES = {
    "float16": [0x0000, 0x8000, 0x7C00, 0xFC00, 0x7E05, 0x0001, 0x83FF, 0x2E66, 0x7BFF],
    "bfloat16": [0x0000, 0x8000, 0x7F80, 0xFF80, 0x7FC5, 0x0001, 0x807F, 0x3DCD, 0x7F7F],
    "float32": [0x80000000, 0x7F800000, 0xFF800000, 0x7FC00005, 0x00000001, 0x3DCCCCCD],
    "float64": [1 << 63, 0x7FF << 52, 0xFFF << 52, (0x7FF8 << 48) + 5, 1, 0x3FB999999999999A],
    "float8_e4m3fn": list(range(256)),
    "float8_e5m2": [code for code in range(256) if code not in (0x7D, 0xFD)],  # the signaling NaN, which are quieted
}
