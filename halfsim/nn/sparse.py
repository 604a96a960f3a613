"""Embedding: rows of a table that is learned."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.ops.embedding import padding
from halfsim.autograd.random import generator
from halfsim.autograd.tensor import Tensor, tensor
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
        for name, size in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if not isinstance(size, (int, np.integer)) or size < 0:
                raise ValueError(f"{name}: {size!r} is not allowed; allowed: integers from 0")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding(padding_idx, num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        shape = (num_embeddings, embedding_dim)
        if _weight is None:
            values = generator().standard_normal(shape).astype("float32")
            if self.padding_idx is not None:
                values[self.padding_idx] = 0
            _weight = tensor(values)
        elif np.shape(_weight) != shape:
            raise ValueError(f"_weight: shape {np.shape(_weight)} is not allowed; allowed: {shape}")
        self.weight = Parameter(_weight, requires_grad=not _freeze)

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
        weight = embeddings if isinstance(embeddings, Tensor) else tensor(embeddings)
        if weight.ndim != 2:
            raise ValueError(f"embeddings: shape {weight.shape} is not allowed; allowed: (size, width)")
        (size, width), options = weight.shape, (max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(size, width, padding_idx, *options, weight, freeze)

    def forward(self, input: Any) -> Tensor:
        options = (self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)
        return ops.embedding(input, self.weight, self.padding_idx, *options)

    def extra_repr(self) -> str:
        padded = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padded}"
