"""Matrices made of diagonals and of blocks, and what is read off their diagonals."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import as_tensor, axis_of
from halfsim.autograd.ops.join import cat
from halfsim.autograd.ops.scan import cumprod
from halfsim.autograd.ops.shape import diagonal as _diagonal
from halfsim.autograd.ops.shape import expand, flip, pad, reshape, unsqueeze
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.quantize import Array

__all__ = ["block_diag", "corrcoef", "cov", "diag", "diag_embed", "diagflat", "linalg_vander", "trace", "vander"]


@op()
def trace(fp: Arithmetic, x: Array, /) -> Any:
    """The sum of the diagonal of a matrix."""
    if x.ndim != 2:
        raise ValueError(f"trace: shape {x.shape} is not allowed; allowed: two dimensions")
    on = np.eye(*x.shape, dtype=np.bool_)
    return fp.sum(np.diagonal(x)), lambda fp, g: fp.keep(np.broadcast_to(g, on.shape), on)


@op(exact=True)
def diag_embed(fp: Arithmetic, x: Array, /, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in the axes ``dim1`` and ``dim2`` of the result, with the last axis of ``x`` on a diagonal.

    >>> from halfsim import tensor
    >>> diag_embed(tensor([1.0, 2.0]), 1)
    tensor([[0., 1., 0.],
            [0., 0., 2.],
            [0., 0., 0.]], float32)
    """
    if not x.ndim:
        raise ValueError("diag_embed: a number is not allowed; allowed: at least one dimension")
    pair = axis_of(dim1, x.ndim + 1), axis_of(dim2, x.ndim + 1)
    if pair[0] == pair[1]:
        raise ValueError(f"diag_embed: dim1={dim1}, dim2={dim2} are one axis; allowed: two axes")
    side, i = x.shape[-1] + abs(offset), np.arange(x.shape[-1])
    full = np.zeros((*x.shape[:-1], side, side), x.dtype)
    full[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return np.moveaxis(full, (-2, -1), pair), lambda fp, g: np.diagonal(g, offset, *pair)


def diag(input: Any, diagonal: int = 0) -> Tensor:
    """A matrix with the vector ``input`` on a diagonal, or a diagonal of the matrix ``input``."""
    ndim = np.ndim(plain(input))
    if ndim not in (1, 2):
        raise ValueError(f"diag: an input of {ndim} dimensions is not allowed; allowed: one or two")
    return diag_embed(input, diagonal) if ndim == 1 else _diagonal(input, diagonal)


def diagflat(input: Any, offset: int = 0) -> Tensor:
    """A matrix with the elements of ``input`` in C order on a diagonal."""
    return diag_embed(reshape(input, -1), offset)


def block_diag(*tensors: Any) -> Tensor:
    """The matrices (vectors are rows, numbers are (1, 1)) as blocks along a diagonal, zeros elsewhere.

    >>> from halfsim import tensor
    >>> block_diag(tensor([[1.0, 2.0]]), tensor(3.0))
    tensor([[1., 2., 0.],
            [0., 0., 3.]], float32)
    """
    if any(np.ndim(plain(x)) > 2 for x in tensors):
        raise ValueError("block_diag: more than two dimensions are not allowed; allowed: matrices, vectors, numbers")
    if not tensors:
        return as_tensor(np.zeros((1, 0), np.float32))
    blocks = [reshape(x, (1, -1)) if np.ndim(plain(x)) < 2 else as_tensor(x) for x in tensors]
    ends = np.cumsum([x.shape[1] for x in blocks]).tolist()
    return cat([pad(x, (end - x.shape[1], ends[-1] - end)) for x, end in zip(blocks, ends, strict=True)], 0)


def linalg_vander(x: Any, N: int | None = None) -> Tensor:  # noqa: N803  # PyTorch's name
    """`torch.linalg.vander`: the powers 0, 1, ... N - 1 (as many as elements) of the last axis, by `cumprod`.

    >>> from halfsim import tensor
    >>> linalg_vander(tensor([2.0, 3.0]), 3)
    tensor([[1., 2., 4.],
            [1., 3., 9.]], float32)
    """
    shape = np.shape(plain(x))
    count = shape[-1] if N is None and shape else N
    if count is None or count <= 1:
        raise ValueError(f"vander: N={N} of an input {shape} is not allowed; allowed: N above 1")
    return _powers(x if shape else reshape(x, 1), count)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803  # PyTorch's name
    """The powers of a vector's elements, the highest first unless ``increasing``; see `linalg_vander`."""
    shape = np.shape(plain(x))
    if len(shape) != 1 or (N is not None and N < 0):
        raise ValueError(f"vander: N={N} of an input {shape} is not allowed; allowed: a vector, N from 0")
    y = _powers(x, shape[0] if N is None else N)
    return y if increasing else flip(y, 1)


def _powers(x: Any, count: int) -> Tensor:
    given = np.asarray(plain(x))
    shape = given.shape
    if count > 1 << 24:
        raise ValueError(f"vander: N={count} is not allowed; allowed: up to {1 << 24}")
    if not count:
        return as_tensor(np.zeros((*shape, 0), given.dtype), x)
    ones = as_tensor(np.ones((*shape, 1), given.dtype), x)
    return cat([ones, cumprod(expand(unsqueeze(x, -1), (*shape, count - 1)), -1)], -1)


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """The covariances (N, N) of the rows of (N, M): differences from the means, their products, over M - correction.

    Composed of `mean`, `sub`, `matmul` and `div`. ``fweights`` (M,) count how often a column occurs, ``aweights`` (M,)
    how much it is worth: with the weight w their product, and W their sum, means and products are weighted by w and the
    divisor is ``W - correction * sum(w * aweights) / W``, composed of `mul`, `sum` and `div`.
    """
    shape = np.shape(plain(input))
    if len(shape) > 2:
        raise ValueError(f"cov: input {shape} is not allowed; allowed: (N, M), (M,), a number")
    rows = reshape(input, (1, -1)) if len(shape) < 2 else as_tensor(input)
    w = _weights(rows.shape[1], fweights, aweights)
    if w is None:
        d = OPS["sub"](rows, OPS["mean"](rows, 1, keepdim=True))
        y = OPS["div"](OPS["matmul"](d, OPS["transpose"](d)), float(max(rows.shape[1] - correction, 0)))
    else:
        total = OPS["sum"](w)
        d = OPS["sub"](rows, OPS["div"](OPS["sum"](OPS["mul"](rows, w), 1, keepdim=True), total))
        loss = w if aweights is None else OPS["mul"](w, aweights)
        free = OPS["sub"](total, OPS["div"](OPS["mul"](OPS["sum"](loss), correction), total))
        y = OPS["div"](OPS["matmul"](d, OPS["transpose"](OPS["mul"](d, w))), OPS["relu"](free))
    return reshape(y, ()) if len(rows.array) == 1 else y


def _weights(count: int, fweights: Any, aweights: Any) -> Any:
    """The weight (count,) of each column, None without any."""
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is None:
            continue
        x = numbers(given)
        if x.shape != (count,) or (x < 0).any():
            raise ValueError(
                f"{name}: shape {x.shape} or a negative weight is not allowed; allowed: ({count},), from 0"
            )
        if (x.dtype.kind in "iu") != (name == "fweights"):
            raise TypeError(f"{name}: {x.dtype} is not allowed; allowed: integers for fweights, floats for aweights")
    if fweights is None or aweights is None:
        return aweights if fweights is None else as_tensor(fweights)
    return OPS["mul"](fweights, aweights)


def corrcoef(input: Any) -> Tensor:
    """The correlations (N, N) of the rows of (N, M): `cov` over the deviations of both, within -1 and 1."""
    c = cov(input)
    if not c.ndim:
        return OPS["div"](c, c)
    deviation = OPS["sqrt"](_diagonal(c))
    y = OPS["div"](OPS["div"](c, unsqueeze(deviation, 1)), unsqueeze(deviation, 0))
    return OPS["clamp"](y, -1.0, 1.0)
