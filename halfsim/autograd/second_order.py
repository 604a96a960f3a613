"""Gradients of gradients: an operation's one formula run on tensors, so that its steps go on the tape themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.scope import scoped
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision, replace_roles
from halfsim.numerics.quantize import Array, holder
from halfsim.numerics.rounding import Stochastic

if TYPE_CHECKING:
    from halfsim.autograd.tape import Node


# Asked first, for formulas that are more than steps; `halfsim.autograd.second_order_rules` adds its way.
WAYS: list[Callable[..., Callable[[int], Any] | None]] = []


class OnTape:
    """A unit whose steps are operations on the tape: a formula run with it gives gradients that have gradients.

    Each step is rounded to ``compute``, as it is otherwise, and a whole formula's result to ``storage``.
    """

    def __init__(self, precision: Precision) -> None:
        self.precision = replace_roles(precision, storage=precision.compute)

    def __getattr__(self, name: str) -> Callable[..., Tensor]:
        """An elementary step by its name: that operation."""
        return lambda *operands: OPS[name](*operands)

    def function(self, name: str, *operands: Any) -> Tensor:
        """A function by its name."""
        return OPS[name](*operands)

    def log(self, x: Any, base: str = "log") -> Tensor:
        """The logarithm of that name."""
        return OPS[base](x)

    def keep(self, x: Any, mask: Any) -> Tensor:
        """``x`` where ``mask`` is true and 0 elsewhere."""
        return OPS["where"](mask, x, 0.0)

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The sum over axes, of which () are none."""
        return x if axis == () else OPS["sum"](x, axis, keepdims)

    def cumsum(self, x: Any, axis: int) -> Tensor:
        """The running sums."""
        return OPS["cumsum"](x, axis)

    def sum_to(self, x: Any, shape: tuple[int, ...]) -> Tensor:
        """The sum over the axes that broadcasting added to ``shape``."""
        extra = x.ndim - len(shape)
        axes = tuple(i for i in range(x.ndim) if i < extra or (shape[i - extra] == 1 != x.shape[i]))
        return OPS["reshape"](self.sum(x, axes), shape)

    def read(self, x: Any, fmt: Format | None = None, exact: bool = False) -> Any:
        """Values as they are."""
        return x

    spill = operand = read

    def constant(self, value: float) -> float:
        """A number as it is."""
        return value


def _constant(x: Any, array: Any, fmt: Format) -> Any:
    """An operand without a gradient, as the operation read it."""
    if isinstance(x, Tensor):
        return Tensor(array.astype(holder(fmt), copy=False), fmt)
    return array if isinstance(x, np.ndarray) else x


def _same(node: Node, x: Tensor, array: Array) -> Tensor:
    """``x``, if it still has the values that the operation read."""
    precision = node.precision
    if x.array is not array and not isinstance(precision.rounding, Stochastic):
        now = Arithmetic(precision).read(x.array, x.format, bool(node.spec.exact))
        if not np.array_equal(now, array, equal_nan=True):
            raise RuntimeError(f"create_graph: an operand of {node.op} was changed since; allowed: x.clone() before it")
    return x


def _formula(fp: OnTape, node: Node, given: Sequence[Any], g: Tensor) -> Callable[[int], Any]:
    """The gradient of each operand, by the formula run on tensors."""
    pullbacks = node.spec.formula(fp, *given, *node.call[1], **node.call[2])[1]
    pullbacks = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
    return lambda i: pullbacks[i](fp, g)


def on_tape(node: Node, g: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What `_pull` finds, with gradients that are on the tape themselves: the formula run on tensors.

    ``RuntimeError`` for an operation whose formula asks for more than elementary steps, and for one whose operand has
    other values now.
    """
    wanted = [(i, x) for i, x in enumerate(node.inputs or ()) if isinstance(x, Tensor) and x.requires_grad]
    if callable(node.call):
        return node.call(g, wanted)
    fp, (operands, options, keywords, arrays) = OnTape(node.precision), node.call
    given = [_constant(x, array, fp.precision.storage) for x, array in zip(operands, arrays, strict=True)]
    for i, x in wanted:
        given[i] = _same(node, x, arrays[i]).to(fp.precision.storage)
    try:
        with scoped(rule=fp.precision, base="", phase="on tape", gradients=True):
            start = g.to(fp.precision.storage)
            found_ways = (way(fp, node.spec, given, options, keywords, start) for way in WAYS)
            slope = next(filter(None, found_ways), None) or _formula(fp, node, given, start)
            found = [(x, fp.sum_to(slope(i), x.shape)) for i, x in wanted]
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        raise RuntimeError(f"create_graph: the gradient of {node.op} has none here ({error})") from None
    return [(x, grad.to(node.precision.storage).to(x.format)) for x, grad in found]
