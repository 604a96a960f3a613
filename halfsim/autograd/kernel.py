"""Operations off the tape: what optimizers, gradient clipping and loss scaling run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from halfsim.autograd.policy import resolve_for
from halfsim.autograd.tape import SPECS, Op, apply
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.precision import Precision


def private(formula: Callable[..., Any], exact: bool = False) -> Op:
    """An operation that only kernels run: it has no gradient and no name in `halfsim.ops`."""
    operands = [p for p in inspect.signature(formula).parameters.values() if p.kind is p.POSITIONAL_ONLY]
    return Op(formula, None, exact, operands[1:])


def kernel(op: str | Op, *operands: Any, label: str = "", precision: Precision | None = None, **options: Any) -> Tensor:
    """One operation, in the precision of tensors that stay in the first operand's format, or in ``precision``.

    It should run under ``scoped(gradients=False)``; ``label`` names the result in the trace.
    """
    spec = SPECS[op] if isinstance(op, str) else op
    return apply(spec, operands, (), options, precision or resolve_for(operands[0].format), label)
