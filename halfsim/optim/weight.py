"""What an update is added to: a parameter in its own format, or what a remedy puts beside it.

A weight in half precision does not move if its update is below half an ulp. Three remedies are known, one at a time:

- master weights: a float32 copy is updated, with a widened gradient, and rounded into the parameter;
- Kahan's compensation: what the parameter could not hold is kept in its own format and added to the next update,
  ``u = compensation + update; new = p + u; compensation = u + (p - new)``, every step a kernel;
- stochastic rounding: the update is computed in float32 and rounded once, up or down with a probability proportional
  to the distance, so that it is right on average.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.observer import active
from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import Array, holder, rounded
from halfsim.numerics.rounding import Stochastic
from halfsim.optim.kernels import narrowed


def as_format_of(x: Tensor, fmt: Format) -> Tensor:
    """``x`` in ``fmt``, off the tape, rounded where ``fmt`` is narrower."""
    if x.format == fmt:
        return x
    if fmt.contains(x.format):
        return Tensor(x.array.astype(holder(fmt), copy=False), fmt)
    return kernel("cast", x, precision=native(fmt))


class Weight:
    """A parameter under update, in its own format: every kernel rounds into it.

    ``value`` is what kernels read as the weight, ``format`` that of gradient and state.
    """

    def __init__(self, p: Tensor, state: dict[str, Any]) -> None:
        self.parameter, self.state = p, state
        self.value, self.format = p, p.format

    def zeros(self, fill: float = 0.0, shape: tuple[int, ...] | None = None) -> Tensor:
        """A state tensor of this weight's shape, or of ``shape``, every element ``fill`` as the format has it."""
        data = np.full(self.value.shape if shape is None else shape, fill, holder(self.format))
        return Tensor(rounded(data, self.format), self.format)

    def kept(self, key: str, fill: float = 0.0, shape: tuple[int, ...] | None = None) -> Tensor:
        """The state tensor ``key``, `zeros` at first."""
        known = self.state.get(key)
        return self.zeros(fill, shape) if known is None else known

    def moved(self) -> Tensor:
        """The weight with the updates so far, in the format of the state."""
        return self.value

    def add(self, name: str, *operands: Any, **options: Any) -> None:
        """Update by a kernel whose first operand, the addend, is the weight: "add", "addcdiv"."""
        self.value = kernel(name, self.value, *operands, label="param", **options)

    def decay(self, rate: float) -> None:
        """Multiply by ``1 - rate``."""
        before, self.value = self.value, kernel("mul", self.value, 1 - rate, label="param")
        observer = active()
        if observer is not None:
            observer.shrunk("decay", before, self.value)

    def settle(self) -> Tensor:
        """The parameter's new data, with what belongs to it put into the state."""
        return self.value

    def unmoved(self, new: Array) -> Array:
        """Where the update left nothing behind, neither in the ``new`` data nor in the state."""
        return self.value.array == self.parameter.array


class Master(Weight):
    """The float32 copy of a narrower parameter, in state "master"; ``trusted`` if it was its rounding a step ago."""

    def __init__(self, p: Tensor, state: dict[str, Any], trusted: bool) -> None:
        super().__init__(p, state)
        self.format = float32
        known = state.get("master")
        if known is None or not (trusted or np.array_equal(rounded(known.array, p.format), p.array, equal_nan=True)):
            known = Tensor(p.array.astype(np.float32), float32)  # at first, and when others wrote the parameter
        self.before = self.value = known

    def settle(self) -> Tensor:
        self.state["master"] = self.value
        return kernel("cast", self.value, precision=native(self.parameter.format), label="param")

    def unmoved(self, new: Array) -> Array:
        return self.value.array == self.before.array


class Kahan(Weight):
    """A parameter with state "compensation", what it could not hold of its updates, in its own format."""

    def __init__(self, p: Tensor, state: dict[str, Any]) -> None:
        super().__init__(p, state)
        self.before = self.change = self.kept("compensation")

    def add(self, name: str, *operands: Any, **options: Any) -> None:
        self.change = kernel(name, self.change, *operands, label="compensation", **options)

    def decay(self, rate: float) -> None:
        self.change = kernel("add", self.change, self.value, alpha=-rate, label="compensation")

    def moved(self) -> Tensor:
        return kernel("add", self.value, self.change, label="param")

    def settle(self) -> Tensor:
        p, u = self.parameter, self.change
        new = kernel("add", p, u, label="param")
        moved = kernel("sub", p, new, label="compensation")
        self.state["compensation"] = kernel("add", u, moved, label="compensation")
        return new

    def unmoved(self, new: Array) -> Array:
        return (new == self.parameter.array) & (self.state["compensation"].array == self.before.array)


class Dithered(Weight):
    """A parameter narrower than float32 whose update is computed there and rounded stochastically, once."""

    def __init__(self, p: Tensor, state: dict[str, Any], source: Stochastic) -> None:
        super().__init__(p, state)
        self.source = source
        self.value = Tensor(p.array.astype(np.float32, copy=False), float32)

    def moved(self) -> Tensor:
        return as_format_of(self.value, self.format)

    def settle(self) -> Tensor:
        return narrowed(self.value, self.parameter.format, self.source, "param")
