"""What happened to the numbers: one Event an operation, added up in a Trace by phase, module path and op."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Generic, TypeVar

import numpy as np

from halfsim.autograd.observer import around, leave, observing
from halfsim.autograd.policy import OPERATIONS
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.kinds import KINDS, NAMES, REPEATED, is_eps, kinds_of
from halfsim.autograd.trace.scaling import Scaling
from halfsim.autograd.trace.totals import Place, Series, Total, place_of
from halfsim.autograd.trace.watch import Watching
from halfsim.card import Text
from halfsim.contexts import Context
from halfsim.numerics.formats import unknown
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class, shown
from halfsim.text import columns


@dataclass(frozen=True)
class Frame:
    """What an operation had before it when it first went wrong."""

    event: Event
    arrays: Mapping[str, Array]  # copies of its operands and its result by name, of each at most 65,536 elements
    before: tuple[Event, ...]  # the latest events, this one last


class Trace(Watching):
    """What every operation did since the trace began: counts by place, the first events of each kind of trouble.

    A place is a phase, a module path, an operation and the tensor written. Memory grows with the number of places,
    about 3 kB each, and of module paths, 28 kB each, and not with the number of steps. ``reference`` is a precision in
    which everything is computed beside, to measure errors. ``allow`` holds patterns ("@op", a module path, "path@op",
    with wildcards as in `halfsim.Policy`) of operations whose NaN and infinities are meant: they are counted and are
    no trouble. ``frames`` is how many of the latest events are kept, ``outer`` a trace around this one, which is told
    of everything too.
    """

    __argument__ = "a Trace"

    def __init__(
        self,
        reference: Precision | None = None,
        allow: str | Iterable[str] = (),
        frames: int = 64,
        outer: Trace | None = None,
    ) -> None:
        super().__init__(reference)
        self.places: dict[Place, Total] = {}
        self.firsts: dict[str, list[Event]] = {}  # by kind: the first, and of what breaks the first of each place
        self.constants: dict[tuple[str, str], Event] = {}  # by phase and path: the first that lost a constant
        self.latest: deque[Event] = deque(maxlen=frames)
        self.captured: dict[int, Frame] = {}  # by the event's serial number
        self.series: dict[tuple[str, str], Series] = {}
        self.scaling = Scaling()
        self.allow, self.outer = patterns(allow), outer
        self.over = False  # whether its context has been left
        self._pending: list[tuple[str, Event]] = []  # of this step, which a scaler may be about to skip

    @property
    def scales(self) -> list[tuple[int, float, bool]]:
        """Step, loss scale, and whether the step was skipped."""
        return self.scaling.scales

    @property
    def constant(self) -> Event | None:
        """The first event at which the format turned a constant into another number, whether or not it did harm."""
        return next(iter(self.constants.values()), None)

    @property
    def totals(self) -> dict[Place, Counts]:
        """The counts by (phase, path, op, tensor)."""
        return {key: total.counts for key, total in self.places.items()}

    @property
    def ran(self) -> list[tuple[str, str]]:
        """Module path and operation of what ran in the forward pass and a policy can name, in order, each once.

        A cast is left out: it says itself what it casts to.
        """
        found = ((path, op) for phase, path, op, _ in self.places if phase == "forward")
        return list(dict.fromkeys((path, op) for path, op in found if op in OPERATIONS and op != "cast"))

    def around(self) -> Trace | None:
        """The trace around this one, if there is one whose context has not been left."""
        while self.outer is not None and self.outer.over:
            self.outer = self.outer.outer
        return self.outer

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        """Add one event, here and to the traces around; ``arrays`` are its operands and its result."""
        if (outer := self.around()) is not None:
            outer.record(event, arrays)
        key = place_of(event)
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = Total()
        kinds = kinds_of(event)
        place.add(event, "swamping" in kinds)
        self.latest.append(event)
        where = self.series.get((event.phase, event.path))
        if where is None:
            where = self.series[event.phase, event.path] = Series()
        where.add(self.step, event)
        if event.lost is not None:
            known = self.constants.setdefault((event.phase, event.path), event)
            if is_eps(event) and known.lost is not None and abs(known.lost.became) == 1:
                self.constants[event.phase, event.path] = event  # a factor near 1 has no divisor to keep from zero
        if (event.counts.invalid or event.counts.divide_by_zero) and event.lost is None:
            self._blame_constant(event)
        for kind in kinds:
            if kind == "swamping" and event.op in REPEATED:
                continue  # see `Total.lasting`
            self._begin(kind, event, arrays)

    def constant_behind(self, event: Event) -> Event | None:
        """The constant that explains a NaN or a pole: one that its operands come from, or the optimizer's own."""
        own = self.constants.get((event.phase, event.path)) if event.phase == "optimizer" else None
        root = event.origin
        return own or (root if root is not None and root.lost is not None else None)

    def _blame_constant(self, event: Event) -> None:
        lost = self.constant_behind(event)
        if lost is not None:
            self._begin("eps lost" if is_eps(lost) else "constant changed", lost, None)

    def promote(self, event: Event) -> None:
        """Count a difference that lost its digits, or a sum its addends, of which something was computed.

        Or subnormal numbers, by which something was divided.
        """
        kind = "cancellation" if event.counts.annulled + event.counts.single else "swamping"
        detail = {"read as": "a number with digits"}
        if event.detail is not None and "faint" in event.detail:
            kind, detail = "underflow", {**event.detail}
        if not any(e.serial == event.serial for e in self.firsts.get(kind, ())):
            self._begin(kind, replace(event, detail=detail), None)

    def _begin(self, kind: str, event: Event, arrays: Mapping[str, Any] | None) -> None:
        known = self.firsts.get(kind, [])
        same = [e for e in known if place_of(e) == place_of(event)]
        if len(same) >= _OF_A_PLACE:
            gone = next((e for e in same if self._harmless(kind, e)), None)
            if gone is None:
                return
            known.remove(gone)  # what came to nothing gives way
        elif not same and len({place_of(e) for e in known}) >= (_PLACES if _may_vanish(kind, event) else 1):
            return
        if any(k == kind and place_of(e) == place_of(event) for k, e in self._pending):
            return
        if self.allow and KINDS[kind].breaks and self._allowed(event):
            return
        if event.phase != "forward" or event.tensor == SCALED:
            self._pending.append((kind, event))
        else:
            self.firsts.setdefault(kind, []).append(event)
        if event.serial not in self.captured and len(self.captured) < 2 * _PLACES:
            kept = {name: _copied(x) for name, x in (arrays or {}).items() if isinstance(x, np.ndarray)}
            self.captured[event.serial] = Frame(event, kept, tuple(self.latest))

    def _allowed(self, event: Event) -> bool:
        for pattern in self.allow:
            path, at, op = pattern.partition("@")
            if (not path or fnmatchcase(event.path, path)) and (not at or fnmatchcase(event.op, op)):
                return True
        return False

    def advance(self, skipped: bool = False) -> None:
        """Begin the next step, here and in the traces around; optimizers and the GradScaler do this.

        ``skipped`` says that the scaler took no step, for there were infinities or NaN among the gradients. They are
        how a scaler finds its scale, and no trouble.
        """
        if (outer := self.around()) is not None:
            outer.advance(skipped)
        if skipped:
            known = [e for kind, events in self.firsts.items() for e in events if KINDS[kind].breaks]
            broken = [e for kind, e in self._pending if KINDS[kind].breaks] or sorted(known, key=lambda e: e.serial)
            self.scaling.skipped(broken[0] if broken else None)
            for _, event in self._pending:
                self.captured.pop(event.serial, None)
        else:
            self.scaling.stepped()
            for kind, event in self._pending:
                self.firsts.setdefault(kind, []).append(event)
        self._pending.clear()
        if skipped and self.loss_broken is not None and self.loss_broken.tensor != SCALED:
            self.scaling.cause = self.loss_broken
        self.loss_broken = None
        if self.step % 64 == 0:
            told = [e for events in self.firsts.values() for e in events]
            self.forget([*told, *self.constants.values(), *filter(None, [self.scaling.cause])])
        self.step += 1
        self.locally = self.step == 1 or self.step % 32 == 0

    def note_scale(self, scale: float, skipped: bool) -> None:
        """Remember the loss scale of a step, here and in the traces around."""
        if (outer := self.around()) is not None:
            outer.note_scale(scale, skipped)
        self.scaling.note(self.step, scale, skipped)

    def events(self) -> list[Event]:
        """The events to blame: of each kind of trouble the first that did harm, in the order in which they happened.

        Infinities and NaN that a mask, a maximum or a choice of elements left out did none, see `left_out`.
        """
        found: dict[int, Event] = {}
        told: set[tuple[str, ...]] = set()
        for kind, event in [*((k, e) for k, events in self.firsts.items() for e in events), *self._pending]:
            once = (kind, *place_of(event)) if KINDS[kind].breaks or event.lost is not None else (kind,)
            if once not in told and not self._harmless(kind, event):
                told.add(once)
                found.setdefault(event.serial, event)
        repeated = [total.lasting for total in self.places.values()]
        lasting = [event for event in repeated if event is not None and not self._is_noise(event)]
        if lasting:
            first = min(lasting, key=lambda event: event.serial)
            found[first.serial] = first
        stuck = self.scaling.stuck(self.step, self.serial, self.rule)
        if stuck is not None:
            found[stuck.serial] = stuck
        return sorted(found.values(), key=lambda event: event.serial)

    def _harmless(self, kind: str, event: Event) -> bool:
        """Whether an event's infinities or NaN were left out of what came after, or its lost digits were."""
        if kind == "cancellation" and event.phase == "forward":
            return self.dissolved(event)
        breaks = KINDS[kind].breaks or (event.lost is not None and not np.isfinite(event.lost.became))
        return breaks and self.killed(event)

    def _is_noise(self, event: Event) -> bool:
        """Whether a parameter's gradients are rounding errors of its module's: of a bias before a normalisation."""
        if event.op != "update":
            return False
        sizes = {key[1]: t.largest for key, t in self.places.items() if key[2] == "update"}
        module = event.path.rpartition(".")[0]
        near = max((size for path, size in sizes.items() if path.rpartition(".")[0] == module), default=0.0)
        return sizes[event.path] < 8 * event.format.eps * near

    def left_out(self) -> list[Event]:
        """Events whose NaN or infinities came to nothing, by a mask, a maximum or a choice of elements."""
        known: dict[tuple[str, ...], Event] = {}
        for kind, events in self.firsts.items():
            for event in events:
                if self._harmless(kind, event):
                    known.setdefault(place_of(event), event)
        return [*known.values()]

    def first_event(self, kind: str | None = None) -> Event | None:
        """The first event of ``kind``, or of any kind; ``ValueError`` for a word that names no kind."""
        if kind is not None and kind not in KINDS:
            raise unknown("klass", kind, NAMES)
        events = self.events()
        return next((e for e in events if kind is None or kind in kinds_of(e)), None)

    def count(self, phase: str | None = None) -> Counts:
        """The counts of all operations, or of one phase."""
        result = Counts()
        for key, total in self.places.items():
            if phase is None or key[0] == phase:
                result += total.counts
        return result

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """One line for each phase, path, op and tensor that raised anything but inexact."""
        rows = [("phase", "path", "op", "tensor", "values", "NaN", "overflow", "div by 0", "flushed", "swamped")]
        for place, c in self.totals.items():
            counts = (c.invalid, c.overflow, c.divide_by_zero, c.flushed, c.swamped)
            if any(counts):
                rows.append((*place, *(f"{n:,}" for n in (c.size, *counts))))  # type: ignore[arg-type]
        return Text(columns(rows, left=4))


