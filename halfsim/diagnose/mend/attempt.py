"""One run of an experiment under given conditions, from the state that it began with, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextvars import copy_context
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.amp import GradScaler
from halfsim.autograd.making import tensor
from halfsim.autograd.observer import observing
from halfsim.autograd.overrides import REMEDIES, Overrides, overriding
from halfsim.autograd.policy import Policy, Rule
from halfsim.autograd.scope import carried_in, precision, scope, scoped
from halfsim.autograd.trace.event import Event
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.mend.outcome import Values, values_of
from halfsim.diagnose.reach import reached
from halfsim.diagnose.returned import raised
from halfsim.diagnose.snapshot import Snapshot
from halfsim.diagnose.trace import Trace
from halfsim.numerics.formats import as_format, float64
from halfsim.numerics.precision import FP64
from halfsim.numerics.rounding import Stochastic
from halfsim.optim import EMA, Optimizer


class AttemptTrace(Trace):
    """A trace that notices whether the run sets precisions itself.

    ``outside`` is the rule around the run; ``inner`` is the first other one that an operation ran under, or None.
    """

    def __init__(self, outside: Rule) -> None:
        super().__init__()
        self.outside = outside
        self.inner: Rule | None = None

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        if self.inner is None and event.rule is not self.outside:
            self.inner = event.rule
        super().record(event, arrays)


@dataclass(frozen=True)
class Outcome:
    """What a run left: its ``returned`` value and that as arrays, or the exception that ended it; its trace."""

    returned: Any
    values: Values
    failure: str = ""
    trace: AttemptTrace | None = None
    finding: Finding | None = None
    used: frozenset[str] = frozenset()


@dataclass
class Experiment:
    """A run, what it may change, and the state to begin from every time."""

    run: Callable[[], Any]
    objects: list[Any]
    state: Snapshot
    count: int = 0
    show: Callable[[int], Any] = field(default=lambda done: None)

    @classmethod
    def of(cls, run: Callable[[], Any], given: list[Any], show: Callable[[int], Any]) -> Experiment:
        """The experiment ``run`` as it stands, with the objects ``given`` and those that it reaches."""
        reach = reached(*given, run)
        state = Snapshot(*reach.objects)
        for held in reach.held:
            state.keep(held)  # what is written into them comes back too
        return cls(run, reach.objects, state, show=show)

    def reference(self) -> Outcome:
        """The run in float64, in which everything is carried; what it raises goes to the caller."""
        self.state.restore(float64)

        def inside() -> Outcome:
            with self._begun(FP64, True), carried_in(float64), observing(AttemptTrace(FP64)) as trace:
                returned = self.run()
                return Outcome(returned, values_of(returned, self.objects), trace=trace, finding=trace.verdict())

        return self._counted(inside)

    def attempt(
        self, rule: Rule, override: bool = False, option: Mapping[str, Any] | None = None, about: Finding | None = None
    ) -> Outcome:
        """The run under ``rule`` and a trace of its own, with ``option`` in force; ``about`` is what that is for."""
        self.state.restore()

        def inside() -> Outcome:
            with ExitStack() as stack:
                found = Overrides({})
                if option is not None:
                    f = about
                    meant = () if f is None else (f.op, f.values.get("constant"), f.phase == "optimizer")
                    found = stack.enter_context(overriding(option, *meant))
                    for x in self.objects:
                        _change(x, found)
                stack.enter_context(self._begun(copy(rule), override))  # told from an equal one set inside
                if option is not None and "tensors" in option:
                    stack.enter_context(carried_in(as_format(option["tensors"])))
                    found.used.add("tensors")
                trace = stack.enter_context(observing(AttemptTrace(scope().rule)))
                returned, failure = None, ""
                try:
                    returned = self.run()
                except (Exception, SystemExit) as error:
                    failure = raised(error)
            values = {} if failure else values_of(returned, self.objects)
            return Outcome(returned, values, failure, trace, trace.verdict(), frozenset(found.used))

        return self._counted(inside)

    def _begun(self, rule: Rule, override: bool) -> ExitStack:
        """A context for one run: the random numbers of the beginning, no scope from outside, the precision."""
        self.state.reseed(None)
        stack = ExitStack()
        stack.enter_context(scoped(override=False, path="", base="", phase="forward", gradients=True))
        stack.enter_context(precision(rule, override=override))
        return stack

    def _counted(self, inside: Callable[[], Outcome]) -> Outcome:
        with np.errstate():
            found = copy_context().run(inside)
        self.count += 1
        self.show(self.count)
        return found


def _change(x: Any, overrides: Overrides) -> None:
    """Give an object that was made before the run the options in force; its snapshot undoes it."""
    if isinstance(x, Optimizer):
        _change_optimizer(x, overrides)
    elif isinstance(x, GradScaler):
        _change_scaler(x, overrides)
    elif isinstance(x, EMA) and "format" in overrides.options:
        overrides.used.add("format")
        x.averages = [tensor(average, as_format(overrides.options["format"])) for average in x.averages]


def _change_optimizer(x: Optimizer, overrides: Overrides) -> None:
    name = type(x).__name__
    for group in (x.defaults, *x.param_groups):
        group.update(overrides.taken(name, group))
    before = {remedy: getattr(x, remedy) for remedy in REMEDIES}
    after = overrides.taken(name, before)
    if after != before:
        source = after["rounding"]
        x.master_weights, x.kahan = bool(after["master_weights"]), bool(after["kahan"])
        x.rounding = Stochastic() if isinstance(source, str) else source
        x.load_state_dict({key: value for key, value in x.state_dict().items() if key != "remedy"})  # in its formats


def _change_scaler(x: GradScaler, overrides: Overrides) -> None:
    names = {"init_scale": "_init_scale", "min_scale": "_low", "max_scale": "_high", "dynamic": "_dynamic"}
    names |= {name: f"_{name}" for name in ("growth_factor", "backoff_factor", "growth_interval", "enabled")}
    after = overrides.taken("GradScaler", {name: getattr(x, own) for name, own in names.items()})
    after |= {name: end for name, end in (("min_scale", 0.0), ("max_scale", math.inf)) if after[name] is None}
    for name, value in after.items():
        setattr(x, names[name], value)
    x._init_scale = min(max(x._init_scale, x._low), x._high)
    if x._scale is not None and overrides.options.keys() & {"init_scale", "min_scale", "max_scale"}:
        now = after["init_scale"] if "init_scale" in overrides.options else float(x._scale)
        x._scale = np.float32(min(max(now, x._low), x._high))


def completed(policy: Policy, base: Rule) -> Policy:
    """``policy`` with what it leaves open as ``base`` has it: alone in force, it rules the whole run."""
    if not policy.rules or policy.default != "promote":
        return policy
    if isinstance(base, Policy):
        return Policy({"default": base.default, **dict(base.rules), **dict(policy.rules)})
    return Policy({"default": base, **dict(policy.rules)})
