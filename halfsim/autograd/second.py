"""Gradients of gradients: an operation's one formula run on tensors, so that its steps go on the tape themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from halfsim.autograd.operators import OPS
from halfsim.autograd.policy import scoped
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision, replace_roles

if TYPE_CHECKING:
    from halfsim.autograd.tape import Node


# Operations by name whose gradients have gradients by a rule of their own; it gives None for options it does not know.
Rule = Callable[["Node", Tensor, Sequence[tuple[int, Tensor]]], "list[tuple[Tensor, Tensor]] | None"]
RULES: dict[str, Rule] = {}


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


def on_tape(node: Node, g: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What `_pull` finds, with gradients that are on the tape themselves: the formula run on tensors.

    ``RuntimeError`` for an operation whose formula asks for more than elementary steps.
    """
    assert node.inputs is not None
    wanted = [(i, x) for i, x in enumerate(node.inputs) if isinstance(x, Tensor) and x.requires_grad]
    if callable(node.call):
        return node.call(g, wanted)
    ruled = RULES[node.op](node, g, wanted) if node.op in RULES else None
    if ruled is not None:
        return ruled
    fp, (operands, options, keywords) = OnTape(node.precision), node.call
    given = [x.to(fp.precision.storage) if isinstance(x, Tensor) else x for x in operands]
    try:
        with scoped(rule=fp.precision, base="", phase="on tape", gradients=True):
            _, pullbacks = node.spec.formula(fp, *given, *options, **keywords)
            pullbacks = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
            start = g.to(fp.precision.storage)
            found = [(x, fp.sum_to(pullbacks[i](fp, start), x.shape)) for i, x in wanted]
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        raise RuntimeError(f"create_graph: the gradient of {node.op} has none here ({error})") from None
    return [(x, grad.to(node.precision.storage).to(x.format)) for x, grad in found]
