"""The observer behind a trace: every result becomes an event, and keeps where its trouble began.

Three questions are answered here, from tensor to tensor: where did an infinity, a NaN or a zero begin; did it come to
anything or was it left out again by a mask, a maximum or a comparison; and which operations would have to be kept in
float32 with the one that broke, because they read its result back into half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.policy import PROMOTE, Rule, scope
from halfsim.autograd.tape import Node, Op
from halfsim.autograd.tensor import Flushed, Tensor
from halfsim.autograd.trace.counting import Counted, Counting, positions
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Constant, Error, Event, Stage
from halfsim.autograd.trace.infinite import least, out_of_sight
from halfsim.autograd.trace.kinds import FLUSHED_SHARE, SWAMPED_SHARE, finite, is_eps, kinds_of
from halfsim.autograd.trace.missing import WRONG, collapsed, through, vanished
from halfsim.autograd.trace.noise import carried, norm, remains, vanishes_unseen
from halfsim.autograd.trace.sample import SAMPLE, exponents, magnitude, subnormals
from halfsim.autograd.trace.shadow import NAMES, Shadow, earliest, error, evaluate, met, own, shadow_of, twin
from halfsim.frames import Line, caller
from halfsim.numerics.flags import Flag, report, watching
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import FP64, Precision
from halfsim.numerics.quantize import Array

# Operations whose finite result shows that an infinity or NaN among the operands was left out on purpose ...
_LEAVE_OUT = {
    "where", "maximum", "minimum", "max", "min", "amax", "amin", "clamp", "masked_fill", "relu", "relu6", "hardtanh",
    "getitem", "index_select", "gather", "nan_to_num", "diagonal", "split", "chunk",
}  # fmt: skip
_CHOOSE = {"where", "masked_fill", "getitem", "index_select", "gather", "diagonal", "split", "chunk", "norm"}
# ... and those that take a minus infinity for what a mask means by it.
_TAKE_MASKS = {
    "exp", "softmax", "log_softmax", "logsumexp", "sigmoid", "tanh", "softmin", "cross_entropy", "exp2", "logsigmoid",
    "scaled_dot_product_attention",
}  # fmt: skip
# Operations in which an infinite operand vanishes: their result is finite, and wrong.
# Functions that are flat towards infinity: what they make of it is what they would make of any number as large.
_FLAT = {"tanh", "sigmoid", "erf", "atan"}
_VANISH = {"div", "reciprocal", "rsqrt", "batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm"}
# Operations that bring numbers of any size back into a moderate range, so that what follows may be in half again.
CONTRACT = {
    "sqrt", "rsqrt", "log", "log2", "log10", "log1p", "log_softmax", "softmax", "div", "norm", "tanh", "sigmoid",
    "cross_entropy", "layer_norm", "batch_norm", "instance_norm", "group_norm", "rms_norm", "cos", "sin",
    "reciprocal", "logsumexp",
}  # fmt: skip
# Operations by which a lost digit becomes a wrong result; of a quotient, as the divisor.
_SENSITIVE = {"sqrt", "log", "log2", "log10", "rsqrt", "reciprocal"}
_ROOTS = {"sqrt", "rsqrt", "log", "log2", "log10", "pow"}  # NaN for negative numbers, as a difference may be
_CARRY_ONE = {"neg", "abs", "clamp", "cast", "maximum", "reshape", "mul"}  # a single difference through these
CARRIED = 0.05  # what a factor that became 1 should have changed before it is a trouble
FOLLOWED = 65536  # elements of a sum whose addends are remembered, to know a compensation
READERS = 12  # operations downstream of a trouble that are remembered


class Watching(Counted):
    """What every trace does with an operation's result; `record` is left to those that keep something."""

    def __init__(self, reference: Precision | None = None) -> None:
        self.reference = reference
        self.step = 1
        self.serial = 0
        self.locally = True  # whether operations of this step are measured alone, too
        self.rule: Rule | None = None  # the first precision in force
        self.readers: dict[int, list[str]] = {}  # by the serial number of a trouble: operations downstream
        self.fates: dict[int, list[int]] = {}  # by that of an infinity: tensors not yet read, left out, come to harm
        self.spoilt: dict[int, int] = {}  # by that of a cancellation: tensors not yet read that are off by its noise
        self.carried: dict[
            tuple[str, str, str, str], float
        ] = {}  # by place: what a factor that became 1 should have done
        self.loss_scale = 1.0  # of the backward pass under way
        self.loss_broken: Event | None = None  # where the NaN or infinity of this step's loss began

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        """Add one event; ``arrays`` are its operands and its result."""
        raise NotImplementedError

    def promote(self, event: Event) -> None:
        """What was only suspected, a difference or a sum, has come to harm."""

    # Operations.

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
            total = error(out.data, wide, out.format)
            if spec.exact:
                local = Error(0.0, 0.0, 0.0)
            elif self.locally:
                exact, _ = evaluate(spec.formula, self.reference, [own(x) for x in operands], options)
                local = error(out.data, exact, out.format)
        names = [*spec.operands, *("operand" for _ in operands)]
        counts = self._tell(
            fp, (here.phase, here.path, spec.name, label), out, dict(zip(names, arrays, strict=False)), operands,
            operands, bool(spec.exact), True, (local, total), wide, line,
        )  # fmt: skip
        if watching():
            report(counts, spec.name)
        if spec.exact:
            self._as_given(spec, out, operands, options)
        known = out.shadow
        return pullbacks, line, known.broken if known.nonfinite else None

    def _as_given(self, spec: Op, out: Tensor, operands: Sequence[Any], options: Any) -> None:
        """Move and choose the numbers that were given for a tensor's values with these."""
        given = [shadow_of(x, self) for x in operands]
        if any(s is not None and s.exact is not None for s in given):
            exact = [own(x) if s is None or s.exact is None else s.exact for x, s in zip(operands, given, strict=True)]
            out.shadow.exact, _ = evaluate(spec.formula, FP64, exact, options)

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        """Note the gradients of an operation's operands."""
        twins, line, broken = node.seen or (None, None, None)
        pairs = self._in_reference(node, twins, g, [(i, x) for i, x, _, _ in found])
        for (_, x, grad, fp), (wide, exact) in zip(found, pairs, strict=True):
            square, errors = 0.0, (None, None)
            if x.node is None:
                flat = grad.data.reshape(-1)
                square = float(np.dot(flat, flat))
            if wide is not None:
                here = None if exact is None else error(grad.data, exact, grad.format)
                errors = here, error(grad.data, wide, grad.format)  # type: ignore[assignment]
            place = ("backward", node.path, node.op, x.name.rpartition(".")[2])
            counts = self._tell(
                fp,
                place,
                grad,
                {"gradient": g.data},
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
        ways = [(twins, given), (node.pullbacks, own(g))] if self.locally else [(twins, given)]
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
            local = error(total.data, own(a) + own(b), total.format) if self.locally else None
            errors = local, error(total.data, twins, total.format)
        place, name = ("backward", path, "accumulate", x.name.rpartition(".")[2]), x.name or "a tensor"
        counts = self._tell(
            fp, place, total, {"a": a.data, "b": b.data}, [a, b], [a, b], False, False, errors, twins, caller()
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
        y, op, here = out.data, place[2], scope()
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
        if op in _TAKE_MASKS and counts.divide_by_zero and any(s.given for s in known):
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
            near = earliest(s.near for s in dirty) if op in _ROOTS and counts.invalid else None
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
            names = tuple(dict.fromkeys([key, *(name for s in known for name in s.names)]))[:NAMES]
        detail = self._carried_on(key, place, lost, known) if lost is not None and abs(lost.became) == 1 else None
        if detail is None and (counts.annulled or counts.single) and self._collapses(fp, y, sources):
            detail = {"read as": "the difference of the numbers given"}
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
        if not (dirty or nonfinite or event.eventful):
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
        self._settle_fates(op, shadow, [s for s in read if s is not None])
        if nonfinite and shadow.broken is not None:
            fate = self.fates.setdefault(shadow.broken.serial, [0, 0, 0])
            fate[0] += 1
            if counts.overflow:  # beside those that were infinite before, whose fate they share
                self.fates[event.serial] = fate
        shadow.mark()
        return counts

    def _follow(
        self, event: Event, shadow: Shadow, known: Sequence[Shadow], before: bool,
        inherited: tuple[Event | None, Event | None, Event | None, Event | None],
    ) -> None:  # fmt: skip
        """Leave on a result where its infinities, zeros, constants and lost digits began."""
        broken, zeros, constant, off = inherited
        counts, root = event.counts, event.origin or event
        has_zeros = bool(event.exponents is not None and event.exponents[0])
        has_zeros = has_zeros or (event.size > SAMPLE and not shadow.of.all())
        if shadow.nonfinite:
            own_break = counts.overflow or counts.divide_by_zero or counts.invalid or event.given
            shadow.broken = broken or (root if own_break else None)
            shadow.given = shadow.broken is None
        if has_zeros:
            made = counts.flushed or (
                (2 * counts.annulled > counts.sums or (counts.single and not counts.bits)) and before
            )
            shadow.zeros = zeros or (root if made else None)
        if event.lost is not None and (has_zeros or not is_eps(event)):
            constant = constant or event
        if constant is not None and (has_zeros or shadow.nonfinite or not is_eps(constant)):
            shadow.constant = constant
        kinds = kinds_of(event) if counts.cancelled or counts.integers else ()
        if 2 * counts.annulled > counts.sums and before:
            kinds = (*kinds, "cancellation")
        shadow.off = off or (root if "cancellation" in kinds or "integer rounding" in kinds else None)
        shadow.near = earliest(s.near for s in known) or (
            root
            if before and event.op in ("sub", "add") and counts.cancelled + counts.annulled + counts.single
            else None
        )
        if counts.single and before:
            shadow.off, shadow.single = shadow.off or root, event
        elif event.size == 1 and event.op in _CARRY_ONE:
            shadow.single = next((s.single for s in known if s.single is not None), None)
        if event.op in _SENSITIVE or event.op == "div":
            for s in known[1:2] if event.op == "div" else known[:1]:
                if s.single is not None and event.phase == "forward":
                    self.promote(s.single)

    def _given(self, op: str, y: Array, known: Sequence[Shadow], nonfinite: bool, own_fault: bool) -> str:
        """What was among the operands before the trace and does harm here: a NaN, or an infinity that vanishes."""
        outside = [s for s in known if s.given]
        if nonfinite and not own_fault and bool(np.isnan(y).any()):
            return "NaN"
        if outside and not nonfinite and op in _VANISH and any(np.isinf(s.of).any() for s in outside):
            return "infinity"
        return ""

    def _read_by(self, key: str, op: str, shadow: Shadow, known: Sequence[Shadow]) -> None:
        """Remember an operation downstream of a trouble, up to the one that brings its numbers back."""
        if op in CONTRACT:
            shadow.spent = frozenset(event.serial for s in known for event in s.suspects)
        else:
            shadow.spent = frozenset().union(*(s.spent for s in known if s.spent))
        for s in known:
            for event in s.suspects:
                readers = self.readers.setdefault(event.serial, [])
                if event.serial not in s.spent and key not in readers and len(readers) < READERS:
                    readers.append(key)

    def _settle_fates(self, op: str, shadow: Shadow, known: Sequence[Shadow]) -> None:
        """Whether infinities and NaN among the operands went on, were left out on purpose, or did harm unseen."""
        for s in known:
            event = s.broken
            if event is None or not s.nonfinite:
                continue
            fate = self.fates.setdefault(event.serial, [0, 0, 0])
            if not s.consumed:
                s.consumed = True
                fate[0] -= 1
            if not shadow.nonfinite:
                chosen = _LEAVE_OUT if shadow.forward else _CHOOSE
                meant = op in chosen or op in _FLAT
                if op in _TAKE_MASKS and not meant:
                    meant = event.lost is not None or out_of_sight(op, s.of, s.least)
                if op in ("div", "reciprocal", "rsqrt") and not event.given:
                    rooted = any(key.endswith(("@sqrt", "@norm", "@pow", "@log")) for key in s.names)
                    least = event.format.max ** (0.5 if rooted else 1.0)
                    meant = vanishes_unseen(op, shadow.of, [x.of for x in known], least)
                fate[1 if meant else 2] += 1

    def _parts(self, op: str, operands: Sequence[Any]) -> tuple[Array, ...] | None:
        """The addends of a sum, and what is left of it without one; None of the difference that compensates for it."""
        a, b = (x.data if isinstance(x, Tensor) else None for x in operands[:2])
        if a is None or b is None:
            return ()
        if op == "add":
            return a, b
        of_a, of_b = (() if s is None else s.parts for s in (shadow_of(x, self) for x in operands[:2]))
        if (len(of_a) == 1 and of_a[0] is b) or (len(of_b) == 1 and of_b[0] is a):
            return None
        return tuple(of_a[1 - i] for i in range(2) if of_a[i] is b)[:1] if len(of_a) == 2 else ()

    def _least(self, op: str, out: Tensor, operands: Sequence[Any], overflows: bool) -> float:
        """How large a result's infinities are at least, by where they come from."""
        own_fault = float(out.format.max) if overflows else np.inf
        shadows = [shadow_of(x, self) for x in operands]
        if not any(s is not None and s.nonfinite for s in shadows):
            return own_fault if overflows else 0.0
        bounds = [s.least if s is not None and s.nonfinite else np.inf for s in shadows]
        return min(own_fault, least(op, [own(x) for x in operands if x is not None], bounds))

    def _collapses(self, fp: Counting, y: Array, operands: Sequence[Any]) -> bool:
        """Whether a difference of numbers as they were given is lost for their rounding, which is known."""
        if fp.addition is None or len(operands) != 2:
            return False
        shadows = [shadow_of(x, self) for x in operands]
        if not any(s is not None and s.exact is not None for s in shadows):
            return False
        if any(s is not None and s.rounded and s.exact is None for s in shadows):
            return False
        a, b = (own(x) if s is None or s.exact is None else s.exact for x, s in zip(operands, shadows, strict=True))
        return collapsed(y, a, b, fp.addition[2])

    def _divided(self, known: Shadow | None, divisor: Any) -> None:
        """A difference that lost all digits, over something as small as what it lost: a quotient of rounding errors."""
        if known is None or known.noise is None or known.source is None or known.source.counts.cancelled:
            return
        if norm(known.noise) / np.sqrt(known.of.size) > 0.05 * norm(d := own(divisor)) / np.sqrt(d.size):
            self.promote(known.source)

    def _spread(
        self, fp: Counting, event: Event, shadow: Shadow, operands: Sequence[Any], known: Sequence[Shadow | None],
        rounded: bool,
    ) -> None:  # fmt: skip
        """Follow what a cancellation may have put wrong."""
        y, op = shadow.of, event.op
        noisy = [s for s in known if s is not None and s.noise is not None]
        c, plain = event.counts, any(s is None for s in known)
        made = "cancellation" in event.kinds or (rounded and ((plain and 2 * c.annulled > c.sums) or c.single > 0))
        swallowed = shadow.missing if op in ("add", "sub") and (c.annulled or c.single) else None
        made |= swallowed is not None and vanished(y, swallowed)
        if not (noisy or made):
            return
        values = [own(x) if s is None else s.of for x, s in zip(operands, known, strict=True)]
        for s in noisy:
            if op in ("mul", "div") and s.missing is not None and s.source is not None and vanished(s.of, s.missing):
                self.promote(s.source)  # a difference of zero that should be none
        noise = carried(op, y, values, [None if s is None else s.noise for s in known])
        source, last = next((s.source for s in noisy), None), False
        if made and source is None:
            source, first = event, fp.difference if swallowed is None else np.abs(swallowed)
            self.spoilt.setdefault(event.serial, 0)
            noise = np.abs(y) if first is None or first.size > y.size else np.broadcast_to(first, y.shape)
            last = fp.distance is not None  # of running sums, whatever the size of the others
        for s in noisy:
            if not s.read:
                s.read = True
                assert s.source is not None
                self.spoilt[s.source.serial] -= 1
        if source is not None and noise is not None and not shadow.nonfinite and (last or remains(noise, y)):
            shadow.noise, shadow.source = noise, source
            self.spoilt[source.serial] = self.spoilt.get(source.serial, 0) + 1

    def dissolved(self, event: Event) -> bool:
        """Whether nothing that was made of a cancellation is off by more than 1 % in the end."""
        return event.serial in self.spoilt and self.spoilt[event.serial] <= 0

    def compared(self, *tensors: Any) -> None:
        """A comparison takes infinities for what they are; NaN it does not."""
        for x in tensors:
            s = shadow_of(x, self)
            if s is not None and s.nonfinite and s.broken is not None and not np.isnan(s.of).any():
                fate = self.fates.setdefault(s.broken.serial, [0, 0, 0])
                fate[1] += 1
                if not s.consumed:
                    s.consumed = True
                    fate[0] -= 1

    def killed(self, event: Event) -> bool:
        """Whether all NaN and infinities of an event were left out by a mask, a maximum or a choice of elements."""
        live, left_out, harmed = self.fates.get((event.origin or event).serial, (1, 0, 0))
        return live <= 0 and left_out > 0 and not harmed

    def _carried_on(
        self, key: str, where: tuple[str, str, str, str], lost: Constant, known: Sequence[Shadow]
    ) -> dict[str, Any] | None:
        """Of a factor that became 1 and is applied to its own result, when it should have changed that by 5 %."""
        op = where[2]
        if op not in ("mul", "div", "pow") or not any(key in s.names for s in known):
            return None
        done = self.carried[where] = self.carried.get(where, 0.0) + abs(abs(lost.value) - 1)
        return {"carried": done} if done > CARRIED else None

    def _missing(self, fp: Counting, y: Array, op: str, operands: Sequence[Any]) -> Array | None:
        """What a result lacks, with what its operands lack, from the first swallowed addend on.

        It goes through products and quotients as the values do. A sum that a loop forms is off by more than 1 % of
        itself, and by more than a few roundings, where this is: that is ``stalled``.
        """
        shadows = [shadow_of(x, self) for x in operands[:2]]
        carried = [
            (i, s.missing)
            for i, s in enumerate(shadows)
            if s is not None and s.missing is not None and s.missing.shape == y.shape
        ]
        if fp.addition is None:
            if not carried:
                return None
            known = dict(carried)
            lost = through(op, y, [own(x) for x in operands[:2]], [known.get(0), known.get(1)])
            first = earliest(s.swallow for s in shadows if s is not None)
            told = any(s is not None and s.noise is not None for s in shadows)  # a difference was
            if lost is not None and first is not None and op == "div" and not told and vanished(y, lost, WRONG):
                self.promote(first)
            return lost
        a, b, sign = fp.addition
        if not carried and fp.counts.swamped <= SWAMPED_SHARE / 2 * fp.counts.addends:
            return None
        lacking = np.subtract(np.add(a, sign * b, dtype=np.float64), y)
        for i, before in carried:
            lacking += before * (sign if i else 1)
        fmt = fp.precision.storage
        fp.counts.stalled += int(np.count_nonzero(np.abs(lacking) > max(0.01, 2 * fmt.eps) * np.abs(y)))
        return lacking

    # What is no operation.

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
        y, fmt = made.data, made.format
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
            counts.overflow, counts.flushed = infinite + became, int(np.count_nonzero((y == 0) & (values != 0)))
            stage = Stage("store", fmt, values.size, infinite, became, 0, counts.flushed, counts.nonzero)
            if values.size > 1 and not there and positions(values):
                counts.integers = inexact
            lost = _constant_of(values, y, fmt) if values.size == 1 and not there else None
            event = self.note(
                "tensor", made.name, made.shape, counts, format=fmt, given="NaN" if there else "", lost=lost,
                stages=(stage,) if stage.past or stage.flushed else (),
                magnitude=float(np.abs(y).sum(dtype=np.float64)),
            )  # fmt: skip
        if event is not None or wide is not None:
            shadow = made.shadow = Shadow(self, y, twin=wide, rounded=inexact > 0, names=())
            shadow.nonfinite = not finite(y)
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
            shadow.mark()

    def recalled(self, x: Tensor, found: Flushed) -> Shadow:
        """What is known of a tensor whose numbers became zero before the trace began."""
        counts = Counts(size=x.size, nonzero=found.nonzero, inexact=found.lost, flushed=found.lost)
        stage = Stage("store", x.format, x.size, flushed=found.lost, nonzero=found.nonzero)
        event = self.note(
            "tensor", x.name, x.shape, counts, format=x.format, stages=(stage,), line=found.line,
            magnitude=float(np.abs(x.data).sum(dtype=np.float64)),
        )  # fmt: skip
        return Shadow(self, x.data, zeros=event, rounded=True, nonfinite=not finite(x.data), dirty=True)

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
        meant = direction.data != 0
        if not finite(p.data):
            meant &= np.isfinite(p.data)
        same &= meant
        counts = Counts(size=p.size, updates=int(np.count_nonzero(meant)), lost=int(np.count_nonzero(same)))
        if direction.data is p.grad.data:
            counts.addends, counts.swamped = counts.updates, counts.lost
        else:
            live = p.grad.data != 0
            counts.addends, counts.swamped = int(np.count_nonzero(meant & live)), int(np.count_nonzero(same & live))
        counts.stalled = counts.swamped
        largest = float(np.abs(p.grad.data).max(initial=0))
        detail = {"step": "of the user's own"} if own else None
        self.note("update", "", p.shape, counts, format=p.format, magnitude=largest, detail=detail)

    def shrunk(self, op: str, before: Tensor, after: Tensor) -> None:
        """Count how many finite nonzero weights a step that shrinks them all left as they were."""
        meant = (before.data != 0) & np.isfinite(before.data)
        counts = Counts(size=before.size, addends=int(np.count_nonzero(meant)))
        counts.swamped = counts.stalled = int(np.count_nonzero(meant & (before.data == after.data)))
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
        small, large = 0 < value <= fmt.smallest_subnormal / 2, fmt.max * (1 + fmt.epsneg / 2) <= value
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
