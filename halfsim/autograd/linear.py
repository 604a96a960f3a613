"""Gradients of gradients of operations that are linear in each operand, whatever their formulas ask for.

The gradient of such an operand is linear in the gradient ``g`` of the result and in the operands that it is multiplied
with, so it has gradients of the same two kinds: for ``g``, the operation itself on what comes in, put in the operand's
place; for another factor, that factor's gradient with what comes in put there. Each runs as one operation, with one
store, and may be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.policy import scope, scoped
from halfsim.autograd.second import RULES
from halfsim.autograd.tape import Node, Op, again, apply, pulled
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

Terms = tuple[tuple[int, ...], ...]

_ALONE: Terms = ((0,),)
_EITHER: Terms = ((0,), (1,))
_PRODUCT: Terms = ((0, 1), (2,))  # of the first two operands, plus the third

# The operands of each operation by the terms of the sum that it is: those of one term are multiplied.
TERMS: dict[str, Terms] = {
    **dict.fromkeys(
        ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
         "channel_shuffle", "diag_embed", "diagonal", "dropout", "embedding", "feature_dropout", "fold", "getitem",
         "interpolate", "max_unpool", "nll_loss", "pad", "pixel_shuffle", "pixel_unshuffle", "tile", "unfold",
         "unfold_dim", "upsample_nearest"), _ALONE,
    ),
    **dict.fromkeys(("masked_fill", "scatter_add", "setitem", "where"), _EITHER),
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _PRODUCT
    ),
    "bilinear": ((0, 1, 2), (3,)),
}  # fmt: skip

# Operations that choose among the elements of their operand; as long as the choice is the same, they are linear.
EXTREMES = ("amax", "amin", "max", "min")
POOLS = ("adaptive_max_pool", "max_pool1d", "max_pool2d", "max_pool3d")
TERMS.update(dict.fromkeys((*EXTREMES, *POOLS), _ALONE))

_EXCEPT = {"embedding": ("by_count", "padding_idx")}  # options with which the gradient is not the transpose


class _Call:
    """A call of an operation, and how to transpose it."""

    def __init__(self, node: Node, operands: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]) -> None:
        self.node, self.operands, self.options, self.keywords = node, list(operands), options, keywords

    def at(self, i: int, x: Any) -> _Call:
        """The call with ``x`` as its operand ``i``."""
        operands = [*self.operands[:i], x, *self.operands[i + 1 :]]
        return _Call(self.node, operands, self.options, self.keywords)

    def tangent(self, i: int, h: Tensor) -> Tensor:
        """The operation of ``h`` in the place of operand ``i``, without the terms that ``i`` is not in."""
        if self.node.op in EXTREMES:
            return self._of_extremes(h)
        if self.node.op in POOLS:
            return self._of_places(h)
        term = next(term for term in TERMS[self.node.op] if i in term)
        given = [
            h if j == i else x if x is None or j in term else np.zeros_like(plain(x))
            for j, x in enumerate(self.operands)
        ]
        return apply(self.node.spec, given, self.options, self.keywords, self.node.precision)

    def _of_extremes(self, h: Tensor) -> Tensor:
        """The elements of ``h`` that were chosen, equal ones by their shares: those that a gradient of 1 has."""
        y = apply(self.node.spec, [self.operands[0].detach()], self.options, self.keywords, self.node.precision)
        ones = Tensor(np.ones(y.shape, y.array.dtype), y.format)
        with scoped(gradients=False):
            share = self.transposed(0, ones)
        given = dict(zip(self.node.spec.options, self.options, strict=False)) | self.keywords
        axes = given.get("axis")
        return OPS["reshape"](OPS["sum"](OPS["mul"](h, share), axes), y.shape)

    def _of_places(self, h: Tensor) -> Tensor:
        """The elements of ``h`` where the windows of a pool have their largest."""
        given = dict(zip(self.node.spec.options, self.options, strict=False)) | self.keywords
        found: list[Array] = []
        given["found"] = found
        y = apply(self.node.spec, [self.operands[0].detach()], (), given, self.node.precision)
        lead = y.shape[: y.ndim - int(given.get("name", self.node.op)[-2])]
        places = found[0].reshape(*lead, -1)
        return OPS["reshape"](OPS["gather"](OPS["reshape"](h, (*lead, -1)), -1, places), y.shape)

    def transposed(self, i: int, g: Tensor, node: Node | None = None) -> Tensor:
        """The gradient of operand ``i``, on the tape; by the formulas of ``node``, or made anew."""
        node = node or again(self.node, self.operands, self.options, self.keywords)
        found = pulled(node, i, g, self.operands[i])
        term = next(term for term in TERMS[node.op] if i in term)
        factors = [j for j in term if j != i and _takes_gradient(self.operands[j])]
        inputs = [g, *(self.operands[j] for j in factors)]
        if scope().gradients and any(_takes_gradient(x) for x in inputs):
            back = _Back(self, i, g, factors)
            found.requires_grad = True
            found.node = Node(back.spec, node.path, node.precision, inputs, back.pullbacks, None, back.with_tape)
        return found


class _Back:
    """The gradients of a gradient."""

    def __init__(self, call: _Call, i: int, g: Tensor, factors: list[int]) -> None:
        self.call, self.i, self.g, self.factors = call, i, g, factors
        self.spec = Op(call.node.spec.formula, None, call.node.spec.exact, [])
        self.pullbacks = [self._pullback(k) for k in range(1 + len(factors))]

    def of(self, k: int, h: Tensor) -> Tensor:
        """The gradient of input ``k``: of ``g``, or of a factor."""
        if k == 0:
            return self.call.tangent(self.i, h)
        return self.call.at(self.i, h).transposed(self.factors[k - 1], self.g)

    def _pullback(self, k: int) -> Any:
        def pull(fp: Arithmetic, h: Array) -> Array:
            with scoped(gradients=False, phase="backward"):
                return self.of(k, Tensor(h, fp.precision.storage)).array

        return pull

    def with_tape(self, h: Tensor, wanted: Sequence[tuple[int, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """All of them, on the tape."""
        with scoped(gradients=True, phase="backward"):
            return [(x, self.of(k, h).to(x.format)) for k, x in wanted]


def _takes_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _rule(node: Node, g: Tensor, wanted: Sequence[tuple[int, Tensor]]) -> list[tuple[Tensor, Tensor]] | None:
    operands, options, keywords = node.call[:3]
    if any(keywords.get(name) not in (None, False) for name in _EXCEPT.get(node.op, ())):
        return None
    call = _Call(node, operands, options, keywords)
    return [(x, call.transposed(i, g, node)) for i, x in wanted]


RULES.update(dict.fromkeys(TERMS, _rule))
