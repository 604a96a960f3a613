"""The observer behind a trace: every result becomes an event, measured against a reference where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.policy import PROMOTE
from halfsim.autograd.scope import scope
from halfsim.autograd.tape import Node, Op
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.counting import Counting
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Error, Event
from halfsim.autograd.trace.follow import DIVIDE, FOLLOWED, ROOTS, TAKE_MASKS
from halfsim.autograd.trace.kinds import FLUSHED_SHARE, finite
from halfsim.autograd.trace.missing import faint
from halfsim.autograd.trace.notes import Noting
from halfsim.autograd.trace.sample import SAMPLE, exponents, magnitude, subnormals
from halfsim.autograd.trace.shadow import NAMES, Shadow, earliest, error, evaluate, met, own_values, shadow_of, twin
from halfsim.frames import Line, caller
from halfsim.numerics.flags import report, watching
from halfsim.numerics.precision import FP64
from halfsim.numerics.quantize import Array


class Watching(Noting):
    """What every trace does with an operation's result; `record` is left to those that keep something."""

    def result(
        self, spec: Op, fp: Arithmetic, out: Tensor, operands: Sequence[Any], arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]], label: str,
    ) -> Any:  # fmt: skip
        """Note an operation.

        Backward hands back its gradients in the reference precision, the line, and where infinities of it began.
        """
        local = total = wide = pullbacks = None
        here, line = scope(), caller()
        if self.reference is not None:
            twins = [None if x is None else twin(x, self) for x in operands]
            wide, pullbacks = evaluate(spec.formula, self.reference, twins, options)
            total = error(out.array, wide, out.format)
            if spec.exact:
                local = Error(0.0, 0.0, 0.0)
            elif self.locally:
                exact, _ = evaluate(spec.formula, self.reference, [own_values(x) for x in operands], options)
                local = error(out.array, exact, out.format)
        names = [*spec.operands, *("operand" for _ in operands)]
        counts = self._tell(
            fp, (here.phase, here.path, spec.name, label), out, dict(zip(names, arrays, strict=False)), operands,
            operands, bool(spec.exact), True, (local, total), wide, line,
        )  # fmt: skip
        if watching():
            report(counts, spec.name)
        if spec.exact or spec.name == "sqrt":
            self._as_given(spec, out, operands, options)
        if out.shadow.nonfinite and out.shadow.broken is not None and out.size <= FOLLOWED:
            self._unbroken(spec, out, operands, options, bool(counts.overflow))
        known = out.shadow
        return pullbacks, line, known.broken if known.nonfinite else None

    def _as_given(self, spec: Op, out: Tensor, operands: Sequence[Any], options: Any) -> None:
        """Move and choose the numbers that were given for a tensor's values with these."""
        given, made = [shadow_of(x, self) for x in operands], out.shadow

        def moved(known: Sequence[Array | None]) -> Array:
            exact = [own_values(x) if known[i] is None else known[i] for i, x in enumerate(operands)]
            return evaluate(spec.formula, FP64, exact, options)[0]

        exact = [None if s is None else s.exact for s in given]
        if spec.exact and any(x is not None for x in exact):
            made.exact = moved(exact)
        dim = [None if s is None else s.faint for s in given]
        first = next((found for found in dim if found is not None), None)
        if first is not None:
            made.faint, made.dirty = (first[0], moved([None if found is None else found[1] for found in dim])), True

    def _unbroken(self, spec: Op, out: Tensor, operands: Sequence[Any], options: Any, overflows: bool) -> None:
        """Follow what would be where numbers are infinite; where that is past the largest too, it must be mended too.

        An overflow hides others behind it: they show only once the first is mended.
        """
        known = [shadow_of(x, self) for x in operands]
        hidden = any(s is not None and s.unbroken is not None for s in known)
        if not (overflows or hidden):
            return
        exact = [
            own_values(x) if s is None or s.unbroken is None else s.unbroken
            for x, s in zip(operands, known, strict=True)
        ]
        made, (y, _) = out.shadow, evaluate(spec.formula, FP64, exact, options)
        if not np.isfinite(y).all():
            return
        made.unbroken = y
        if hidden and float(np.abs(y).max(initial=0)) >= out.format.overflow_threshold:
            self._read_again(made)

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        """Note the gradients of an operation's operands."""
        twins, line, broken, *_ = node.seen or (None, None, None)
        pairs = self._in_reference(node, twins, g, [(i, x) for i, x, _, _ in found])
        for (_, x, grad, fp), (wide, exact) in zip(found, pairs, strict=True):
            square, errors = 0.0, (None, None)
            if x.node is None:
                flat = grad.array.reshape(-1)
                square = float(np.dot(flat, flat))
            if wide is not None:
                here = None if exact is None else error(grad.array, exact, grad.format)
                errors = here, error(grad.array, wide, grad.format)  # type: ignore[assignment]
            place = ("backward", node.path, node.op, x.name.rpartition(".")[2])
            counts = self._tell(
                fp,
                place,
                grad,
                {"gradient": g.array},
                [g, *(node.inputs or ())],
                [g],
                False,
                False,
                errors,
                wide,
                line,
                square,
                broken,
            )
            if x.node is None:
                grad.shadow.scale = self.loss_scale
            if watching():
                report(counts, node.op)

    def _in_reference(
        self, node: Node, twins: Any, g: Tensor, wanted: Sequence[tuple[int, Tensor]]
    ) -> list[tuple[Any, Any]]:
        """For each operand its gradient in the reference precision, and that of these very numbers, unrounded."""
        if self.reference is None or twins is None:
            return [(None, None)] * len(wanted)
        fp, given = Arithmetic(self.reference), twin(g, self)
        ways = [(twins, given), (node.pullbacks, own_values(g))] if self.locally else [(twins, given)]
        found = [
            [fp.sum_to(np.asarray(pullbacks[i](fp, start), np.float64), x.shape) for i, x in wanted]
            for pullbacks, start in ways
        ]
        return list(zip(found[0], found[1] if self.locally else [None] * len(wanted), strict=True))

    def total(self, path: str, x: Tensor, fp: Arithmetic, total: Tensor, a: Tensor, b: Tensor) -> None:
        """Note the sum of two gradients; two that contain different loss scales do not add up."""
        twins: Any = None
        errors: tuple[Error | None, Error | None] = (None, None)
        if self.reference is not None:
            twins = twin(a, self) + twin(b, self)
            local = error(total.array, own_values(a) + own_values(b), total.format) if self.locally else None
            errors = local, error(total.array, twins, total.format)
        place, name = ("backward", path, "accumulate", x.name.rpartition(".")[2]), x.name or "a tensor"
        counts = self._tell(
            fp, place, total, {"a": a.array, "b": b.array}, [a, b], [a, b], False, False, errors, twins, caller()
        )
        of_a, of_b = shadow_of(a, self), shadow_of(b, self)
        if x.node is None and of_a is not None and of_b is not None:
            total.shadow.scale = of_b.scale
            if of_a.scale != of_b.scale:
                text = (
                    f"gradients that contain a loss scale of {of_b.scale:g} were added to those of {name}, which "
                    f"contain {of_a.scale:g}: unscale_() came before the last backward()"
                )
                total.shadow.mixed = text, {"scale": of_b.scale, "scale before": of_a.scale}, caller()
        if watching():
            report(counts, "accumulate")

    def begins(self, root: Tensor) -> None:
        known = shadow_of(root, self)
        self.loss_scale = 1.0 if known is None else known.scale

    def _tell(
        self, fp: Any, place: tuple[str, str, str, str], out: Tensor, arrays: dict[str, Any], sources: Sequence[Any],
        consumed: Sequence[Any], exact: bool, called: bool, errors: tuple[Error | None, Error | None],
        wide: Array | None, line: Line | None, square: float = 0.0, behind: Event | None = None,
    ) -> Counts:  # fmt: skip
        """Make an event of a result, and leave on it what will be asked: where its trouble began, and its twin."""
        assert isinstance(fp, Counting)
        y, op, here = out.array, place[2], scope()
        counts, seen, lost = fp.finished(y), exponents(y), fp.lost_constant
        counts.subnormals = subnormals(y, seen, out.format)
        parts = self._parts(op, sources) if called and op in ("add", "sub") and y.size <= FOLLOWED else ()
        if parts is None or len(parts) == 1:  # a compensation, which is meant to cancel
            counts.cancelled = counts.annulled = counts.single = 0
        known = [s for x in sources if (s := met(x, self)) is not None]
        lacking = None
        if (fp.addition is not None or any(s.missing is not None for s in known)) and (
            place[0] == "forward" or not place[3]
        ):
            lacking = self._missing(fp, y, op, sources)
        if self.rule is None and here.rule is not PROMOTE:
            self.rule = here.rule
        broken = zeros = constant = off = None
        if dirty := [s for s in known if s.dirty]:
            broken = earliest(s.broken for s in dirty if s.nonfinite) or earliest(s.broken for s in dirty)
            zeros, off = earliest(s.zeros for s in dirty), earliest(s.off for s in dirty)
            constant = earliest(s.constant for s in dirty)
        if op in TAKE_MASKS and counts.divide_by_zero and any(s.given for s in known):
            counts.divide_by_zero = 0  # the logarithm of a sum that is masked altogether
        pole = bool(counts.divide_by_zero or counts.invalid)
        sampled = y.size > SAMPLE and (pole or counts.overflow or any(s.nonfinite for s in dirty))
        nonfinite = bool(seen[255] or sampled) and not finite(y)  # a sample may have missed them
        origin = None
        if (
            pole and broken is None and behind is not None and not counts.overflow
        ):  # the gradient is made of an infinite result
            broken = behind
            self.fates.setdefault(behind.serial, [0, 0, 0])[2] += 1
        if pole:
            near = earliest(s.near for s in dirty) if op in ROOTS and counts.invalid else None
            origin = broken or constant or (None if lost is not None else earliest((zeros, off)) or near)
        elif nonfinite and not counts.overflow:
            origin = broken
        elif counts.annulled or counts.single:
            origin = constant or off
        given = ""
        if broken is None and (dirty or nonfinite):
            given = self._given(op, y, known, nonfinite, bool(pole or counts.overflow))
        key = f"{place[1]}@{op}" if place[1] and place[0] == "forward" else f"@{op}"
        names = known[0].names if known else ()
        if len(known) > 1 or not names or names[0] != key:
            merged = {key: None}
            for s in known:
                merged |= dict.fromkeys(s.names)
            names = tuple(merged)[:NAMES]
        detail = self._carried_on(key, place, lost, known) if lost is not None and abs(lost.became) == 1 else None
        if detail is None and (counts.annulled or counts.single) and self._collapses(fp, y, sources):
            detail = {"read as": "the difference of the numbers given"}
        if detail is None and fp.large is not None and counts.overflow:
            detail = {"large": fp.large.value}
        self.serial += 1
        event = Event(
            self.step, *place, y.shape, counts, lost, out.format, tuple(fp.stages), seen,
            magnitude(y) if counts.flushed > FLUSHED_SHARE * counts.nonzero else 0.0,
            fp.terms, fp.precision.accumulate.format, errors[0], errors[1], origin, given, fp.disorder, square,
            self.serial, line, here.rule if here.rule is not PROMOTE else self.rule, detail, names, called,
        )  # fmt: skip
        self.record(event, {**arrays, "result": y})
        before = any(s.rounded for s in known)
        rounded = (
            before or counts.inexact > 0 or (not exact and fp.native and out.format.contains(fp.precision.compute))
        )
        shadow = out.shadow = Shadow(
            self,
            y,
            twin=wide,
            rounded=rounded,
            nonfinite=nonfinite,
            missing=lacking,
            parts=parts or (),
            swallow=None if lacking is None else earliest(s.swallow for s in known) or (event if fp.addition else None),
            names=names,
            forward=place[0] == "forward",
        )
        if op == "cast" and called and counts.subnormals and counts.inexact and y.size <= SAMPLE:
            values = own_values(sources[0])
            dim = faint(y, values, out.format)
            shadow.faint = None if dim is None else (replace(event, detail=dim), values)
        if not (dirty or nonfinite or event.eventful or shadow.faint):
            return counts  # as most are
        if nonfinite:
            shadow.least = self._least(op, out, sources, bool(counts.overflow))
        self._follow(event, shadow, known, before, (broken, zeros, constant, off))
        read = [shadow_of(x, self) for x in consumed]
        if called:
            self._read_by(key, op, shadow, known)
            self._spread(fp, event, shadow, sources, read, before)
            if op == "div" and len(sources) > 1:
                self._divided(read[0], sources[1])
            if op in DIVIDE and place[0] == "forward":
                self._magnified(y, read[-1])
        self._settle_fates(op, shadow, [s for s in read if s is not None])
        if nonfinite and shadow.broken is not None:
            fate = self.fates.setdefault(shadow.broken.serial, [0, 0, 0])
            fate[0] += 1
            if counts.overflow:  # beside those that were infinite before, whose fate they share
                self.fates[event.serial] = fate
        shadow.mark()
        return counts
