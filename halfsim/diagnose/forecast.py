"""What a run would have met in another precision, told from the run as it is: `hs.trace(forecast=...)`.

Beside every operation the same one runs on the numbers that the other precision would have had, and is told to a trace
of its own. The run itself is not altered. Where an optimizer has moved the weights, the numbers begin anew from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.gradients import gradient_of
from halfsim.autograd.observer import observing
from halfsim.autograd.policy import Rule
from halfsim.autograd.scope import resolve, scoped
from halfsim.autograd.tape import Node, Op, apply
from halfsim.autograd.tape import unit as unit_of
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.kinds import HARMLESS
from halfsim.autograd.trace.trace import Trace
from halfsim.diagnose.finding import Finding, finding
from halfsim.diagnose.verdict import breaks, cause
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision, native
from halfsim.numerics.quantize import Array, holder, rounded


def findings(trace: Trace) -> tuple[Finding, ...]:
    """The troubles of a trace where they began, in the order in which they happened, each place once."""
    found: dict[tuple[str, ...], Finding] = {}
    for event in trace.events():
        one = cause(trace, event) if breaks(event) else finding(event, trace)
        if one.klass not in HARMLESS:
            found.setdefault((one.klass, one.phase, one.path, one.op), one)
    return tuple(sorted(found.values(), key=lambda one: one.event.serial if one.event is not None else 0))


class Foreseeing(Trace):
    """A trace of a run as it is, with one beside it of the same run in the precision ``target``."""

    def __init__(self, target: Rule, *given: Any) -> None:
        super().__init__(*given)
        self.target = target
        self.beside = Trace(frames=0)
        self._known: dict[int, tuple[Any, Any, Tensor]] = {}  # by tensor: itself, its numbers, and those beside
        self._last: tuple[Tensor, Tensor] | None = None  # what an optimizer's latest operation read and left

    def forecast(self) -> tuple[Finding, ...]:
        return findings(self.beside)

    # The numbers beside.

    def twin(self, x: Any) -> Any:
        """An operand as it would have been."""
        if not isinstance(x, Tensor) or not isinstance(x.format, Format):
            return x
        found = self.kept(x)
        if found is not None:
            return found
        storage = self._storage(x.format)
        made = Tensor(x.array, x.format, x.requires_grad and x.node is None, x.name)
        if storage is not x.format:
            made = Tensor(self._rounded(x.array, storage), storage, made.requires_grad, x.name)
            with self._there():
                self.beside.given(x.array, made, False)
        self.keep(x, made)
        return made

    def keep(self, x: Tensor, made: Tensor) -> None:
        """Remember what a tensor would have been."""
        if len(self._known) > 4096:
            self._known = {key: kept for key, kept in self._known.items() if kept[0]() is not None}
        self._known[id(x)] = ref(x), ref(x.array), made

    def kept(self, x: Tensor) -> Tensor | None:
        """What a tensor would have been, where that is remembered."""
        found = self._known.get(id(x))
        return found[2] if found is not None and found[0]() is x and found[1]() is x.array else None

    def viewed(self, base: Tensor, view: Tensor, moved: Any) -> None:
        """``view`` shows numbers of ``base``; ``moved(values)`` takes those from an array like that of ``base``."""
        found = self.kept(base)
        values = None if found is None else moved(found.array)
        if found is not None and values is not None:
            made = found
            if values is not made.array:
                made = Tensor(np.array(values), made.format, view.requires_grad, view.name)
                self._follow_view(found, made)
            self.keep(view, made)

    @staticmethod
    def _follow_view(base: Tensor, made: Tensor) -> None:
        known = base.shadow
        if known is not None and known.of is base.array:
            made.shadow = known.seen_as(made.array)

    def _storage(self, fmt: Format) -> Format:
        """The format of numbers of ``fmt`` in the other precision: a policy leaves tensors as they are."""
        target = self.target.storage if isinstance(self.target, Precision) else fmt
        return fmt if target.contains(fmt) else target

    @staticmethod
    def _rounded(x: Array, fmt: Format) -> Array:
        wide = np.asarray(x)
        return rounded(wide, fmt).astype(holder(fmt), copy=False)

    def _there(self) -> Any:
        return _Both(scoped(rule=self.target, base="", override=False), observing(self.beside))

    # What is told of the run, told beside.

    def result(
        self, spec: Op, fp: Arithmetic, out: Tensor, operands: Sequence[Any], arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]], label: str,
    ) -> Any:  # fmt: skip
        seen = super().result(spec, fp, out, operands, arrays, options, label)
        twins = [self.twin(x) for x in operands]
        own = None if isinstance(self.target, Precision) else self._cast(spec, out, twins)
        with self._there():
            made = own or apply(spec, twins, *options, label=label)
        self.keep(out, made)
        if twins and isinstance(twins[0], Tensor):
            self._last = twins[0], made
        return (*seen, made.node)

    @staticmethod
    def _cast(spec: Op, out: Tensor, twins: Sequence[Any]) -> Tensor | None:
        """Of a conversion that the program asks for, under a policy: the same, which no policy rules."""
        if spec.name != "cast" or not twins:
            return None
        return apply(spec, twins, precision=native(out.format))

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        super().gradients(node, g, found)
        there, given = (node.seen or ())[3:4], self.twin(g)
        with self._there():
            if there and there[0] is not None and there[0].pullbacks:
                self._taped(there[0], given, found)
            elif not there:
                self._rerun(node, given, found)

    def _taped(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        inputs = node.inputs or ()
        made = []
        for i, _, grad, _ in found:
            x = inputs[i]
            mine, fp = gradient_of(node, node.pullbacks[i], g, x, self.beside)
            made.append((i, x, mine, fp))
            self.keep(grad, mine)
        self.beside.gradients(node, g, made)

    def _rerun(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        """A gradient that another library computed: its kernel again, on the numbers beside."""
        spec = node.spec
        operands = [g, *(self.twin(x) for x in node.inputs or ())]
        fmt = max((x.format for x in operands if isinstance(x, Tensor)), key=lambda f: f.precision)
        precision = resolve(spec.name, spec.category, fmt)
        for i, x, grad, _ in found:
            fp = unit_of(self.beside, precision, "gradient")
            arrays = [fp.read(o.array, o.format, bool(spec.exact)) for o in operands]
            y = fp.store(np.array(spec.formula(fp, *arrays)[0]), (), bool(spec.exact))
            mine = Tensor(y, precision.storage, name=grad.name)
            line = None if node.seen is None else node.seen[1]
            twin = Node(spec, node.path, precision, operands[1:], [spec.formula], (None, line, None))
            self.keep(grad, mine)
            self.beside.gradients(twin, g, [(i, x, mine, fp)])

    def total(self, path: str, x: Tensor, fp: Arithmetic, total: Tensor, a: Tensor, b: Tensor) -> None:
        super().total(path, x, fp, total, a, b)
        left, right = self.twin(a), self.twin(b)
        storage = self._storage(x.format if hasattr(x, "format") else total.format)
        with self._there():
            unit = unit_of(self.beside, native(storage), "")
            arrays = unit.read(left.array, left.format), unit.read(right.array, right.format)
            made = Tensor(unit.store(unit.add(*arrays)), storage, name=total.name)
            self.keep(total, made)
            self.beside.total(path, x, unit, made, left, right)

    def begins(self, root: Tensor) -> None:
        super().begins(root)
        self.beside.begins(self.twin(root))

    def given(self, values: Array, made: Tensor, known: bool) -> None:
        super().given(values, made, known)
        if not known:
            self.twin(made)

    def updated(self, p: Tensor, same: Array, direction: Tensor, own: bool = False) -> None:
        super().updated(p, same, direction, own)
        if self._last is None or self._last[1].shape != p.shape or p.grad is None:
            return
        before, after = self._last
        twin = Tensor(after.array, after.format, name=p.name)
        twin._grad = self.twin(p.grad)
        with self._there():
            self.beside.updated(twin, np.equal(before.array, after.array), self.twin(direction), own=own)

    def shrunk(self, op: str, before: Tensor, after: Tensor) -> None:
        super().shrunk(op, before, after)
        if self._last is not None and self._last[1].shape == after.shape:
            with self._there():
                self.beside.shrunk(op, *self._last)

    def averaged(self, before: Array, after: Array, goal: Array, fmt: Format, label: str) -> None:
        super().averaged(before, after, goal, fmt, label)
        storage = self._storage(fmt)
        old = self._rounded(before, storage)
        new = self._rounded(old + (after - before), storage)
        with self._there():
            self.beside.averaged(old, new, goal, storage, label)

    def hyperparameter(self, op: str, name: str, value: float, fmt: Format) -> None:
        super().hyperparameter(op, name, value, fmt)
        with self._there():
            self.beside.hyperparameter(op, name, value, self._storage(fmt))

    def scaled(self, loss: Tensor, scale: float) -> None:
        super().scaled(loss, scale)
        self.beside.scaled(self.twin(loss), scale)

    def unscaled(self, p: Tensor, scale: float) -> None:
        super().unscaled(p, scale)
        self.beside.unscaled(self._with_gradient(p), scale)

    def clipped(self, leaves: Sequence[Tensor], norm: Tensor | None) -> None:
        super().clipped(leaves, norm)
        self.beside.clipped([self._with_gradient(p) for p in leaves], norm)

    def _with_gradient(self, p: Tensor) -> Tensor:
        twin = Tensor(p.array, p.format, name=p.name)
        twin._grad = None if p.grad is None else self.twin(p.grad)
        return twin

    def compared(self, *tensors: Any) -> None:
        super().compared(*tensors)
        self.beside.compared(*(self.twin(x) for x in tensors))

    def advance(self, skipped: bool = False) -> None:
        super().advance(skipped)
        self.beside.advance(skipped)

    def note_scale(self, scale: float, skipped: bool) -> None:
        super().note_scale(scale, skipped)
        self.beside.note_scale(scale, skipped)


class _Both:
    """Two contexts as one."""

    def __init__(self, *contexts: Any) -> None:
        self.contexts = contexts

    def __enter__(self) -> None:
        for context in self.contexts:
            context.__enter__()

    def __exit__(self, *exception: object) -> None:
        for context in reversed(self.contexts):
            context.__exit__(*exception)
