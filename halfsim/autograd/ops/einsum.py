"""Sums of products by Einstein's notation, as matrix products."""

from __future__ import annotations

import string
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.ops._common import as_category, axes_of
from halfsim.autograd.ops.elementwise import mul
from halfsim.autograd.ops.linalg import matmul
from halfsim.autograd.ops.reduce import sum
from halfsim.autograd.ops.shape import diagonal, permute, reshape
from halfsim.autograd.tape import widest
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.formats import Integer, whole
from halfsim.options import shown

__all__ = ["einsum", "inner", "tensordot"]


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
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or not operands:
        raise TypeError("einsum: allowed: an equation such as 'ij,jk->ik', then its operands")
    inputs, result = _parsed(equation, [np.shape(plain(x)) for x in operands])
    given = operands if isinstance(widest(operands), Integer) else as_category("fp16", *operands)
    found = [_diagonals(x, letters) for x, letters in zip(given, inputs, strict=True)]
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
    if not isinstance(dims, (list, tuple)):
        count = whole("dims", dims)
        if not 0 <= count <= min(ndim_a, ndim_b):
            allowed = f"0 to {min(ndim_a, ndim_b)}, two lists of axes"
            raise ValueError(f"tensordot: {shown(dims)} axes are not allowed; allowed: {allowed}")
        dims = list(range(ndim_a - count, ndim_a)), list(range(count))
    mine, theirs = axes_of(tuple(dims[0]), ndim_a), axes_of(tuple(dims[1]), ndim_b)
    if len(mine) != len(theirs):
        raise ValueError(f"tensordot: {len(mine)} and {len(theirs)} axes do not fit; allowed: as many of each")
    left = list(string.ascii_letters[:ndim_a])
    right = list(string.ascii_letters[ndim_a : ndim_a + ndim_b])
    for i, k in zip(mine, theirs, strict=True):
        right[k] = left[i]
    kept = [c for c in left if c not in right] + [c for c in right if c not in left]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b)


def inner(input: Any, other: Any) -> Tensor:
    """The products summed over the last axis of both; of a number and anything the product.

    >>> import numpy as np
    >>> inner(np.ones((2, 3)), np.ones((4, 3))).shape
    (2, 4)
    """
    if not np.ndim(plain(input)) or not np.ndim(plain(other)):
        return mul(input, other)
    if np.shape(plain(input))[-1] != np.shape(plain(other))[-1]:
        shapes = f"{np.shape(plain(input))} and {np.shape(plain(other))}"
        raise ValueError(f"inner: shapes {shapes} do not fit; allowed: one length of the last axis")
    return tensordot(input, other, ([-1], [-1]))
