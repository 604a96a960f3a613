"""Distances and likenesses of vectors as layers."""

from __future__ import annotations

from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.nn.module import Module


class PairwiseDistance(Module):
    """The norm of the difference of two vectors, along the last axis; see `halfsim.ops.pairwise_distance`.

    >>> import halfsim as hs
    >>> PairwiseDistance(p=1)(hs.tensor([[3.0, 4.0]]), hs.tensor([[0.0, 0.0]]))
    tensor([7.000002], float32)
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Tensor:
        return ops.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """The cosine of the angle between two vectors along ``dim``; see `halfsim.ops.cosine_similarity`.

    >>> import halfsim as hs
    >>> CosineSimilarity(dim=0)(hs.tensor([3.0, 4.0]), hs.tensor([1.0, 0.0]))
    tensor(0.6, float32)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Tensor:
        return ops.cosine_similarity(x1, x2, self.dim, self.eps)
