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
    "conv3d": ("conv3d", ((2, 4, 4, 3, 5), (2, 2, 2, 3, 2), (2,)), {"stride": (1, 2, 2), "padding": 1, "groups": 2}),
    "conv3d same": ("conv3d", ((2, 3, 4, 3), (2, 2, 2, 1, 3)), {"padding": "same", "dilation": (2, 1, 1)}),
    "conv_transpose3d": (
        "conv_transpose3d",
        ((1, 2, 2, 3, 2), (2, 2, 2, 1, 3), (2,)),
        {"stride": (1, 2, 2), "padding": (1, 0, 1), "output_padding": (0, 1, 0)},
    ),
    "max_pool3d": ("max_pool3d", ((2, 4, 5, 3),), {"kernel_size": (2, 3, 2), "stride": 1, "padding": (1, 1, 0)}),
    "avg_pool3d": (
        "avg_pool3d",
        ((2, 4, 5, 3),),
        {"kernel_size": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    ),
    "adaptive_avg_pool3d": ("adaptive_avg_pool3d", ((2, 4, 3, 5),), {"output_size": (3, None, 2)}),
    "adaptive_max_pool1d": ("adaptive_max_pool1d", ((2, 2, 7),), {"output_size": 3}),
    "adaptive_max_pool2d": ("adaptive_max_pool2d", ((2, 5, 4),), {"output_size": (3, None)}),
    "adaptive_max_pool3d": ("adaptive_max_pool3d", ((1, 3, 4, 5),), {"output_size": 2}),
    "max_unpool1d": ("max_unpool1d", ((1, 2, 2),), {"indices": np.array([[[1, 3], [0, 2]]]), "kernel_size": 2}),
    "max_unpool2d": (
        "max_unpool2d",
        ((1, 1, 2),),
        {"indices": np.array([[[4, 3]]]), "kernel_size": 2, "output_size": (2, 5)},
    ),
    "max_unpool3d": ("max_unpool3d", ((1, 1, 1, 2),), {"indices": np.array([[[[9, 2]]]]), "kernel_size": 2}),
    "fractional_max_pool2d": (
        "fractional_max_pool2d",
        ((1, 2, 7, 6),),
        {"kernel_size": 2, "output_size": (3, 4), "_random_samples": np.array([[[0.3, 0.8], [0.9, 0.1]]])},
    ),
    "fractional_max_pool3d": (
        "fractional_max_pool3d",
        ((1, 5, 4, 6),),
        {"kernel_size": (2, 1, 3), "output_ratio": 0.5, "_random_samples": np.array([[[0.7, 0.2, 0.4]]])},
    ),
    "lp_pool1d": ("lp_pool1d", ((2, 2, 7),), {"norm_type": 2.0, "kernel_size": 3}),
    "lp_pool2d": ("lp_pool2d", ((2, 5, 4),), {"norm_type": 4.0, "kernel_size": 2, "stride": 1}),
    "lp_pool3d": ("lp_pool3d", ((1, 2, 4, 3, 4),), {"norm_type": 2.0, "kernel_size": 2, "ceil_mode": True}),
    "interpolate nearest": ("interpolate", ((2, 1, 5),), {"scale_factor": 1.7}),
    "interpolate nearest 3": ("interpolate", ((1, 2, 2, 3, 4),), {"size": (3, 2, 9), "mode": "nearest-exact"}),
    "interpolate linear": ("interpolate", ((1, 2, 5),), {"size": 8, "mode": "linear"}),
    "interpolate bilinear": ("interpolate", ((1, 2, 4, 5),), {"scale_factor": (1.6, 0.7), "mode": "bilinear"}),
    "interpolate corners": (
        "interpolate",
        ((1, 2, 4, 5),),
        {"size": (7, 3), "mode": "bilinear", "align_corners": True},
    ),
    "interpolate bicubic": ("interpolate", ((1, 1, 5, 4),), {"size": (3, 9), "mode": "bicubic"}),
    "interpolate trilinear": ("interpolate", ((1, 1, 2, 3, 4),), {"size": (3, 5, 2), "mode": "trilinear"}),
    "interpolate area": ("interpolate", ((1, 1, 5, 4),), {"size": (3, 6), "mode": "area"}),
    "interpolate smooth": ("interpolate", ((1, 2, 9, 7),), {"size": (3, 4), "mode": "bilinear", "antialias": True}),
    "interpolate smooth cubic": ("interpolate", ((1, 1, 8, 6),), {"size": 3, "mode": "bicubic", "antialias": True}),
    "interpolate lanczos": ("interpolate", ((1, 1, 9, 7),), {"size": (4, 9), "mode": "lanczos", "antialias": True}),
    "upsample_bilinear": ("upsample_bilinear", ((1, 1, 3, 2),), {"size": 5}),
    "grid_sample": ("grid_sample", ((2, 2, 3, 4), (2, 2, 3, 2)), {}),
    "grid_sample border": ("grid_sample", ((1, 2, 3, 2, 4), (1, 2, 1, 3, 3)), {"padding_mode": "border"}),
    "grid_sample reflection": (
        "grid_sample",
        ((2, 1, 4, 3), (2, 3, 3, 2)),
        {"padding_mode": "reflection", "align_corners": True},
    ),
    "grid_sample bicubic": ("grid_sample", ((1, 2, 4, 5), (1, 3, 2, 2)), {"mode": "bicubic", "align_corners": False}),
    "affine_grid": ("affine_grid", ((2, 2, 3),), {"size": (2, 1, 3, 4), "align_corners": False}),
    "affine_grid 3": ("affine_grid", ((1, 3, 4),), {"size": (1, 1, 2, 3, 2), "align_corners": True}),
    "unfold": ("unfold", ((2, 2, 5, 4),), {"kernel_size": (2, 3), "padding": 1, "stride": (2, 1)}),
    "unfold dilation": ("unfold", ((2, 5, 6),), {"kernel_size": 2, "dilation": (3, 2)}),
    "fold": ("fold", ((1, 8, 18),), {"output_size": (4, 5), "kernel_size": 2, "padding": (0, 1)}),
    "pixel_shuffle": ("pixel_shuffle", ((2, 8, 2, 3),), {"upscale_factor": 2}),
    "pixel_unshuffle": ("pixel_unshuffle", ((1, 2, 4, 6),), {"downscale_factor": 2}),
    "channel_shuffle": ("channel_shuffle", ((2, 6, 2),), {"groups": 3}),
    "local_response_norm": ("local_response_norm", ((2, 4, 3),), {"size": 3, "alpha": 0.5, "k": 1.5}),
    "local_response_norm 4": ("local_response_norm", ((1, 5, 2, 3),), {"size": 2, "alpha": 2.0, "beta": 0.5}),
}


def operands(name: str) -> list[np.ndarray]:
    """Numbers of one digit after the point, so that windows have equal largest elements."""
    rng = np.random.default_rng(list(CASES).index(name))
    return [np.round(rng.standard_normal(shape), 1) for shape in CASES[name][1]]


def seed_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of the result."""
    return np.round(np.random.default_rng(100 + list(CASES).index(name)).standard_normal(shape), 2)
