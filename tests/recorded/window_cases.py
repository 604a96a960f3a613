"""The operations on windows whose results are recorded: operation, shapes of its operands, options."""

from __future__ import annotations

from typing import Any

import numpy as np

CASES: dict[str, tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "conv1d": ("conv1d", ((2, 3, 7), (4, 3, 3), (4,)), {}),
    "conv1d stride": ("conv1d", ((2, 4, 8), (4, 2, 3), (4,)), {"stride": 2, "padding": 2, "groups": 2}),
    "conv1d same": ("conv1d", ((3, 6), (2, 3, 4), (2,)), {"padding": "same", "dilation": 2}),
    "conv2d": ("conv2d", ((2, 3, 5, 4), (2, 3, 3, 2), (2,)), {"padding": 1}),
    "conv2d stride": ("conv2d", ((2, 2, 6, 5), (4, 2, 3, 2), (4,)), {"stride": (2, 3), "padding": (1, 0)}),
    "conv2d dilation": ("conv2d", ((1, 4, 6, 5), (4, 2, 2, 2)), {"dilation": (2, 3), "groups": 2, "padding": 1}),
    "conv2d depthwise": ("conv2d", ((2, 4, 4, 4), (8, 1, 3, 3), (8,)), {"groups": 4, "stride": 2, "padding": 1}),
    "conv2d same": ("conv2d", ((2, 5, 4), (2, 2, 2, 4), (2,)), {"padding": "same"}),
    "conv_transpose1d": ("conv_transpose1d", ((2, 3, 4), (3, 2, 3), (2,)), {"stride": 2, "output_padding": 1}),
    "conv_transpose2d": ("conv_transpose2d", ((2, 2, 3, 4), (2, 3, 3, 2), (3,)), {"padding": (1, 0)}),
    "conv_transpose2d stride": (
        "conv_transpose2d",
        ((2, 4, 3, 2), (4, 1, 3, 2), (2,)),
        {"stride": (2, 3), "padding": 1, "output_padding": (1, 2), "groups": 2},
    ),
    "conv_transpose2d dilation": ("conv_transpose2d", ((2, 3, 3), (2, 2, 2, 2)), {"dilation": 2, "stride": (1, 3)}),
    "max_pool1d": ("max_pool1d", ((2, 2, 9),), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    "max_pool2d": ("max_pool2d", ((2, 2, 6, 4),), {"kernel_size": 2}),
    "max_pool2d overlap": ("max_pool2d", ((2, 5, 6),), {"kernel_size": 3, "stride": 1, "padding": 1}),
    "max_pool2d dilation": ("max_pool2d", ((2, 2, 7, 6),), {"kernel_size": (2, 3), "stride": 3, "dilation": (3, 1)}),
    "avg_pool1d": ("avg_pool1d", ((2, 2, 7),), {"kernel_size": 4, "stride": 4, "padding": 2, "ceil_mode": True}),
    "avg_pool2d": ("avg_pool2d", ((2, 2, 5, 6),), {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)}),
    "avg_pool2d exclude": (
        "avg_pool2d",
        ((2, 5, 6),),
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    ),
    "avg_pool2d divisor": ("avg_pool2d", ((2, 2, 4, 4),), {"kernel_size": 2, "divisor_override": 3}),
    "adaptive_avg_pool1d": ("adaptive_avg_pool1d", ((2, 2, 7),), {"output_size": 3}),
    "adaptive_avg_pool2d": ("adaptive_avg_pool2d", ((2, 2, 5, 4),), {"output_size": (3, None)}),
    "adaptive_avg_pool2d up": ("adaptive_avg_pool2d", ((2, 3, 2),), {"output_size": (1, 5)}),
    "pad": ("pad", ((2, 3, 4),), {"pad": (1, -1, 2, 0), "value": 0.5}),
    "pad reflect": ("pad", ((2, 3, 4),), {"pad": (3, 2, 1, 2), "mode": "reflect"}),
    "pad replicate": ("pad", ((2, 2, 3, 4),), {"pad": (3, 0, -1, 2), "mode": "replicate"}),
    "pad circular": ("pad", ((2, 2, 3, 4),), {"pad": (4, 1, -1, 2), "mode": "circular"}),
}


def operands(name: str) -> list[np.ndarray]:
    """Numbers of one digit after the point, so that windows have equal largest elements."""
    rng = np.random.default_rng(list(CASES).index(name))
    return [np.round(rng.standard_normal(shape), 1) for shape in CASES[name][1]]


def seed_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of the result."""
    return np.round(np.random.default_rng(100 + list(CASES).index(name)).standard_normal(shape), 2)
