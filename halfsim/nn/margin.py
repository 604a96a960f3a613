"""Losses that ask for a margin, as layers; see the functions of the same meaning in `halfsim.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.loss import Loss, WeightedLoss


class _Margin(Loss):
    """A loss with a margin, which comes before its reduction."""

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class MarginRankingLoss(_Margin):
    """How far one score is from being the larger of two; see `halfsim.ops.margin_ranking_loss`.

    >>> import halfsim as hs
    >>> MarginRankingLoss(margin=0.5)(hs.tensor([1.0]), hs.tensor([3.0]), [1])
    tensor(2.5, float32)
    """

    def forward(self, input1: Any, input2: Any, target: Any) -> Tensor:
        return ops.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Margin):
    """How far the cosine of two vectors is from 1, or above a margin; see `halfsim.ops.cosine_embedding_loss`."""

    def forward(self, input1: Any, input2: Any, target: Any) -> Tensor:
        return ops.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_Margin):
    """A distance, or how far it is below a margin; see `halfsim.ops.hinge_embedding_loss`."""

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Margin):
    """How far an anchor is from being nearer to one vector than to another; see `halfsim.ops.triplet_margin_loss`."""

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(_positive(margin), size_average, reduce, reduction)
        self.p, self.eps, self.swap = p, eps, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        options: dict[str, Any] = {"p": self.p, "eps": self.eps, "swap": self.swap, "reduction": self.reduction}
        return ops.triplet_margin_loss(anchor, positive, negative, self.margin, **options)


class TripletMarginWithDistanceLoss(_Margin):
    """`TripletMarginLoss` with any function of two tensors for the distance; `PairwiseDistance` by default."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(_positive(margin), reduction=reduction)
        self.distance_function = ops.pairwise_distance if distance_function is None else distance_function
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        options: dict[str, Any] = {"margin": self.margin, "swap": self.swap, "reduction": self.reduction}
        distance = self.distance_function
        return ops.triplet_margin_with_distance_loss(anchor, positive, negative, distance_function=distance, **options)


def _positive(margin: float) -> float:
    if not margin > 0:
        raise ValueError(f"margin: {margin} is not allowed; allowed: positive numbers")
    return margin


class SoftMarginLoss(Loss):
    """``log(1 + exp(-x * target))``; see `halfsim.ops.soft_margin_loss`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelMarginLoss(Loss):
    """How far listed classes are from beating all others; see `halfsim.ops.multilabel_margin_loss`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """The cross entropy of many classes, each yes or no; see `halfsim.ops.multilabel_soft_margin_loss`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.multilabel_soft_margin_loss(input, target, self._weight(), reduction=self.reduction)


class MultiMarginLoss(Loss):
    """How far one class is from beating all others; see `halfsim.ops.multi_margin_loss`.

    ``ValueError`` for p other than 1 and 2 and weights that are no vector.
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"p: {p} is not allowed; allowed: 1, 2")
        if weight is not None and np.ndim(plain(weight)) != 1:
            raise ValueError(f"weight: shape {np.shape(plain(weight))} is not allowed; allowed: (C,), a class each")
        self._weigh(weight=weight)
        self.p, self.margin = p, margin

    def forward(self, input: Any, target: Any) -> Tensor:
        options: dict[str, Any] = {"weight": self._weight(), "reduction": self.reduction}
        return ops.multi_margin_loss(input, target, self.p, self.margin, **options)
