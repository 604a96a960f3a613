"""`halfsim.reveal`: how a product or a sum is formed, from outputs for chosen inputs alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.diagnose.reveal import measure
from halfsim.diagnose.reveal.box import SHAPE, Box, takes_two
from halfsim.diagnose.reveal.candidates import on_grid, product_words, same, sum_words, unit_class
from halfsim.diagnose.reveal.result import Revealed
from halfsim.diagnose.reveal.tree import Node, order_of, replayed, words
from halfsim.numerics.formats import Format, float32, whole
from halfsim.options import shown

_ROWS = 32  # random sums that a tree is checked by
_MOST = 1 << 26  # numbers in one of the matrices that a product is asked for, and in all arrays of a sum


def reveal(f: Callable[..., Any], length: int = 512, *, shape: tuple[int, int] = SHAPE) -> Revealed:
    """How ``f`` adds: the order as a tree, the accumulator's bits and rounding, and whose unit gives the same bits.

    ``f(a, b)`` is a product of two matrices, which is given float32 arrays (M, K) and (K, N), ``shape`` being (M, N),
    for libraries choose kernels by shape; or ``f(x)`` is the sum of an array (K,). What needs tensors of an imported
    PyTorch gets these. It must give the same for the same inputs, and form every element alike. K is ``length`` where
    the order is looked for, less where the accumulator is too narrow to count so many terms. Inputs are finite;
    results may overflow. Hypotheses that outputs cannot tell apart are all listed, and what no output shows is said to
    be so. ``TypeError`` for what takes neither one array nor two, ``ValueError`` for a ``length`` below 8, a ``shape``
    with a number below 1, matrices of more than 2^26 numbers, and what does not add. The order is found as in FPRev
    (arXiv 2411.00442).

    >>> import numpy as np
    >>> reveal(lambda x: np.add.accumulate(x)[-1], 64).order
    'sequential'
    """
    shape = _sized(length, shape)
    box = Box(f, takes_two(f), shape)
    found = measure.kept(box, length)
    fmt = measure.sum_format(found)
    given = measure.given_format(found)
    taken = measure.taken(box, length, found)
    fused = measure.fused(box, length, taken.digits, found.stored) if box.product else None
    unit = unit_class(box, length, given) if box.product else None
    n, small = _countable(found, min(length, 128) if unit else length)
    notes, tree = [], None
    if found.stored is None:
        notes.append("every order gives the same, for nothing is lost before the end")
    elif n < 4:
        notes.append(f"the order does not show: numbers from 2^{found.bottom} to 2^{found.top} are too few for it")
    else:
        if n < (min(length, 128) if unit else length):
            notes.append(f"the order was looked for with {n} terms")
        try:
            tree = order_of(box, n, 2.0**found.top, small)
        except ValueError as error:
            notes.append(f"the order does not show: {str(error).partition(': ')[2].partition(';')[0]}")
    named = (product_words if box.product else sum_words)(box, length, fmt, taken.format, given)
    checked = None
    if tree is not None and fmt == float32:
        checked = _checked(box, tree, n, bool(fused), taken.format, given)
    if checked and checked[0] < checked[1]:
        notes.append(f"{checked[1] - checked[0]} of {checked[1]} random sums are not those of this order in float32: "
                     "not all steps are alike, or not every element is formed so")  # fmt: skip
    return Revealed(
        box.product, shape if box.product else None, n if tree else length, words(tree) if tree else "", tree, found,
        taken, fused, unit, tuple(named), checked, box.calls, tuple(notes),
    )  # fmt: skip


def _sized(length: int, shape: tuple[int, int]) -> tuple[int, int]:
    """``shape`` as two integers; refused where the matrices of a product would be none, or very large."""
    told = "the rows and columns of a product, each 1 or more"
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"shape: {shown(shape)} is not allowed; allowed: {told}")
    rows, columns = [whole("shape", n) for n in shape] if len(shape) == 2 else (0, 0)
    if min(rows, columns) < 1:
        raise ValueError(f"shape: {shown(tuple(shape))} is not allowed; allowed: {told}")
    if length < 8:
        raise ValueError(f"length: {length} is not allowed; allowed: 8 terms or more")
    if max(rows, columns, 64) * length > _MOST or rows * columns > _MOST:
        name, got = ("shape", (rows, columns)) if max(rows, columns) > max(64, length) else ("length", length)
        raise ValueError(f"{name}: {got} is not allowed; allowed: matrices of up to {_MOST:,} numbers")
    return rows, columns


def _countable(found: measure.Kept, length: int) -> tuple[int, float]:
    """How many terms the accumulator can count beside a large one that swallows them, and how small they are.

    Below a power of two numbers lie twice as dense, so that the terms must be smaller by one bit more.
    """
    if found.stored is None or found.inside is None:
        return 0, 0.0
    n = min(length, 2 ** (min(found.stored, found.given) + 1))
    least = max(found.stored + 2, found.inside)
    while n > 3 and found.top - least - int(np.ceil(np.log2(n))) < found.bottom:
        n = 1 << (n - 1).bit_length() - 1
    return n, 2.0 ** (found.top - least - int(np.ceil(np.log2(max(n, 2)))))


def _checked(
    box: Box, tree: Node, n: int, fused: bool, grid: Format | None, given: Format | None
) -> tuple[int, int] | None:
    """How many random sums the tree gives bit for bit in float32; None for one of more than two terms at once."""
    if any(len(node.children) > 2 for node in tree.bottom_up()):
        return None
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((2, _ROWS, n)).astype(np.float32)
    b = b if box.product else np.ones_like(b)
    # Of a product in other columns than the first ones too, which may be formed otherwise.
    out = np.diagonal(box.whole(a, b.T)) if box.product else box.pairs(a, b)
    mine = replayed(tree, on_grid(a, grid), on_grid(b, grid), fused)
    return sum(same(x, y, given) for x, y in zip(out, mine, strict=True)), _ROWS
