"""The gradients of a step, layer by layer: as they would be without bounds, and as they are at one loss scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import numpy as np

from halfsim.autograd.scope import scope
from halfsim.autograd.tape import Node, Op
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.counted import Counted
from halfsim.diagnose.scale.result import EXPONENTS, LayerScale
from halfsim.numerics.flags import FlagCounts, report
from halfsim.numerics.formats import Format, float64
from halfsim.numerics.quantize import Array
from halfsim.text import place_name

Key = tuple[str, str]  # of a layer: module path, and the name of the format that its gradients are stored in


@dataclass
class Tally:
    """How many gradients of a layer are what; of ``rounded`` ones their own rounding made ``flushed`` zero."""

    zeros: int = 0
    nonzero: int = 0
    subnormal: int = 0
    broken: int = 0  # infinite or NaN
    flushed: int = 0
    rounded: int = 0

    def add(self, g: Array, fmt: Format) -> None:
        """Count the gradients in ``g``."""
        finite = np.isfinite(g)
        magnitudes = np.abs(g[finite])
        nonzero = magnitudes[magnitudes != 0]
        self.zeros += magnitudes.size - nonzero.size
        self.nonzero += nonzero.size
        self.subnormal += int(np.count_nonzero(nonzero < fmt.smallest_normal))
        self.broken += g.size - magnitudes.size

    @property
    def size(self) -> int:
        """How many there are in all."""
        return self.zeros + self.nonzero + self.broken


class Gradients(Counted):
    """Sees all gradients that are stored in the formats ``narrow``, which it knows by name.

    ``tallies`` has what became of them by layer; sums with the gradients of an earlier ``backward()`` call are no part
    of it, for they are without loss scale. ``scale`` is the first that a GradScaler took a step at, 1 without one.
    """

    def __init__(self, narrow: Mapping[str, Format]) -> None:
        self._narrow = narrow
        self.tallies: dict[Key, Tally] = {}
        self.scale: float | None = None
        self._stored: dict[tuple[str, str], Format] = {}  # by path and operation
        self._phase = ""
        self._later = False  # whether gradients of two backward passes are being added
        self._scaled: Tensor | None = None  # the latest loss that a GradScaler has scaled
        self._starts = True  # whether the gradient that a pass begins with is stored in half

    def result(self, spec: Op, fp: Any, out: Tensor, *rest: Any) -> None:
        """Note the format of a forward result, and count a result of the backward pass itself."""
        here, counts = scope(), fp.finished(out.array)
        report(counts, spec.name)
        if here.phase == "forward":
            self._stored[here.path, spec.name] = out.format
            self._forward(place_name(spec.name, here.path), out)
        elif here.phase == "backward":
            self._backward(here.path, spec.name, counts, out)
        self._phase = here.phase

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Any]]) -> None:
        """Count the gradients of an operation's operands."""
        for _, _, grad, fp in found:
            if self._phase != "backward" and self._starts:  # the first gradient is that of no operation
                self._found(node.path, self._stored.get((node.path, node.op), grad.format), g.array)
            self._phase, counts = "backward", fp.finished(grad.array)
            report(counts, node.op)
            self._backward(node.path, node.op, counts, grad)

    def total(self, path: str, x: Tensor, fp: Any, total: Tensor, a: Tensor, b: Tensor) -> None:
        """Count the sum of two gradients; one of an earlier pass is the leaf's own."""
        counts = fp.finished(total.array)
        report(counts, "accumulate")
        self._later = x.node is None and x.grad is a
        self._backward(path, "accumulate", counts, total)
        self._later = False

    def scaled(self, loss: Tensor, scale: float) -> None:
        """Remember the loss: a GradScaler keeps one that is one number in float32."""
        self._scaled = loss

    def begins(self, root: Tensor) -> None:
        """Note whether a pass begins at a loss that was scaled."""
        self._starts = root is not self._scaled

    def note_scale(self, scale: float, skipped: bool) -> None:
        """Remember the first scale."""
        self.scale = scale if self.scale is None else self.scale

    def _backward(self, path: str, op: str, counts: FlagCounts, grad: Tensor) -> None:
        stored = self._stored.get((path, op), grad.format)
        tally = self._found(path, stored if stored.name in self._narrow else grad.format, grad.array)
        if tally is not None and not self._later:
            tally.flushed += counts.flushed
            tally.rounded += counts.nonzero

    def _found(self, path: str, stored: Format, g: Any) -> Tally | None:
        fmt = self._narrow.get(stored.name)
        if fmt is None or g is None:
            return None
        tally = self.tallies.setdefault((path, fmt.name), Tally())
        if not self._later:
            tally.add(g, fmt)
        self._count((path, fmt.name), fmt, g)
        return tally

    def _count(self, key: Key, fmt: Format, g: Array) -> None:
        """Take note of gradients, those of several passes too."""

    def _forward(self, place: str, y: Tensor) -> None:
        """Take note of a result."""


