"""What an observer is told that is no operation: tensors made, weights moved, averages, constants, loss scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfsim.autograd.policy import PROMOTE
from halfsim.autograd.scope import scope
from halfsim.autograd.tensor import Flushed, Tensor
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Constant, Event, Stage
from halfsim.autograd.trace.follow import Following
from halfsim.autograd.trace.kinds import finite
from halfsim.autograd.trace.missing import faint
from halfsim.autograd.trace.sample import SAMPLE
from halfsim.autograd.trace.shadow import Shadow, met, shadow_of
from halfsim.autograd.trace.whole_numbers import positions
from halfsim.frames import Line, caller
from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array, lacking


class Noting(Following):
    """Makes events of tensors made of numbers, of optimizers, of averages and of loss scales."""

    def note(self, op: str, tensor: str, shape: tuple[int, ...], counts: Counts, **facts: Any) -> Event:
        """Record something that is no operation, in the scope in force."""
        here = scope()
        self.serial += 1
        facts = {"line": caller(), "rule": here.rule if here.rule is not PROMOTE else self.rule, **facts}
        event = Event(self.step, here.phase, here.path, op, tensor, shape, counts, serial=self.serial, **facts)
        self.record(event)
        return event

    def given(self, values: Array, made: Tensor, known: bool) -> None:
        """Note what a tensor's format did to the numbers given for it, and NaN that no operation made."""
        y, fmt = made.array, made.format
        event, wide = None, None
        if not known and self.reference is not None:
            wide = values.astype(np.float64)
        nan = np.isnan(values)
        there = not known and bool(nan.any())
        inexact = int(np.count_nonzero((y != values) & ~nan))
        if inexact or there:
            counts = Counts(size=values.size, nonzero=int(np.count_nonzero(values)), inexact=inexact)
            numbers = np.isfinite(values)
            infinite, became = (
                int(np.count_nonzero(np.isinf(y) & numbers)),
                int(np.count_nonzero(np.isnan(y) & numbers)),
            )
            counts.invalid = 0 if fmt.minus_zero else int(np.count_nonzero(lacking(values, fmt)))
            became -= counts.invalid if fmt.has_nan else 0
            counts.clipped = 0 if fmt.has_special else int(np.count_nonzero(np.abs(values) >= fmt.overflow_threshold))
            counts.overflow = infinite + became + counts.clipped
            counts.flushed = int(np.count_nonzero((y == 0) & (values != 0)))
            stage = Stage("store", fmt, values.size, infinite, became, counts.clipped, counts.flushed, counts.nonzero)
            if values.size > 1 and not there and positions(values):
                counts.integers = inexact
            lost = _constant_of(values, y, fmt) if values.size == 1 and not there else None
            event = self.note(
                "tensor", made.name, made.shape, counts, format=fmt, given="NaN" if there else "", lost=lost,
                stages=(stage,) if stage.past or stage.flushed else (),
                magnitude=float(np.abs(y).sum(dtype=np.float64)),
            )  # fmt: skip
        if event is not None or wide is not None:
            shadow = made.shadow = Shadow(self, y, not finite(y), twin=wide, rounded=inexact > 0, names=())
            if event is not None:
                shadow.broken = event if shadow.nonfinite and (event.counts.overflow or there) else None
                shadow.given = shadow.nonfinite and shadow.broken is None
                shadow.zeros = event if event.counts.flushed else None
                shadow.off = event if event.counts.integers else None
                shadow.constant = event if event.lost is not None else None
                if shadow.broken is not None:
                    self.fates.setdefault(event.serial, [0, 0, 0])[0] += 1
                    shadow.least = float(fmt.max)
                if values.size <= SAMPLE and not (event.counts.overflow or there):
                    shadow.exact = np.array(values, np.float64)
                    dim = faint(y, shadow.exact, fmt)
                    shadow.faint = None if dim is None else (replace(event, detail=dim), shadow.exact)
            shadow.mark()

    def recalled(self, x: Tensor, found: Flushed) -> Shadow:
        """What is known of a tensor whose numbers became zero before the trace began."""
        counts = Counts(size=x.size, nonzero=found.nonzero, inexact=found.lost, flushed=found.lost)
        stage = Stage("store", x.format, x.size, flushed=found.lost, nonzero=found.nonzero)
        event = self.note(
            "tensor", x.name, x.shape, counts, format=x.format, stages=(stage,), line=found.line,
            magnitude=float(np.abs(x.array).sum(dtype=np.float64)),
        )  # fmt: skip
        return Shadow(self, x.array, zeros=event, rounded=True, nonfinite=not finite(x.array), dirty=True)

    def rounded(self, x: Array, y: Array, flags: Array, fmt: Format, label: str) -> None:
        counts = Counts(size=x.size, nonzero=int(np.count_nonzero(x)))
        for flag in (Flag.INEXACT, Flag.UNDERFLOW, Flag.OVERFLOW):
            setattr(counts, str(flag.name).lower(), int(np.count_nonzero(flags & flag)))
        counts.flushed = int(np.count_nonzero((y == 0) & (x != 0)))
        self.note("round_to", label, x.shape, counts, format=fmt)

    def updated(self, p: Tensor, same: Array, direction: Tensor, own: bool = False) -> None:
        """Count how many finite weights a nonzero direction left as they were, with a gradient and in all."""
        if p.grad is None:
            return
        known = shadow_of(p.grad, self)
        if known is not None and known.mixed is not None:
            self._misused("accumulate", p.name, *known.mixed)
        elif known is not None and known.scale != 1.0:
            text = (
                f"step() was taken on gradients that still contain the loss scale {known.scale:g}, without unscale_()"
            )
            self._misused("step", p.name, text, {"scale": known.scale})
        meant = direction.array != 0
        if not finite(p.array):
            meant &= np.isfinite(p.array)
        same &= meant
        counts = Counts(size=p.size, updates=int(np.count_nonzero(meant)), lost=int(np.count_nonzero(same)))
        if direction.array is p.grad.array:
            counts.addends, counts.swamped = counts.updates, counts.lost
        else:
            live = p.grad.array != 0
            counts.addends, counts.swamped = int(np.count_nonzero(meant & live)), int(np.count_nonzero(same & live))
        counts.stalled = counts.swamped
        g = p.grad.array
        largest = float(max(g.max(initial=0), -g.min(initial=0)))  # without an array of magnitudes
        detail = {"step": "of the user's own"} if own else None
        self.note("update", "", p.shape, counts, format=p.format, magnitude=largest, detail=detail)

    def shrunk(self, op: str, before: Tensor, after: Tensor) -> None:
        """Count how many finite nonzero weights a step that shrinks them all left as they were."""
        meant = (before.array != 0) & np.isfinite(before.array)
        counts = Counts(size=before.size, addends=int(np.count_nonzero(meant)))
        counts.swamped = counts.stalled = int(np.count_nonzero(meant & (before.array == after.array)))
        self.note(op, "", before.shape, counts, format=after.format)

    def averaged(self, before: Array, after: Array, goal: Array, fmt: Format, label: str) -> None:
        """Count how many averages stayed as they were, more than 1 % from their goal."""
        gap, size = np.abs(goal - before), np.maximum(np.abs(goal), np.abs(before))
        apart = (gap > 0.01 * size) & np.isfinite(gap)
        counts = Counts(size=after.size, addends=int(np.count_nonzero(apart)))
        counts.swamped = counts.stalled = int(np.count_nonzero(apart & (after == before)))
        self.note("average", label, after.shape, counts, format=fmt)

    def hyperparameter(self, op: str, name: str, value: float, fmt: Format) -> None:
        """Note a hyper-parameter that a format makes zero or infinite."""
        small, large = 0 < value <= fmt.smallest_subnormal / 2, fmt.overflow_threshold <= value
        if small or large:
            counts = Counts(size=1, nonzero=1, inexact=1)
            counts.underflow = counts.flushed = int(small)
            counts.overflow = int(large)
            lost = Constant(f"{name} =", float(value), fmt, 0.0 if small else np.inf)
            self.note(op, name, (), counts, lost=lost, format=fmt)

    # Loss scales.

    def scaled(self, loss: Tensor, scale: float) -> None:
        known = met(loss, self)
        if known is not None:
            known.scale = scale
            if known.nonfinite:
                self.loss_broken = self.loss_broken or known.broken

    def unscaled(self, p: Tensor, scale: float) -> None:
        known = met(p.grad, self)
        if known is not None:
            known.scale = 1.0

    def clipped(self, leaves: Sequence[Tensor], norm: Tensor | None) -> None:
        """Gradients that still contain the loss scale are clipped to far less than was meant."""
        scales = [s.scale for p in leaves if (s := shadow_of(p.grad, self)) is not None]
        scale = max(scales, default=1.0)
        if scale > 1.0:
            length = "" if norm is None else f", of norm {norm.item():.3g},"
            text = f"gradients{length} were clipped that still contain the loss scale {scale:g}: unscale_() comes first"
            name = "clip_grad_value_" if norm is None else "clip_grad_norm_"
            self._misused(name, "", text, {"scale": scale, "norm": None if norm is None else norm.item()})

    def _misused(self, op: str, name: str, text: str, numbers: dict[str, Any], line: Line | None = None) -> None:
        counts = Counts(size=1)
        phase = "backward" if op == "accumulate" else "optimizer"
        here = scope()
        self.serial += 1
        event = Event(
            self.step, phase, name if op == "step" else here.path, op, "", (), counts, serial=self.serial,
            line=line or caller(), rule=self.rule, detail={"text": text, **numbers},
        )  # fmt: skip
        self.record(event)


def _constant_of(values: Array, y: Array, fmt: Format) -> Constant | None:
    """A single number that ``fmt`` turned into 0, 1 or infinity."""
    given, became = float(values.reshape(-1)[0]), float(y.reshape(-1)[0])
    if given == became or not (became == 0 or abs(became) == 1 or not np.isfinite(became)):
        return None
    return Constant("number", given, fmt, became)
