"""Products of matrices and vectors, and what is made of them."""

from __future__ import annotations

import string
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import as_category, axes_of, axis_of, named
from halfsim.autograd.ops.elementwise import div, mul
from halfsim.autograd.ops.reduce import norm, sum
from halfsim.autograd.ops.select import clamp
from halfsim.autograd.ops.shape import diagonal, expand, permute, reshape
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "bilinear",
    "bmm",
    "cosine_similarity",
    "dot",
    "einsum",
    "linear",
    "matmul",
    "mm",
    "mv",
    "normalize",
    "outer",
    "tensordot",
]


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


@op("fp16")
def matmul(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """``a @ b`` for (..., M, K) and (..., K, N); one-dimensional operands as in ``np.matmul``."""
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: at least one dimension each")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: (..., M, K) and (..., K, N)")
    left, right = a if a.ndim > 1 else a[None, :], b if b.ndim > 1 else b[:, None]
    y = fp.matmul(left, right)
    full, shape_a, shape_b = y.shape, a.shape, b.shape
    shape = full[:-2] + full[-2:-1] * (a.ndim > 1) + full[-1:] * (b.ndim > 1)
    return y.reshape(shape), (
        lambda fp, g: fp.sum_to(fp.matmul(g.reshape(full), _turned(right)), left.shape).reshape(shape_a),
        lambda fp, g: fp.sum_to(fp.matmul(_turned(left), g.reshape(full)), right.shape).reshape(shape_b),
    )


def mm(input: Any, mat2: Any) -> Tensor:
    """`matmul` of two matrices."""
    return _product("mm", input, mat2, (2, 2))


def mv(input: Any, vec: Any) -> Tensor:
    """`matmul` of a matrix and a vector."""
    return _product("mv", input, vec, (2, 1))


def bmm(input: Any, mat2: Any) -> Tensor:
    """`matmul` of two batches of matrices, (B, M, K) and (B, K, N)."""
    a, b = _shape(input), _shape(mat2)
    if a[:1] != b[:1]:
        raise ValueError(f"bmm: shapes {a} and {b} do not fit; allowed: (B, M, K) and (B, K, N)")
    return _product("bmm", input, mat2, (3, 3))


def _product(name: str, a: Any, b: Any, dimensions: tuple[int, int]) -> Tensor:
    shapes = _shape(a), _shape(b)
    if (len(shapes[0]), len(shapes[1])) != dimensions:
        allowed = " and ".join(f"{n} dimensions" for n in dimensions)
        raise ValueError(f"{name}: shapes {shapes[0]} and {shapes[1]} do not fit; allowed: {allowed}")
    return matmul(a, b)


def _shape(x: Any) -> tuple[int, ...]:
    return np.shape(plain(x))


@op("fp16")
def linear(fp: Arithmetic, x: Array, weight: Array, bias: Array | None = None, /) -> Any:
    """``x @ weight.T + bias`` for x (..., in), weight (out, in), bias (out): a product, then a sum.

    A weight (in,) goes with a 0-d bias and gives (...).
    """
    if weight.ndim not in (1, 2) or not x.ndim or x.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"linear: input {x.shape} does not fit weight {weight.shape}; allowed: (..., in) and (out, in)"
        )
    outs = weight.shape[:-1]
    if bias is not None and bias.shape != outs:
        raise ValueError(f"linear: bias {bias.shape} does not fit weight {weight.shape}; allowed: {outs}")
    rows, matrix = x.reshape(prod(x.shape[:-1]), x.shape[-1]), np.atleast_2d(weight)
    y = fp.matmul(rows, matrix.T)
    y = y if bias is None else fp.add(y, bias)
    shape, flat = x.shape, y.shape  # the formulas below must not hold y itself
    return y.reshape((*shape[:-1], *outs)), (
        lambda fp, g: fp.matmul(g.reshape(flat), matrix).reshape(shape),
        lambda fp, g: fp.matmul(g.reshape(flat).T, rows).reshape(weight.shape),
        lambda fp, g: fp.sum(g.reshape(flat), 0).reshape(outs),
    )


@op()
def dot(fp: Arithmetic, a: Array, b: Array, /) -> Any:
    """The sum of the products of two vectors (N,), accumulated as a matrix product."""
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot: shapes {a.shape} and {b.shape} do not fit; allowed: (N,) and (N,)")
    return fp.matmul(a[None], b[:, None]).reshape(()), (lambda fp, g: fp.mul(b, g), lambda fp, g: fp.mul(a, g))


def outer(input: Any, vec2: Any) -> Tensor:
    """The products of all pairs of two vectors, (N,) and (M,) giving (N, M): one `mul`."""
    return mul(reshape(input, (-1, 1)), reshape(vec2, (1, -1)))


