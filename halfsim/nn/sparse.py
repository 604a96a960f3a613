"""Embedding: rows of a table that is learned, and sums of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import made_in, tensor
from halfsim.autograd.ops.embedding import padding
from halfsim.autograd.random import drawn_in, normal
from halfsim.autograd.tensor import Tensor
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter


class Embedding(Module):
    """The rows of weight (num_embeddings, embedding_dim) at integers of any shape; see `halfsim.ops.embedding`.

    The weight is drawn from the standard normal distribution; the row ``padding_idx`` is zero at first and takes
    no gradient. Other arguments are those of the operation. ``ValueError`` for sizes below 0.

    >>> Embedding(5, 3, padding_idx=-1)(np.array([[4, 4]])).numpy().tolist()
    [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding(padding_idx, num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        weight = _table(num_embeddings, embedding_dim, self.padding_idx, _weight)
        self.weight = Parameter(weight, requires_grad=not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer whose weight is ``embeddings`` (size, width), which takes no gradient unless ``freeze`` is false."""
        weight = _given(embeddings)
        (size, width), options = weight.shape, (max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(size, width, padding_idx, *options, weight, freeze)

    def forward(self, input: Any) -> Tensor:
        options = (self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)
        return ops.embedding(input, self.weight, self.padding_idx, *options)

    def extra_repr(self) -> str:
        return _told(self, padding_idx=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, sparse=False)


class EmbeddingBag(Module):
    """The sum, mean or maximum of rows of weight (num_embeddings, embedding_dim); see `halfsim.ops.embedding_bag`.

    The weight is drawn from the standard normal distribution; the row ``padding_idx`` is zero at first, is left out of
    every bag and takes no gradient. ``ValueError`` for sizes below 0 and for modes that do not fit.

    >>> EmbeddingBag(5, 3, mode="sum")(np.array([[4, 4]])).shape
    (1, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding(padding_idx, num_embeddings)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        self.weight = Parameter(_table(num_embeddings, embedding_dim, self.padding_idx, _weight))

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer whose weight is ``embeddings`` (size, width), which takes no gradient unless ``freeze`` is false."""
        weight = _given(embeddings)
        options = (max_norm, norm_type, scale_grad_by_freq, mode, sparse, weight, include_last_offset, padding_idx)
        layer = cls(weight.shape[0], weight.shape[1], *options)
        layer.weight.requires_grad = not freeze
        return layer

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        names = "max_norm norm_type scale_grad_by_freq mode sparse include_last_offset padding_idx"
        options: dict[str, Any] = {name: getattr(self, name) for name in names.split()}
        return ops.embedding_bag(input, self.weight, offsets, per_sample_weights=per_sample_weights, **options)

    def extra_repr(self) -> str:
        return _told(self, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="", padding_idx=None)


def _told(layer: Any, **usual: Any) -> str:
    """The sizes of a layer and the options that are not ``usual``, as PyTorch prints them."""
    told = {name: getattr(layer, name) for name, value in usual.items() if getattr(layer, name) != value}
    return ", ".join(
        [str(layer.num_embeddings), str(layer.embedding_dim), *(f"{name}={value!r}" for name, value in told.items())]
    )


def _table(size: int, width: int, padded: int | None, weight: Any) -> Tensor:
    """A table (size, width): ``weight``, or one that is drawn, with zeros in the row ``padded``."""
    for name, number in (("num_embeddings", size), ("embedding_dim", width)):
        if not isinstance(number, (int, np.integer)) or number < 0:
            raise ValueError(f"{name}: {number!r} is not allowed; allowed: integers from 0")
    if weight is not None:
        if np.shape(weight) != (size, width):
            raise ValueError(f"_weight: shape {np.shape(weight)} is not allowed; allowed: {(size, width)}")
        return weight
    fmt = made_in(None)
    values = normal((size, width), format=drawn_in(fmt))
    if padded is not None:
        values[padded] = 0
    return tensor(values, fmt)


def _given(embeddings: Any) -> Tensor:
    weight = embeddings if isinstance(embeddings, Tensor) else tensor(embeddings)
    if weight.ndim != 2:
        raise ValueError(f"embeddings: shape {weight.shape} is not allowed; allowed: (size, width)")
    return weight
