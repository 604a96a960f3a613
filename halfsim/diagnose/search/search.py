"""`hs.search_policy`: the smallest part of a model that must stay in a wider precision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.policy import Base, Policy
from halfsim.autograd.scope import precision, scope
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.kinds import KINDS, kind_of, kinds_of
from halfsim.autograd.trace.trace import Trace, tracing
from halfsim.diagnose import foreign
from halfsim.diagnose.ddmin import SpentError, sufficient
from halfsim.diagnose.returned import accepted, raised
from halfsim.diagnose.search.result import PolicySearch, Try, summarized
from halfsim.diagnose.search.units import DEFAULT, Hierarchy, Units
from halfsim.diagnose.snapshot import Snapshot
from halfsim.nn.module import Module
from halfsim.numerics.formats import unknown, whole
from halfsim.terminal import bar

GRANULARITIES = ("both", "modules", "ops")

_USUAL = 40  # tries, for the length of the bar


def search_policy(
    step: Callable[[], Any],
    target: object = "fp16",
    fallback: object = "fp32",
    accept: Callable[[Any], bool] | None = None,
    *,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
    granularity: str = "both",
    max_evaluations: int | None = None,
    progress: Callable[[int], Any] | bool | None = None,
) -> PolicySearch:
    """The smallest set of modules and operations that must stay in ``fallback`` for ``accept`` to hold.

    ``step()`` is the experiment; it is run under one policy after another (each overrides every precision inside), and
    ``accept`` judges what it returns. Without ``accept``, all that is returned must be finite, and no operation may
    have overflowed or made a NaN (steps that a scaler skips aside). A ``step`` that raises is rejected; what it raises
    under ``fallback`` alone goes to the caller, unless it is an ArithmeticError or an AssertionError. Every try starts
    from the same random numbers and, as far as they are given, the same ``model``, ``optimizer`` and ``scaler`` (lists
    of several are taken), which are left as they were.

    Modules are searched by halves, blocks first, then what is inside; with ``granularity`` "both", the operations of
    what was found as well ("path@op"; "@op" outside all modules); with "modules" modules stay whole; "ops" looks for
    operations wherever they are. "default" stands for the tensors that ``step`` makes, weights and data. Of
    the result nothing can be left out; where several such sets exist, a smaller one may be missed. After
    ``max_evaluations`` tries it is what was found so far. ``progress`` is called with the number of tries; None shows
    a bar on a terminal, False nothing. ``ValueError`` for a wrong word.

    >>> import halfsim as hs
    >>> net = hs.nn.Sequential(hs.nn.Linear(2, 2), hs.nn.ReLU(), hs.nn.Linear(2, 2))
    >>> net[0].weight.array[:] = 300.0
    >>> found = hs.search_policy(lambda: net(hs.tensor([300.0, 300.0])).sum(), model=net, max_evaluations=20)
    >>> "0" in found.kept, found.policy.precision("relu", "1").storage.name
    (True, 'float32')
    """
    rules = _Rules(target, fallback)
    if granularity not in GRANULARITIES:
        raise unknown("granularity", granularity, GRANULARITIES)
    for name, given in (("step", step), ("accept", accept)):
        if not callable(given) and (given is not None or name == "step"):
            raise TypeError(f"{name}: {type(given).__name__} is not allowed; allowed: a function")
    if scope().override:
        raise ValueError("search_policy: a precision with override=True is in force; allowed: outside it")
    budget = math.inf if max_evaluations is None else whole("max_evaluations", max_evaluations)
    if budget < 1:
        raise ValueError(f"max_evaluations: {max_evaluations} is not allowed; allowed: integers from 1")
    before = Snapshot(*(x for given in (model, optimizer, scaler) for x in _several(given)))
    try:
        with _shown(progress, max_evaluations) as show:
            return _Search(step, rules, accept, before, budget, granularity, show).run()
    finally:
        before.restore()


class _Rules:
    """The two precisions, as policies take them and as they print."""

    def __init__(self, target: object, fallback: object) -> None:
        self.base: dict[bool, Base] = {}
        self.word: dict[bool, str] = {}
        for kept, spec in ((False, target), (True, fallback)):
            policy = Policy({"default": spec})
            self.base[kept], self.word[kept] = policy.default, str(policy)
        if self.base[False] == self.base[True]:
            raise ValueError(f"fallback: {self.word[True]} is the target too; allowed: another precision")

    def policy(self, patterns: Mapping[str, bool]) -> Policy:
        return Policy({pattern: self.base[keep] for pattern, keep in patterns.items()})


@dataclass
class _Search:
    step: Callable[[], Any]
    rules: _Rules
    accept: Callable[[Any], bool] | None
    before: Snapshot
    budget: float
    granularity: str
    show: Callable[[int], Any]
    ran: Hierarchy = field(default_factory=Hierarchy)
    tries: list[Try] = field(default_factory=list)
    known: dict[Units, Try] = field(default_factory=dict)

    @property
    def by_op(self) -> bool:
        return self.granularity == "ops"

    def run(self) -> PolicySearch:
        everything: Units = frozenset([DEFAULT])
        try:
            low, high = Trace(frames=0), Trace(frames=0)
            self.known[frozenset()] = self.attempt(self.rules.policy({"default": False}), (), low)
            if self.holds(frozenset()):
                return self.result(frozenset())
            wide = self.attempt(self.rules.policy({"default": True}), ("default",), high, own_errors=False)
            self.ran = Hierarchy([*low.ran, *high.ran])
            everything |= self.ran.all
            self.known[everything] = wide
            if not wide.accepted:
                return self.result(None, f"rejected with everything in {self.rules.word[True]}: {wide.reason}")
            return self.result(self.shrunk(everything))
        except SpentError:
            accepted = [kept for kept, found in self.known.items() if found.accepted]
            if not accepted:
                return self.result(None, "the tries ran out before one was accepted", complete=False)
            return self.result(min(accepted, key=len), complete=False)

    def shrunk(self, everything: Units) -> Units:
        """The smallest set of units, from the outermost modules inwards."""
        base = [] if self.holds(self.ran.all) else [everything - self.ran.all]
        if base and self.holds(base[0]):
            return base[0]
        elements = self.ran.by_op() if self.by_op else self.ran.blocks()
        while True:
            found = sufficient(elements, lambda some: self.holds(frozenset().union(*some)), base)
            elements = [part for e in found for part in self.ran.finer(e, self.granularity == "both")]
            if self.by_op or elements == found:
                break
        kept: Units = frozenset().union(*base, *found)
        if self.granularity == "modules":
            entire: Units = frozenset().union(*base, *self.ran.modules(found))
            kept = entire if self.holds(entire) else kept
        return self.settled(kept)

    def settled(self, kept: Units) -> Units:
        """What is left when nothing that has a name can be left out any more."""
        names = list(self.ran.names(kept, self.by_op).values())
        for units in names:
            if self.holds(kept - units):
                return self.settled(kept - units)
        return kept

    def holds(self, kept: Units) -> bool:
        """Whether the experiment is accepted where ``kept`` stays in the fallback."""
        if kept not in self.known:
            names = tuple(self.ran.names(kept, self.by_op))
            self.known[kept] = self.attempt(self.rules.policy(self.ran.rules(kept, self.by_op)), names)
        return self.known[kept].accepted

    def attempt(
        self, policy: Policy, names: tuple[str, ...], trace: Trace | None = None, own_errors: bool = True
    ) -> Try:
        """Run the experiment once; without ``own_errors``, those that are not about numbers go to the caller."""
        if len(self.tries) >= self.budget:
            raise SpentError
        watched = Trace(frames=0)
        self.before.restore()
        began, value, reason = time.perf_counter(), None, ""
        with ExitStack() as stack:
            stack.enter_context(precision(policy, override=True))
            for one in (trace, watched if self.accept is None else None):
                if one is not None:
                    stack.enter_context(tracing(one))
            try:
                value = self.step()
            except Exception as error:
                if isinstance(error, ValueError) and str(error).startswith("policy: "):  # a path that a model lacks
                    raise ValueError("step: it runs several models; allowed: one, which holds them all") from error
                if not own_errors and not isinstance(error, (ArithmeticError, AssertionError)):
                    raise
                reason = f"raised {raised(error)}"
        seconds = time.perf_counter() - began
        if not reason and self.accept is not None:
            reason = "" if accepted(self.accept, value) else "not accepted"
        reason = reason or (_trouble(value, watched) if self.accept is None else "")
        self.tries.append(Try(names, policy, not reason, reason, summarized(value), seconds))
        self.show(len(self.tries))
        return self.tries[-1]

    def result(self, kept: Units | None, reason: str = "", complete: bool = True) -> PolicySearch:
        chosen, without, repeatable = None, {}, True
        if kept is not None:
            chosen = self.known[kept]
            parts = self.ran.names(kept, self.by_op)
            without = {name: self.known[kept - own] for name, own in parts.items() if kept - own in self.known}
            repeatable = not (kept and complete) or self.repeats(chosen)
        policy, names = (None, ()) if chosen is None else (chosen.policy, chosen.kept)
        words, modules = (self.rules.word[False], self.rules.word[True]), len(self.ran.paths)
        tries = tuple(self.tries)
        return PolicySearch(
            chosen is not None, policy, names, *words, reason, modules, complete, repeatable, without, tries
        )

    def repeats(self, chosen: Try) -> bool:
        """Whether a policy tried before gives the same once more."""
        if len(self.tries) >= self.budget:
            return True
        again = self.attempt(chosen.policy, chosen.kept)
        return (again.accepted, repr(again.value)) == (chosen.accepted, repr(chosen.value))


def _trouble(value: Any, trace: Trace) -> str:
    """What is wrong with a run: an overflow or NaN in its operations, or in what it returned; empty if nothing is."""
    for event in trace.events():
        if any(KINDS[name].breaks for name in kinds_of(event)):
            return f"{kind_of(event)} in {event.place}"
    return "" if _finite(value) else "returned a number that is not finite"


def _finite(value: Any) -> bool:
    value = foreign.read(value)
    if isinstance(value, Module):
        return _finite([*value.parameters(), *value.buffers()])
    if isinstance(value, Mapping):
        return all(_finite(item) for item in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_finite(item) for item in value)
    if value is None or isinstance(value, (str, bytes)):
        return True
    array = np.asarray(value.array if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"step: it returned {type(value).__name__}; allowed: numbers, tensors, or accept=")
    return bool(np.isfinite(array).all())


def _several(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


@contextmanager
def _shown(progress: Callable[[int], Any] | bool | None, most: int | None) -> Iterator[Callable[[int], Any]]:
    """The function to tell of every try."""
    if callable(progress):
        yield progress
    elif progress is False:
        yield lambda done: None
    elif progress is None or progress is True:
        with bar("search_policy", most or _USUAL, "tries") as show:
            yield lambda done: show(min(done, most or _USUAL))
    else:
        raise TypeError(f"progress: {type(progress).__name__} is not allowed; allowed: a function, None, False")