class Scaled(Gradients):
    """Gradients as they are under a loss scale ``factor``: it multiplies them at the loss and divides them at the end.

    The end are the tensors that no operation made, such as parameters: what they receive is as without a loss scale.
    Call `release` when the step is over.
    """

    def __init__(self, narrow: Mapping[str, Format], factor: float) -> None:
        super().__init__(narrow)
        self.factor = factor
        self._hooks: dict[int, tuple[Tensor, Any]] = {}  # by the tensor's id, which is not given twice while it is held

    def begins(self, root: Tensor) -> None:
        """Multiply the gradient of ``root``, as that of a scaled loss is, and divide those that arrive."""
        super().begins(root)
        if self.factor != 1:
            self._times(root, self.factor)
            for leaf in _leaves(root):
                self._times(leaf, 1 / self.factor)

    def _times(self, x: Tensor, factor: float) -> None:
        if id(x) not in self._hooks:
            self._hooks[id(x)] = x, x.register_hook(lambda g: Tensor(g.array * np.float64(factor), float64))

    def release(self) -> None:
        """Let go of the tensors."""
        for _, handle in self._hooks.values():
            handle.remove()
        self._hooks.clear()


def _leaves(root: Tensor) -> Iterator[Tensor]:
    seen, stack = {id(root)}, [root]
    while stack:
        x = stack.pop()
        if x.node is None:
            if x is not root:
                yield x
            continue
        for y in x.node.inputs or ():
            if isinstance(y, Tensor) and y.requires_grad and id(y) not in seen:
                seen.add(id(y))
                stack.append(y)


class Found:
    """The gradients of one layer in one format, by exponent."""

    def __init__(self, path: str, fmt: Format) -> None:
        self.path, self.format = path, fmt
        self.floors = np.zeros(2 * EXPONENTS, np.int64)
        self.ceilings = np.zeros(2 * EXPONENTS, np.int64)
        self.largest = self.smallest = 0.0
        self.zeros = 0

    def add(self, g: Array) -> None:
        """Count the gradients in ``g``."""
        magnitudes = np.abs(g[np.isfinite(g) & (g != 0)], dtype=np.float64)
        self.zeros += int(np.count_nonzero(g == 0))
        if not magnitudes.size:
            return
        mantissas, exponents = np.frexp(magnitudes)
        self.floors += np.bincount(exponents - 1 + EXPONENTS, minlength=2 * EXPONENTS)
        self.ceilings += np.bincount(exponents - (mantissas == 0.5) + EXPONENTS, minlength=2 * EXPONENTS)
        low = float(magnitudes.min())
        self.smallest = min(self.smallest, low) if self.smallest else low
        self.largest = max(self.largest, float(magnitudes.max()))

    def row(self, lost: float, given: float, flushes: bool) -> LayerScale:
        """The loss scales for these gradients, which contain the scale ``given``, a power of two, already."""
        shift = -round(log2(given))
        counts = np.roll(self.floors, shift), np.roll(self.ceilings, shift)
        extremes = self.smallest / given, self.largest / given
        return LayerScale.of(self.path, self.format, counts, extremes, self.zeros, lost=lost, flushes=flushes)


class Unbounded(Gradients):
    """Gradients of a run in formats without bounds, which take the place of formats that have them.

    ``narrow`` maps the names of the former to the latter. ``overflows`` is True where the forward pass itself passes
    the largest number of one, so that no loss scale helps.
    """

    def __init__(self, narrow: Mapping[str, Format]) -> None:
        super().__init__(narrow)
        self.layers: dict[Key, Found] = {}
        self.notes: list[str] = []
        self.overflows = False

    def _count(self, key: Key, fmt: Format, g: Array) -> None:
        self.layers.setdefault(key, Found(key[0], fmt)).add(g)
        if not np.isfinite(g).all():
            self._note(f"Some gradients in {key[0] or 'no module'} are infinite or NaN at any scale, and not counted.")

    def _forward(self, place: str, y: Tensor) -> None:
        fmt = self._narrow.get(y.format.name)
        if fmt is not None and y.size and np.abs(y.array).max() >= fmt.overflow_threshold:
            self._note(f"The forward pass overflows {fmt}, first in {place}: no loss scale mends that.")
            self.overflows = True

    def _note(self, text: str) -> None:
        if not self.notes:
            self.notes.append(text)