guarded_class(Trace, ["__init__", "count", "first_event"])


def patterns(allow: str | Iterable[str]) -> tuple[str, ...]:
    """One pattern or several as a tuple; ``TypeError`` for anything but strings."""
    found = (allow,) if isinstance(allow, str) else tuple(allow)
    if not all(isinstance(pattern, str) for pattern in found):
        raise TypeError(f"allow: {shown(allow)} is not allowed; allowed: patterns, as ['@masked_fill', 'decoder.*']")
    return found


SCALED = "loss scale"  # the label of a loss times its scale
_KEPT = 65536  # elements of an array in a Frame
_OF_A_PLACE = 2  # events of one kind and place that are kept, where the first may come to nothing
_PLACES = 16  # places of one kind whose first event is kept, where a later one may matter though the first did not


def _may_vanish(kind: str, event: Event) -> bool:
    """Whether a trouble may come to nothing, so that a later one elsewhere may matter though the first does not."""
    return KINDS[kind].breaks or event.lost is not None or kind == "cancellation"


def _copied(x: Array) -> Array:
    return x.copy() if x.size <= _KEPT else x.reshape(-1)[:_KEPT].copy()


_Kind = TypeVar("_Kind", bound=Trace)


def active() -> Trace | None:
    """The trace in force, if any."""
    found = around()
    return found if isinstance(found, Trace) else None


class tracing(Context, Generic[_Kind]):  # noqa: N801  # used as a function
    """A context in which the trace that ``make`` gives, or is, records every operation; those around it do too.

    Each time that it is entered ``make`` makes a trace; a trace given as it is may be entered once. When it is left the
    trace is over, and notes no more, also if that is not where it was entered.
    """

    def __init__(self, make: _Kind | Callable[[], _Kind]) -> None:
        self.make = make
        self._open: list[observing[_Kind]] = []

    def __enter__(self) -> _Kind:
        made = self.make() if callable(self.make) else self.make
        if made.over or any(context.observer is made for context in self._open):
            raise RuntimeError("trace: it was entered before; allowed: a new one")
        made.outer = active()
        self._open.append(observing(made))
        return self._open[-1].__enter__()

    def __exit__(self, *exception: object) -> None:
        context = self._open.pop() if self._open else None
        if context is not None:
            context.observer.over = True
        leave(context, "trace")
