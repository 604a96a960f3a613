"""`hs.loss_scale_range`: the loss scales by which gradients neither overflow nor vanish, and the layers that decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import log2
from typing import Any

import numpy as np

from halfsim.amp import GradScaler
from halfsim.autograd.policy import Policy, Rule, as_rule
from halfsim.autograd.tape import SPECS
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.trace import Trace
from halfsim.diagnose.compare.runs import within
from halfsim.diagnose.scale.result import EXPONENTS, LayerScale, LossScaleRange
from halfsim.diagnose.snapshot import Snapshot, closed_over, listed
from halfsim.nn.module import Module
from halfsim.numerics.formats import Format, bfloat16, float16, float32, float64
from halfsim.numerics.precision import FP32, PRESETS, Precision, replace_roles
from halfsim.numerics.quantize import Array
from halfsim.optim import Optimizer

_WIDE = "wide "  # before a format's name: the same precision, with exponents from -510 to 511


def loss_scale_range(
    step: Callable[[], Any],
    precision: object = "fp16",
    *,
    lost: float = 0.001,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
    seed: int | None = None,
) -> LossScaleRange:
    """The powers of two by which the loss may be multiplied before ``backward()`` under ``precision``.

    ``step`` takes nothing, computes a loss and calls ``backward()`` on it; it may update weights too, and take several
    steps. It is called once, under ``precision`` with exponents without bounds, so that every gradient, activations'
    too, is seen as it would be at any scale, rounded to as many digits. ``high`` is the largest scale by which none
    overflows; ``low`` the smallest by which, in every layer, at most the share ``lost`` of the nonzero gradients become
    zero (or, where the precision flushes subnormals, subnormal); ``normal`` that by which at most so many become zero
    or subnormal. State is kept and restored as in `halfsim.compare`. If ``step`` scales the loss by a GradScaler
    and updates that, its scale is counted in. Of "amp" and other policies gradients count where an operation stores
    in half. What overflows inside an operation, as a sum under ``pure_fp16`` may, is not seen. ``ValueError`` where
    no backward pass is run, and for ``lost`` outside 0 to 1.

    >>> import halfsim as hs
    >>> x = hs.tensor([1.0, 1.0], requires_grad=True)
    >>> found = loss_scale_range(lambda: (x * [2.0**-20, 2.0**-30]).sum().backward())
    >>> found.low == 2.0**6, found.high == 2.0**15
    (True, True)
    """
    rule = as_rule(precision)
    if not callable(step):
        raise TypeError(f"step: {type(step).__name__} is not allowed; allowed: a function without arguments")
    if not 0 <= lost < 1:
        raise ValueError(f"lost: {lost} is not allowed; allowed: shares from 0 to below 1")
    kinds = ((model, Module, "model"), (optimizer, Optimizer, "optimizer"), (scaler, GradScaler, "scaler"))
    parts = [item for given in kinds for item in listed(*given)]
    formats = storages(rule)
    snapshot, gradients = (
        Snapshot(*parts, *closed_over(step)),
        Gradients({wide(f).name: f for f in formats if wide(f) != f}),
    )
    try:
        snapshot.restore(max(map(wide, formats), key=lambda fmt: fmt.precision))
        within(step, unbounded(rule), gradients, snapshot, seed)
    finally:
        snapshot.restore()
    if not gradients.layers:
        raise ValueError("step: no gradient was stored in half; allowed: a function that calls backward()")
    given = gradients.scales[0][1] if gradients.scales else 1.0
    flushes = isinstance(rule, Precision) and rule.subnormals != "keep"
    layers = tuple(found.row(lost, given, flushes) for found in gradients.layers.values())
    name = next((name for name, preset in PRESETS.items() if preset == rule), str(rule))
    return LossScaleRange(name, lost, layers, tuple(gradients.notes))


def storages(rule: Rule) -> list[Format]:
    """The formats narrower than float32 that a rule stores in, or its only one."""
    if isinstance(rule, Precision):
        return [rule.storage]
    bases = [rule.default, *(base for _, base in rule.rules)]
    found = [b.storage if isinstance(b, Precision) else bfloat16 if b == "amp_bf16" else float16 for b in bases]
    return [fmt for fmt in dict.fromkeys(found) if not fmt.contains(float32)] or found[:1]


def wide(fmt: Format) -> Format:
    """``fmt`` with exponents without bounds; float64, and what is wide, are as they are."""
    if fmt == float64 or fmt.name.startswith(_WIDE):
        return fmt
    return Format(_WIDE + fmt.name, exponent_bits=10, precision=fmt.precision)


def unbounded(rule: Rule) -> Rule:
    """A rule that rounds to the same digits and never overflows in storage."""
    if isinstance(rule, Precision):
        return _unbounded(rule)
    rules: dict[str, object] = {"default": rule.default}
    if isinstance(rule.default, Precision):
        rules["default"] = _unbounded(rule.default)
    elif rule.default != "promote":  # lists have names only; what they say can be said by operation
        half = _unbounded(PRESETS["bf16" if rule.default == "amp_bf16" else "fp16"])
        listed = {f"@{name}": half if op.category == "fp16" else FP32 for name, op in SPECS.items() if op.category}
        rules = {"default": "promote", **listed}
    given = {key: _unbounded(base) if isinstance(base, Precision) else base for key, base in rule.rules}
    return Policy({**rules, **given})


def _unbounded(p: Precision) -> Precision:
    """Float32 inside an operation stays: what a kernel computes in is no matter of the loss scale."""
    roles: dict[str, Any] = {"storage": wide(p.storage), "operands": wide(p.operands), "overflow": "infinity"}
    if p.compute not in (float32, float64):
        roles["compute"] = wide(p.compute)
    if p.accumulate.order != "exact" and p.accumulate.format not in (float32, float64):
        roles["accumulate"] = replace(p.accumulate, format=wide(p.accumulate.format))
    return replace_roles(p, **roles, subnormals="keep")


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
        """What it says of the scales, if the loss had been multiplied by ``given`` (a power of two) already."""
        shift = -round(log2(given))
        counts = np.roll(self.floors, shift), np.roll(self.ceilings, shift)
        extremes = self.smallest / given, self.largest / given
        return LayerScale.of(self.path, self.format, counts, extremes, self.zeros, lost=lost, flushes=flushes)


class Gradients(Trace):
    """A trace that sees all gradients that are stored in a wide format."""

    def __init__(self, narrow: Mapping[str, Format]) -> None:
        super().__init__()
        self._narrow = narrow  # the formats by the names of their wide forms
        self.layers: dict[tuple[str, str], Found] = {}
        self.notes: list[str] = []
        self._stored: dict[tuple[str, str], Format] = {}  # by path and operation
        self._phase = ""

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        """Count one event's gradients."""
        super().record(event, arrays)
        if not arrays or "result" not in arrays:
            return
        here = event.path, event.op
        if event.phase == "forward":
            self._stored[here] = event.format
            self._look(event, arrays["result"])
        elif event.phase == "backward":
            stored = self._stored.get(here, event.format)
            if self._phase != "backward":  # the gradient that the pass begins with is that of no operation
                self._count(event.path, stored, arrays.get("gradient"))
            self._count(event.path, stored if stored.name in self._narrow else event.format, arrays["result"])
        self._phase = event.phase

    def _count(self, path: str, stored: Format, g: Any) -> None:
        fmt = self._narrow.get(stored.name)
        if fmt is None or g is None:
            return
        self.layers.setdefault((path, fmt.name), Found(path, fmt)).add(g)
        if not np.isfinite(g).all():
            self._note(f"Some gradients in {path or 'no module'} are infinite or NaN at any scale, and not counted.")

    def _look(self, event: Event, y: Array) -> None:
        fmt = self._narrow.get(event.format.name)
        if fmt is not None and y.size and np.abs(y).max() >= fmt.max * (1 + fmt.epsneg / 2):
            self._note(f"The forward pass overflows {fmt}, first in {event.place}: no loss scale mends that.")

    def _note(self, text: str) -> None:
        if not self.notes:
            self.notes.append(text)
