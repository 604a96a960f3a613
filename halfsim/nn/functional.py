"""Layers without state under the names and signatures of ``torch.nn.functional``; see `halfsim.ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.ops import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    affine_grid,
    alpha_dropout,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    batch_norm,
    bilinear,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    celu,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_embedding_loss,
    cosine_similarity,
    cross_entropy,
    ctc_loss,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    elu,
    embedding,
    embedding_bag,
    feature_alpha_dropout,
    flash_attention,
    fold,
    fractional_max_pool2d,
    fractional_max_pool3d,
    gaussian_nll_loss,
    gelu,
    glu,
    grid_sample,
    group_norm,
    gumbel_softmax,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hinge_embedding_loss,
    huber_loss,
    instance_norm,
    interpolate,
    kl_div,
    l1_loss,
    layer_norm,
    leaky_relu,
    linear,
    local_response_norm,
    logsigmoid,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    margin_ranking_loss,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
    mish,
    mse_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    normalize,
    pad,
    pairwise_distance,
    pdist,
    pixel_shuffle,
    pixel_unshuffle,
    poisson_nll_loss,
    prelu,
    relu,
    relu6,
    rms_norm,
    rrelu,
    scaled_dot_product_attention,
    selu,
    sigmoid,
    silu,
    smooth_l1_loss,
    soft_margin_loss,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
    unfold,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from halfsim.autograd.ops._common import indices, integer_tensor
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.nn.activation import implicit_dim
from halfsim.nn.attention import multi_head_attention_forward
from halfsim.options import guarded_names

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "flash_attention",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "rrelu",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: object = None) -> Tensor:
    """`halfsim.ops.softmax` along ``dim`` (without one 0 for 0, 1 and 3 dimensions, else 1) in the format ``dtype``."""
    return ops.softmax(_as(input, dtype), implicit_dim(input, dim))


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: object = None) -> Tensor:
    """`halfsim.ops.log_softmax`, arguments as of `softmax`."""
    return ops.log_softmax(_as(input, dtype), implicit_dim(input, dim))


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: object = None) -> Tensor:
    """`halfsim.ops.softmin`, arguments as of `softmax`."""
    return ops.softmin(_as(input, dtype), implicit_dim(input, dim))


def _as(input: Any, dtype: object) -> Any:
    if dtype is None:
        return input
    return input.to(dtype) if isinstance(input, Tensor) else tensor(input, dtype)


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """A tensor (int64) with an axis more, 1 at the class of each element; as many classes as are met for -1."""
    classes = indices("tensor", tensor)
    count = (int(classes.max()) + 1 if classes.size else 0) if num_classes == -1 else num_classes
    if count < 1 or (classes.size and not 0 <= classes.min() <= classes.max() < count):
        raise ValueError(f"tensor: classes do not fit num_classes={num_classes}; allowed: 0 to num_classes - 1")
    return integer_tensor((classes[..., None] == np.arange(count)).astype(np.int64))


guarded_names(globals(), __all__)
public(__name__)