@op()
def bilinear(fp: Arithmetic, input1: Array, input2: Array, weight: Array, bias: Array | None = None, /) -> Any:
    """``input1 @ weight[o] @ input2 + bias[o]`` for (..., I), (..., J), weight (O, I, J), bias (O,), giving (..., O).

    Steps: the product over I, that over J, the sum. Gradients: with ``s = g * input2`` a product over (O, J) for input1
    and one over the rows for weight; for input2 the product over I again and one over O.
    """
    x1, x2 = input1, input2
    if weight.ndim != 3 or x1.shape[-1:] != weight.shape[1:2] or x2.shape[-1:] != weight.shape[2:]:
        shapes = f"{x1.shape} and {x2.shape} do not fit weight {weight.shape}"
        raise ValueError(f"bilinear: inputs {shapes}; allowed: (..., I), (..., J), (O, I, J)")
    if x1.shape[:-1] != x2.shape[:-1]:
        raise ValueError(f"bilinear: inputs {x1.shape} and {x2.shape} do not fit; allowed: equal ones but for the last")
    outs, i, j = weight.shape
    if bias is not None and bias.shape != (outs,):
        raise ValueError(f"bilinear: bias {bias.shape} does not fit weight {weight.shape}; allowed: ({outs},)")
    a, b, lead = x1.reshape(prod(x1.shape[:-1]), i), x2.reshape(prod(x2.shape[:-1]), j), x1.shape[:-1]
    flat = weight.transpose(1, 0, 2).reshape(i, outs * j)

    def half(fp: Arithmetic) -> Array:
        return fp.matmul(a, flat).reshape(len(a), outs, j)

    def spread(fp: Arithmetic, g: Array) -> Array:
        return fp.mul(g.reshape(-1, outs, 1), b[:, None, :]).reshape(-1, outs * j)

    y = fp.matmul(half(fp), b[:, :, None]).reshape(-1, outs)
    y = y if bias is None else fp.add(y, bias)
    return y.reshape(*lead, outs), (
        lambda fp, g: fp.matmul(spread(fp, g), flat.T).reshape(*lead, i),
        lambda fp, g: fp.matmul(g.reshape(-1, 1, outs), half(fp)).reshape(*lead, j),
        lambda fp, g: fp.matmul(a.T, spread(fp, g)).reshape(i, outs, j).transpose(1, 0, 2),
        lambda fp, g: fp.sum(g.reshape(-1, outs), 0),
    )


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """``x / max(norm(x), eps)`` along ``dim``, composed of `norm`, `clamp`, `div`; eps is 0 in float16."""
    return div(input, clamp(norm(input, p, _axis(input, dim), keepdims=True), eps))


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``sum((x1 / max(n1, eps)) * (x2 / max(n2, eps)))`` along ``dim``, n the norms; composed of those operations.

    The bound is none to the gradient, as in PyTorch: it is that of the norm. Operands of different shapes are first
    broadcast, ``dim`` is an axis of the common shape. Under autocast all of it is float32.
    """
    shapes = _shape(x1), _shape(x2)
    if shapes[0] != shapes[1]:
        try:
            x1, x2 = (expand(x, np.broadcast_shapes(*shapes)) for x in (x1, x2))
        except ValueError:
            listed = "cosine_similarity: shapes {} and {} do not fit".format(*shapes)
            raise ValueError(f"{listed}; allowed: shapes that broadcast") from None
    a, b = (_unit(x, dim, eps) for x in as_category("fp32", x1, x2))
    return sum(mul(a, b), dim)


@op()
@named("at_least")
def at_least(fp: Arithmetic, x: Array, /, low: float) -> Any:
    return np.maximum(x, fp.constant(low)), lambda fp, g: g


def _unit(x: Any, dim: int, eps: float) -> Tensor:
    return div(x, at_least(norm(x, 2, _axis(x, dim), keepdims=True), eps))


def _axis(x: Any, dim: int) -> int:
    return axis_of(dim, np.ndim(plain(x)))


# Sums of products by Einstein's notation, as matrix products.


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products that ``equation`` names, as "ij,jk->ik" or "...ij,...jk->...ik".

    A letter twice in an operand takes its diagonal; letters that are in one operand and not in the result are summed
    first; then the operands are multiplied from the left, two at a time, each time by one `matmul`, so that under
    autocast all of it is half. Without "->" the result has the letters that occur once, in alphabetical order.
    ``ValueError`` for an equation that does not fit.

    >>> import numpy as np
    >>> einsum("ij,kj->ki", np.ones((2, 3)), np.ones((4, 3))).shape
    (4, 2)
    """
    if not isinstance(equation, str) or not operands:
        raise TypeError("einsum: allowed: an equation such as 'ij,jk->ik', then its operands")
    inputs, result = _parsed(equation, [np.shape(plain(x)) for x in operands])
    found = [_diagonals(x, letters) for x, letters in zip(as_category("fp16", *operands), inputs, strict=True)]
    for i, (x, letters) in enumerate(found):
        others = result + "".join(other for k, (_, other) in enumerate(found) if k != i)
        found[i] = _summed(x, letters, others)
    y, letters = found[0]
    for k, (x, other) in enumerate(found[1:], 2):
        y, letters = _pair(y, letters, x, other, result + "".join(later for _, later in found[k:]))
    return permute(y, [letters.index(c) for c in result]) if letters != result else y


