"""Softmax over many classes, the rare ones in clusters of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.ops._common import indices
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.containers import ModuleList, Sequential
from halfsim.nn.linear import Linear
from halfsim.nn.module import Module
from halfsim.numerics.quantize import Array


class _Losses(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log-probability of each target among ``n_classes``, and their negative mean, by clusters of rarer classes.

    ``cutoffs`` are the first classes of the clusters, in order. ``head`` scores the classes before the first cutoff and
    each cluster, ``tail`` the classes of each cluster after a projection that is ``div_value`` times narrower from
    cluster to cluster. ``input`` is (N, in_features) and ``target`` (N,), or both without N; the result has ``output``
    and ``loss``. Composed of `linear`, `log_softmax`, `getitem` and `add`. ``ValueError`` for cutoffs, shapes and
    classes that do not fit.

    >>> import halfsim as hs
    >>> layer = AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs=[5, 10])
    >>> layer(hs.tensor(np.zeros((3, 16))), np.array([0, 7, 19])).output.shape
    (3,)
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
    ) -> None:
        super().__init__()
        bounds = list(cutoffs)
        if not bounds or bounds != sorted(set(bounds)) or not 0 < bounds[0] <= bounds[-1] < n_classes:
            raise ValueError(f"cutoffs: {bounds} is not allowed; allowed: rising integers from 1 to {n_classes - 1}")
        if not 0 < float(div_value) < float("inf"):
            raise ValueError(f"div_value: {float(div_value)} is not allowed; allowed: finite numbers above 0")
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*bounds, n_classes]
        self.div_value, self.head_bias = float(div_value), head_bias
        self.shortlist_size, self.n_clusters = bounds[0], len(bounds)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            width = int(in_features // self.div_value ** (i + 1))
            self.tail.append(Sequential(Linear(in_features, width, bias=False), Linear(width, high - low, bias=False)))

    def forward(self, input_: Any, target_: Any) -> _Losses:
        target, shape = indices("target", target_), np.shape(plain(input_))
        if target.ndim > 1 or shape != (*target.shape, self.in_features):
            allowed = f"(N, {self.in_features}) and (N,), or both without N"
            raise ValueError(f"target: shape {target.shape} does not fit input {shape}; allowed: {allowed}")
        x, labels = ops.reshape(input_, (-1, self.in_features)), target.reshape(-1)
        if labels.size and not 0 <= labels.min() <= labels.max() < self.n_classes:
            raise ValueError(f"target: classes {labels.min()} to {labels.max()}; allowed: 0 to {self.n_classes - 1}")
        cluster = np.searchsorted(self.cutoffs, labels, "right")  # 0: the shortlist
        scores = self._scores(x)
        heads = np.where(cluster == 0, labels, self.shortlist_size + cluster - 1)
        own = [tensor(np.zeros(int((cluster == 0).sum())), scores.format)]  # log 1: the shortlist is sure of its class
        for i in range(self.n_clusters):
            rows = np.flatnonzero(cluster == i + 1)
            if rows.size:
                inner = ops.log_softmax(self.tail[i](x[rows]), 1)
                own.append(_picked(inner, labels[rows] - self.cutoffs[i]))
        place = np.argsort(np.argsort(cluster, kind="stable"), kind="stable")
        output = ops.add(ops.cat(own)[place], _picked(scores, heads))
        return _Losses(output if target.ndim else output[0], ops.mean(ops.neg(output)))

    def _scores(self, x: Any) -> Tensor:
        return ops.log_softmax(self.head(x), 1)

    def log_prob(self, input: Any) -> Tensor:
        """The log-probabilities of all classes, (N, n_classes)."""
        scores = self._scores(input)
        parts = [scores[:, : self.shortlist_size]]
        for i, inner in enumerate(self.tail):
            k = self.shortlist_size + i
            parts.append(ops.add(ops.log_softmax(inner(input), 1), scores[:, k : k + 1]))
        return ops.cat(parts, 1)

    def predict(self, input: Any) -> Any:
        """The likeliest class of each row, (N,)."""
        return ops.argmax(self.log_prob(input), 1)


def _picked(scores: Tensor, labels: Array) -> Tensor:
    """One score of each row."""
    return scores[np.arange(len(labels)), labels]
