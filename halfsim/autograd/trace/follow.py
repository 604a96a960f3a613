"""Where trouble goes, from tensor to tensor: where it began, whether it came to anything, and who reads it back.

Three questions are answered here: where did an infinity, a NaN or a zero begin; did it come to anything, or was it left
out again by a mask, a maximum or a comparison; and which operations would have to be kept in float32 with the one that
broke, because they read its result back into half.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.policy import Rule
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.counted import Counted
from halfsim.autograd.trace.counting import Counting
from halfsim.autograd.trace.event import Constant, Event
from halfsim.autograd.trace.infinite import least, out_of_sight
from halfsim.autograd.trace.kinds import SWAMPED_SHARE, is_eps, kinds_of
from halfsim.autograd.trace.missing import WRONG, collapsed, through, vanished
from halfsim.autograd.trace.noise import carried, norm, remains, vanishes_unseen
from halfsim.autograd.trace.sample import SAMPLE
from halfsim.autograd.trace.shadow import Shadow, earliest, own_values, shadow_of
from halfsim.autograd.trace.totals import Place
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array

# Operations whose finite result shows that an infinity or NaN among the operands was left out on purpose ...
_LEAVE_OUT = {
    "where", "maximum", "minimum", "max", "min", "amax", "amin", "clamp", "masked_fill", "relu", "relu6", "hardtanh",
    "getitem", "index_select", "gather", "nan_to_num", "diagonal", "split", "chunk",
}  # fmt: skip
_CHOOSE = {"where", "masked_fill", "getitem", "index_select", "gather", "diagonal", "split", "chunk", "norm"}
# ... and those that take a minus infinity for what a mask means by it.
TAKE_MASKS = {
    "exp", "softmax", "log_softmax", "logsumexp", "sigmoid", "tanh", "softmin", "cross_entropy", "exp2", "logsigmoid",
    "scaled_dot_product_attention",
}  # fmt: skip
# Functions that are flat towards infinity: what they make of it is what they would make of any number as large.
_FLAT = {"tanh", "sigmoid", "erf", "atan"}
# Operations in which an infinite operand vanishes: their result is finite, and wrong.
_VANISH = {"div", "reciprocal", "rsqrt", "batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm"}
# Operations that bring numbers of any size back into a moderate range, so that what follows may be in half again.
CONTRACT = {
    "sqrt", "rsqrt", "log", "log2", "log10", "log1p", "log_softmax", "softmax", "div", "norm", "tanh", "sigmoid",
    "cross_entropy", "layer_norm", "batch_norm", "instance_norm", "group_norm", "rms_norm", "cos", "sin",
    "reciprocal", "logsumexp",
}  # fmt: skip
# Operations by which a lost digit becomes a wrong result; of a quotient, as the divisor.
_SENSITIVE = {"sqrt", "log", "log2", "log10", "rsqrt", "reciprocal"}
DIVIDE = {"div", "reciprocal", "rsqrt"}  # by their last operand
ROOTS = {"sqrt", "rsqrt", "log", "log2", "log10", "pow"}  # NaN for negative numbers, as a difference may be
_CARRY_ONE = {"neg", "abs", "clamp", "cast", "maximum", "reshape", "mul"}  # a single difference through these
CARRIED = 0.05  # what a factor that became 1 should have changed before it is a trouble
FOLLOWED = 65536  # elements of a sum whose addends are remembered, to know a compensation
REMEMBERED = 4096  # events whose followers are looked after, beside those that are told
READERS = 12  # operations downstream of a trouble that are remembered


class Following(Counted):
    """What a trace knows of trouble on its way; `record` and `promote` are left to those that keep events."""

    def __init__(self, reference: Precision | None = None) -> None:
        self.reference = reference
        self.step = 1
        self.serial = 0
        self.locally = True  # whether operations of this step are measured alone, too
        self.rule: Rule | None = None  # the first precision in force
        self.readers: dict[int, list[str]] = {}  # by the serial number of a trouble: operations downstream
        self.fates: dict[int, list[int]] = {}  # by that of an infinity: tensors not yet read, left out, come to harm
        self.spoilt: dict[int, int] = {}  # by that of a cancellation: tensors not yet read that are off by its noise
        self.carried: dict[Place, float] = {}  # by place: what a factor that became 1 should have done
        self.loss_scale = 1.0  # of the backward pass under way
        self.loss_broken: Event | None = None  # where the NaN or infinity of this step's loss began

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        """Add one event; ``arrays`` are its operands and its result."""
        raise NotImplementedError

    def promote(self, event: Event) -> None:
        """Something was computed of a difference or sum that was only suspected: from now on it is trouble."""

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

    def _read_again(self, shadow: Shadow) -> None:
        """Remember an operation that would pass the largest number too, once what is before it is mended."""
        assert shadow.broken is not None
        serial, readers = shadow.broken.serial, self.readers.setdefault(shadow.broken.serial, [])
        shadow.spent -= {serial}
        if shadow.names[0] not in readers and len(readers) < READERS:
            readers.append(shadow.names[0])

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
                if op in TAKE_MASKS and not meant:
                    meant = event.lost is not None or out_of_sight(op, s.of, s.least)
                if op in ("div", "reciprocal", "rsqrt") and not event.given:
                    rooted = any(key.endswith(("@sqrt", "@norm", "@pow", "@log")) for key in s.names)
                    least = event.format.max ** (0.5 if rooted else 1.0)
                    meant = vanishes_unseen(op, shadow.of, [x.of for x in known], least)
                fate[1 if meant else 2] += 1

    def _parts(self, op: str, operands: Sequence[Any]) -> tuple[Array, ...] | None:
        """The addends of a sum, and what is left of it without one; None of the difference that compensates for it."""
        a, b = (x.array if isinstance(x, Tensor) else None for x in operands[:2])
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
        return min(own_fault, least(op, [own_values(x) for x in operands if x is not None], bounds))

    def _collapses(self, fp: Counting, y: Array, operands: Sequence[Any]) -> bool:
        """Whether rounding the operands, whose numbers as given are known, has made their difference meaningless."""
        if fp.addition is None or len(operands) != 2:
            return False
        shadows = [shadow_of(x, self) for x in operands]
        if not any(s is not None and s.exact is not None for s in shadows):
            return False
        if any(s is not None and s.rounded and s.exact is None for s in shadows):
            return False
        a, b = (
            own_values(x) if s is None or s.exact is None else s.exact for x, s in zip(operands, shadows, strict=True)
        )
        return collapsed(y, a, b, fp.addition[2])

    def _divided(self, known: Shadow | None, divisor: Any) -> None:
        """A difference that lost all digits, over something as small as what it lost: a quotient of rounding errors."""
        if known is None or known.noise is None or known.source is None or known.source.counts.cancelled:
            return
        if norm(known.noise) / np.sqrt(known.of.size) > 0.05 * norm(d := own_values(divisor)) / np.sqrt(d.size):
            self.promote(known.source)

    def _magnified(self, y: Array, divisor: Shadow | None) -> None:
        """A quotient that is off by more than 1 % for subnormal numbers in its divisor, whose digits were lost."""
        if divisor is None or divisor.faint is None or divisor.nonfinite:
            return
        event, meant = divisor.faint
        there = (divisor.of != 0) & (meant != 0)
        off = np.divide(divisor.of, meant, out=np.ones(there.shape), where=there) - 1
        if remains(np.abs(y) * np.abs(off), y):
            self.promote(event)

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
        values = [own_values(x) if s is None else s.of for x, s in zip(operands, known, strict=True)]
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
                self.spoilt[s.source.serial] = self.spoilt.get(s.source.serial, 1) - 1
        if source is not None and noise is not None and not shadow.nonfinite and (last or remains(noise, y)):
            shadow.noise, shadow.source = noise, source
            self.spoilt[source.serial] = self.spoilt.get(source.serial, 0) + 1

    def dissolved(self, event: Event) -> bool:
        """Whether nothing that was made of a cancellation is off by more than 1 % in the end."""
        return event.serial in self.spoilt and self.spoilt[event.serial] <= 0

    def compared(self, *tensors: Any) -> None:
        """A tensor was compared: its infinities have done what they are for, but a NaN compares like nothing."""
        for x in tensors:
            s = shadow_of(x, self)
            if s is not None and s.nonfinite and s.broken is not None and not np.isnan(s.of).any():
                fate = self.fates.setdefault(s.broken.serial, [0, 0, 0])
                fate[1] += 1
                if not s.consumed:
                    s.consumed = True
                    fate[0] -= 1

    def forget(self, kept: Collection[Event]) -> None:
        """Give up what is known of old events but those ``kept``: a long run takes no more room than a short one."""
        serials = {event.serial for event in kept} | {e.origin.serial for e in kept if e.origin is not None}
        old = self.serial - REMEMBERED
        for known in (self.readers, self.fates, self.spoilt):
            for serial in [s for s in known if s < old and s not in serials]:
                del known[serial]

    def killed(self, event: Event) -> bool:
        """Whether all NaN and infinities of an event were left out by a mask, a maximum or a choice of elements."""
        live, left_out, harmed = self.fates.get((event.origin or event).serial, (1, 0, 0))
        return live <= 0 and left_out > 0 and not harmed

    def _carried_on(
        self, key: str, where: tuple[str, str, str, str], lost: Constant, known: Sequence[Shadow]
    ) -> dict[str, Any] | None:
        """What to say of a factor that became 1 and is applied again and again, once it should have made 5 %."""
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
            lost = through(op, y, [own_values(x) for x in operands[:2]], [known.get(0), known.get(1)])
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
