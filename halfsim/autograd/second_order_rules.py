"""Gradients that are operations themselves, where a formula asks for more than elementary steps.

An operation that is linear in each operand has gradients that are linear in theirs: their own gradients are the
operation itself and its other gradients, run on other operands. So one formula serves at every order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.second_order import WAYS
from halfsim.autograd.tape import SPECS, Op, apply
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import Array

_PRODUCT: list[tuple[int, ...]] = [(0, 1), (2,)]
_MOVED: list[tuple[int, ...]] = [(0,)]
_BOTH: list[tuple[int, ...]] = [(0,), (1,)]

# Operations that are sums of terms: a term is linear in every operand listed, of which it is the product. An operand
# that no term lists takes no gradient.
TERMS: dict[str, list[tuple[int, ...]]] = {
    "adaptive_avg_pool1d": _MOVED,
    "adaptive_avg_pool2d": _MOVED,
    "adaptive_avg_pool3d": _MOVED,
    "avg_pool1d": _MOVED,
    "avg_pool2d": _MOVED,
    "avg_pool3d": _MOVED,
    "bilinear": [(0, 1, 2), (3,)],
    "channel_shuffle": _MOVED,
    "conv1d": _PRODUCT,
    "conv2d": _PRODUCT,
    "conv3d": _PRODUCT,
    "conv_transpose1d": _PRODUCT,
    "conv_transpose2d": _PRODUCT,
    "conv_transpose3d": _PRODUCT,
    "diag_embed": _MOVED,
    "diagonal": _MOVED,
    "fold": _MOVED,
    "getitem": _MOVED,
    "interpolate": _MOVED,
    "linalg_cross": [(0, 1)],
    "max_unpool": _MOVED,
    "masked_fill": _BOTH,
    "nll_loss": _MOVED,
    "pad": _MOVED,
    "pixel_shuffle": _MOVED,
    "pixel_unshuffle": _MOVED,
    "scatter_add": _BOTH,
    "setitem": _BOTH,
    "trace": _MOVED,
    "unfold": _MOVED,
    "unfold_dim": _MOVED,
    "upsample_nearest": _MOVED,
    "where": _BOTH,
}

# Reductions that choose: each element has a share of the gradient, which changes only where the choice does.
CHOICES = ("amax", "amin", "max", "min")


def slopes(
    fp: Any, spec: Op, given: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any], g: Tensor
) -> Callable[[int], Any] | None:
    """The gradient of each operand by its number, on the tape; None for an operation that is not of these."""
    again = getattr(spec.formula, "again", None)
    if again is not None:
        return lambda i: again(i, given, g)
    if spec.name in TERMS:
        return lambda i: slope_of(spec, i, options, keywords)(g, *given)
    if spec.name in CHOICES:
        share = _share(fp, spec, given[0], options, keywords, g)
        return lambda i: OPS["mul"](_spread(g, share.shape, *options, **keywords), Tensor(share, g.format))
    if spec.name in PICKS:
        found = PICKS[spec.name](spec, given[0], options, keywords, g)
        if found is not None:
            picked, where = found
            return lambda i: slope_of(SPECS["getitem"], 0, (where,), {})(picked, given[0])
    if spec.name in WRITTEN:
        return lambda i: WRITTEN[spec.name](given[0], g)
    return None


def _share(fp: Any, spec: Op, x: Tensor, options: Sequence[Any], keywords: dict[str, Any], g: Tensor) -> Array:
    """What each element has of the gradient of a reduction that chooses: 1, 0, or a part of 1 where several tie."""
    unit = Arithmetic(fp.precision)
    return np.asarray(spec.formula(unit, x.array, *options, **keywords)[1](unit, np.ones_like(g.array)))


def _spread(g: Tensor, shape: tuple[int, ...], axis: Any = None, keepdims: bool = False) -> Tensor:
    """The gradient of a reduction with its axes."""
    chosen = range(len(shape)) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = {int(i) % max(len(shape), 1) for i in chosen}
    return OPS["reshape"](g, tuple(1 if i in axes else n for i, n in enumerate(shape)))


def _won(spec: Op, x: Tensor, options: Sequence[Any], keywords: dict[str, Any], g: Tensor) -> Any:
    """The elements that the windows of a pooling picked."""
    found: list[Array] = []
    given = {**dict(zip(spec.options, options, strict=False)), **keywords, "found": found}
    spec.formula(Arithmetic(native(x.format)), x.array, **given)
    places, lead = found[0], x.ndim - int(given.get("name", spec.name)[-2])
    channels = np.arange(prod(x.shape[:lead])).reshape(*x.shape[:lead], *(1,) * (places.ndim - lead))
    return g, np.unravel_index(channels * prod(x.shape[lead:]) + places, x.shape)


def _rows(spec: Op, x: Tensor, options: Sequence[Any], keywords: dict[str, Any], g: Tensor) -> Any:
    """The rows of an embedding, and the gradient without that of padding."""
    given = {**dict(zip(spec.options, options, strict=False)), **keywords}
    if given.get("by_count"):
        return None
    where, padding = given["indices"], given.get("padding_idx")
    return g if padding is None else OPS["where"]((where != padding)[..., None], g, 0.0), (where,)


# Operations that pick elements by what these are: their gradients as those of elements picked by index.
PICKS: dict[str, Callable[..., Any]] = {
    "adaptive_max_pool": _won,
    "embedding": _rows,
    "max_pool1d": _won,
    "max_pool2d": _won,
    "max_pool3d": _won,
}


def _of_determinant(x: Tensor, g: Tensor) -> Any:
    scale = OPS["reshape"](OPS["mul"](g, OPS["det"](x)), (*g.shape, 1, 1))
    return OPS["mul"](scale, OPS["inv"](x).mT)


def _of_inverse(x: Tensor, g: Tensor) -> Any:
    turned = OPS["inv"](x).mT
    return OPS["neg"](OPS["matmul"](turned, OPS["matmul"](g, turned)))


WRITTEN: dict[str, Callable[[Tensor, Tensor], Any]] = {"det": _of_determinant, "inv": _of_inverse}


def slope_of(spec: Op, i: int, options: Sequence[Any], keywords: dict[str, Any]) -> Callable[..., Tensor]:
    """The gradient of the operand ``i`` of an operation of `TERMS` as an operation on ``g`` and the operands."""

    def pull(fp: Any, arrays: Sequence[Any], j: int, g: Array) -> Array:
        pullbacks = spec.formula(fp, *arrays, *options, **keywords)[1]
        slope = np.asarray((pullbacks if isinstance(pullbacks, tuple) else (pullbacks,))[j](fp, g))
        return fp.sum_to(slope, np.shape(arrays[j]))

    def formula(fp: Any, g: Array, *arrays: Any) -> Any:
        def forward(fp: Any, h: Array) -> Array:
            y = spec.formula(fp, *_alone(spec, arrays, i, h, np.zeros_like), *options, **keywords)[0]
            return np.asarray(y)

        def other(j: int) -> Callable[[Any, Array], Array]:
            if j == i or j not in term:
                return lambda fp, h: np.zeros_like(arrays[j])
            return lambda fp, h: pull(fp, [h if k == i else x for k, x in enumerate(arrays)], j, g)

        term = _term(spec, i)
        return pull(fp, arrays, i, g), (forward, *map(other, range(len(arrays))))

    def again(j: int, given: Sequence[Any], h: Tensor) -> Any:
        g, *operands = given
        term = _term(spec, i)
        if j == 0:
            return apply(spec, _alone(spec, operands, i, h, _zeros), options, keywords)
        if j - 1 == i or j - 1 not in term:
            return _zeros(operands[j - 1])
        return slope_of(spec, j - 1, options, keywords)(g, *(h if k == i else x for k, x in enumerate(operands)))

    formula.__name__, formula.again = spec.name, again  # type: ignore[attr-defined]
    made = Op(formula, spec.category, False, [])
    return lambda *operands: apply(made, operands)


def _term(spec: Op, i: int) -> tuple[int, ...]:
    return next(term for term in TERMS[spec.name] if i in term)


def _alone(spec: Op, arrays: Sequence[Any], i: int, h: Any, zeros: Callable[[Any], Any]) -> list[Any]:
    """The operands with ``h`` for the operand ``i``, and zeros for those of other terms."""
    term, terms = _term(spec, i), TERMS[spec.name]
    return [
        h if k == i else x if x is None or k in term or not any(k in other for other in terms) else zeros(x)
        for k, x in enumerate(arrays)
    ]


def _zeros(x: Any) -> Any:
    return Tensor(np.zeros_like(x.array), x.format) if isinstance(x, Tensor) else np.zeros_like(x)


WAYS.append(slopes)
