"""Dropout layers: noise in training, nothing in evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.ops.dropout import dropout_across, probability
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p, self.inplace = probability(p), inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Each value zero with probability ``p``, the others over 1 - p; see `halfsim.ops.dropout`.

    >>> import halfsim as hs
    >>> Dropout(0.3).eval()(hs.tensor([1.0, 2.0]))
    tensor([1., 2.], float32)
    """

    _across = False  # whether inputs (N, L, E) lie in PyTorch's memory with the length first

    def forward(self, input: Any) -> Tensor:
        if self._across and len(np.shape(plain(input))) == 3:
            return dropout_across(input, self.p, self.training)
        return ops.dropout(input, self.p, self.training)


class Dropout1d(_Dropout):
    """Each channel of (N, C, L) or (C, L) zero with probability ``p``; see `halfsim.ops.dropout1d`."""

    def forward(self, input: Any) -> Tensor:
        return ops.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Each channel of (N, C, H, W) zero with probability ``p``; see `halfsim.ops.dropout2d`."""

    def forward(self, input: Any) -> Tensor:
        return ops.dropout2d(input, self.p, self.training)


class Dropout3d(_Dropout):
    """Each channel of (N, C, D, H, W) or (C, D, H, W) zero with probability ``p``; see `halfsim.ops.dropout3d`."""

    def forward(self, input: Any) -> Tensor:
        return ops.dropout3d(input, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of `SELU`; see `halfsim.ops.alpha_dropout`."""

    def forward(self, input: Any) -> Tensor:
        return ops.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (N, C, ...); see `halfsim.ops.feature_alpha_dropout`."""

    def forward(self, input: Any) -> Tensor:
        return ops.feature_alpha_dropout(input, self.p, self.training)