def _parsed(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """Letters for every axis of every operand and of the result; those of an ellipsis are ones not in use."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    plain_letters = left.replace(",", "").replace("...", "")
    if len(terms) != len(shapes) or not (plain_letters + right.replace("...", "")).isascii():
        raise ValueError(f"equation: {equation!r} has {len(terms)} operands, not {len(shapes)}; allowed: as many")
    unused = [c for c in string.ascii_letters if c not in plain_letters]
    extra = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    longest = max([n for n, term in zip(extra, terms, strict=True) if "..." in term], default=0)
    inputs = []
    for term, shape, n in zip(terms, shapes, extra, strict=True):
        letters = term.replace("...", "".join(unused[longest - n : longest] if n > 0 else ""))
        if not (letters.isalpha() or not letters) or len(letters) != len(shape) or n < 0:
            raise ValueError(f"equation: {term!r} does not fit an operand {shape}; allowed: a letter for each axis")
        inputs.append(letters)
    dots = "".join(unused[:longest])
    once = "".join(sorted(c for c in set(plain_letters) if plain_letters.count(c) == 1))
    result = right.replace("...", dots) if arrow else dots + once
    if len(set(result)) != len(result) or set(result) - set("".join(inputs)):
        raise ValueError(f"equation: result {right!r} is not allowed; allowed: letters of the operands, each once")
    _check_lengths(equation, inputs, shapes)
    return inputs, result


def _check_lengths(equation: str, inputs: list[str], shapes: list[tuple[int, ...]]) -> None:
    lengths: dict[str, int] = {}
    for letters, shape in zip(inputs, shapes, strict=True):
        for c, n in zip(letters, shape, strict=True):
            if lengths.setdefault(c, n) != n and n != 1 != lengths[c]:
                raise ValueError(f"equation: {equation!r}: {c!r} has lengths {lengths[c]} and {n}; allowed: one length")
            lengths[c] = max(lengths[c], n) if n else 0


def _diagonals(x: Any, letters: str) -> tuple[Any, str]:
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            i = letters.index(c)
            k = letters.index(c, i + 1)
            x, letters = diagonal(x, 0, i, k), letters[:i] + letters[i + 1 : k] + letters[k + 1 :] + c
    return x, letters


def _summed(x: Any, letters: str, others: str) -> tuple[Any, str]:
    alone = tuple(i for i, c in enumerate(letters) if c not in others)
    return (sum(x, alone), "".join(c for c in letters if c in others)) if alone else (x, letters)


def _pair(a: Any, left: str, b: Any, right: str, wanted: str) -> tuple[Tensor, str]:
    """The product of two operands, summed over the letters that nobody wants any more."""
    shape_a, shape_b = (
        dict(zip(left, np.shape(plain(a)), strict=True)),
        dict(zip(right, np.shape(plain(b)), strict=True)),
    )
    shared = [c for c in left if c in right]
    inner = [c for c in shared if c not in wanted]
    a, left = _summed(a, left, "".join(c for c in left if c not in inner or shape_a[c] == shape_b[c]))
    b, right = _summed(b, right, "".join(c for c in right if c not in inner or shape_a[c] == shape_b[c]))
    inner = [c for c in inner if c in left and c in right]
    batch = [c for c in shared if c in wanted]
    rows, columns = [c for c in left if c not in shared], [c for c in right if c not in shared]
    x = permute(a, [left.index(c) for c in batch + rows + inner])
    y = permute(b, [right.index(c) for c in batch + inner + columns])
    m, k, n = (prod(d[c] for c in part) for d, part in ((shape_a, rows), (shape_a, inner), (shape_b, columns)))
    z = matmul(
        reshape(x, (*(shape_a[c] for c in batch), m, k)),
        reshape(y, (*(shape_b[c] for c in batch), k, n)),
    )
    lengths = [max(shape_a[c], shape_b[c]) if shape_a[c] and shape_b[c] else 0 for c in batch]
    full = [*lengths, *(shape_a[c] for c in rows), *(shape_b[c] for c in columns)]
    return reshape(z, tuple(full)), "".join(batch + rows + columns)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Tensor:
    """The product summed over the last ``dims`` axes of ``a`` and the first of ``b``, or over two lists of axes."""
    ndim_a, ndim_b = np.ndim(plain(a)), np.ndim(plain(b))
    if isinstance(dims, (int, np.integer)):
        dims = list(range(ndim_a - dims, ndim_a)), list(range(dims))
    mine, theirs = axes_of(tuple(dims[0]), ndim_a), axes_of(tuple(dims[1]), ndim_b)
    if len(mine) != len(theirs):
        raise ValueError(f"tensordot: {len(mine)} and {len(theirs)} axes do not fit; allowed: as many of each")
    left = list(string.ascii_letters[:ndim_a])
    right = list(string.ascii_letters[ndim_a : ndim_a + ndim_b])
    for i, k in zip(mine, theirs, strict=True):
        right[k] = left[i]
    kept = [c for c in left if c not in right] + [c for c in right if c not in left]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b)
