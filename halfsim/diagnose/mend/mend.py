"""`hs.mend`: the fixes of what went wrong, each tried on the run itself and measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from halfsim.amp import GradScaler
from halfsim.autograd.policy import AMP, Policy, Rule, as_rule, rule_name
from halfsim.autograd.scope import scope
from halfsim.autograd.trace.fix import Fix, keys
from halfsim.autograd.trace.kinds import HARMLESS, KINDS
from halfsim.diagnose.finding import Finding, finding
from halfsim.diagnose.mend.attempt import Experiment, Outcome, completed
from halfsim.diagnose.mend.grow import shrunk, smallest
from halfsim.diagnose.mend.outcome import distance, same
from halfsim.diagnose.mend.result import Mended, Tried
from halfsim.diagnose.returned import accepted
from halfsim.diagnose.snapshot import listed
from halfsim.nn.module import Module
from halfsim.numerics.formats import bfloat16
from halfsim.numerics.precision import Precision, replace_roles
from halfsim.optim import Optimizer
from halfsim.terminal import bar

TOLERANCE = 1e-2  # of the norm of what the float64 run returns

_WHOLE = (Policy("fp32"), Policy("amp"), Policy("amp_bf16"))  # after everything else
_USUAL = 16  # runs, for the length of the bar
_MOST = 40  # runs in search of a set of operations
_SHRINKING = 12  # runs in search of a part of a set that mends


def mend(
    run: Callable[[], Any],
    target: object = "fp16",
    accept: Callable[[Any], bool] | None = None,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
) -> Mended:
    """Run an experiment in ``target``, find what goes wrong, and try every fix that a machine can apply to it.

    ``run`` is a function without arguments, the whole experiment. It runs once in float64, in which all its tensors
    are made too, once in ``target`` (None: the precision in force), and once for each fix. A policy is put around the
    run; an option is given to the optimizers, scalers and operations that take it. Precisions that the run sets itself
    hold in the run in ``target``, and a policy takes their place. If none of the finding's fixes mends, a set of
    operations is searched that mends if they stay in float32, from the one that broke to those that read its result.

    Each run begins from the same state of ``model``, ``optimizer`` and ``scaler`` (one object or a list), of all such
    objects, lists, dicts and arrays that ``run`` reaches by name, and of the random numbers; afterwards all is as it
    was before.

    A fix mends if the result is right and no trouble as grave as the first is left. The result is what ``run`` returns
    (tensors, arrays, numbers, models, and lists, tuples and dicts of them), or, where it returns no numbers, the
    models, parameters and tensors that it reaches. It is right if its error is at most 1e-2 of the norm of the float64
    result, and infinities and NaN are where that has them; or else if ``accept(result)`` is true. What ``run`` raises
    in ``target`` is part of the finding, what it raises in float64 goes to the caller. ``TypeError`` where ``run`` or
    ``accept`` is no function, ``ValueError`` for a precision that does not exist.

    >>> import halfsim as hs
    >>> found = mend(lambda: (hs.tensor([300.0, 1.0]) ** 2).mean().sqrt())
    >>> found.finding.klass, found.best.policy is not None
    ('overflow', True)
    """
    for name, given in (("run", run), ("accept", accept)):
        if not callable(given) and (given is not None or name == "run"):
            raise TypeError(f"{name}: {type(given).__name__} is not allowed; allowed: a function")
    rule = scope().rule if target is None else as_rule(target, "target")
    handed = [
        *listed(model, Module, "model"),
        *listed(optimizer, Optimizer, "optimizer"),
        *listed(scaler, GradScaler, "scaler"),
    ]
    with bar("mend", _USUAL, "runs") as show:
        experiment = Experiment.of(run, handed, lambda done: show(min(done, _USUAL)))
        try:
            return _Mending(experiment, rule, accept).mended()
        finally:
            experiment.state.restore()


def gravity(klass: str | None) -> int:
    """How grave a class of trouble is; 0 for none."""
    return KINDS[klass].gravity if klass in KINDS and klass not in HARMLESS else 0


def own_trouble(outcome: Outcome, reference: Outcome) -> Finding | None:
    """What the trace of a run finds, without what the float64 run meets in the same place: no precision mends that."""
    found, trace = outcome.finding, outcome.trace
    if found is None or trace is None or not gravity(found.klass) or not shared(found, reference):
        return found
    roots = (e for event in trace.events() for e in (event.origin, event) if e is not None)
    others = (finding(event, trace) for event in roots)
    return next((one for one in others if gravity(one.klass) and not shared(one, reference)), None)


def shared(found: Finding, reference: Outcome) -> bool:
    """Whether the float64 run meets the same trouble in the same place."""
    assert reference.trace is not None
    known, theirs = (found.phase, found.path, found.op), reference.finding
    met = {(e.klass, e.phase, e.path, e.op) for e in reference.trace.events()}
    if theirs is not None:
        met.add((theirs.klass, theirs.phase, theirs.path, theirs.op))
    if (found.klass, *known) in met:
        return True
    kind = KINDS[found.klass]
    names = kind.counted if kind.breaks else ()  # zeros, say, are in any format; whether they harm the events tell
    places = (counts for key, counts in reference.trace.totals.items() if key[:3] == known)
    return any(getattr(counts, name) for counts in places for name in names)


@dataclass
class _Mending:
    experiment: Experiment
    rule: Rule
    accept: Callable[[Any], bool] | None
    finding: Finding | None = None
    override: bool = False
    shared: bool = False  # whether the float64 run meets the trouble too
    known: dict[str, Tried] = field(default_factory=dict)
    tried: list[Tried] = field(default_factory=list)
    most: int = _MOST

    def mended(self) -> Mended:
        self.reference = self.experiment.reference()
        broken = self.experiment.attempt(self.rule)
        error = math.inf if broken.failure else distance(broken.values, self.reference.values)
        right = not broken.failure and self.satisfied(broken, error)
        self.finding, own = broken.finding, own_trouble(broken, self.reference)
        self.shared = own is not self.finding and (right or own is None)  # nothing else made the result wrong
        self.finding = self.finding if self.shared else own
        assert broken.trace is not None
        healthy = right and not gravity(self.klass)
        if broken.trace.inner is not None:  # the run sets a precision itself, which a policy outside cannot reach
            self.override, self.rule = True, broken.trace.inner
        name = rule_name(self.rule)
        if not healthy:
            self.try_all(broken)
        tried, notes = sorted(self.tried, key=self.order), self.notes()
        if tried and not tried[0].mends and not self.shared:
            again = self.experiment.reference()
            if not same(again.values, self.reference.values):
                notes.append("Two runs in float64 differ: make the random numbers inside the run, or pass its objects.")
        found = self.finding
        return Mended(
            name, None if found is None else replace(found, event=None), error, broken.failure, tuple(tried),
            self.override, self.experiment.count, tuple(notes), healthy,
        )  # fmt: skip

    @property
    def klass(self) -> str | None:
        return None if self.finding is None else self.finding.klass

    def try_all(self, broken: Outcome) -> None:
        assert broken.trace is not None
        for fix in [] if self.finding is None or self.klass == "benign rounding" else self.finding.fixes:
            self.attempt(fix)
        if self.shared or self.klass == "scaler":
            return
        if any(one.mends for one in self.tried):
            self.shrink()
            return
        found = None
        if self.finding is not None and self.finding.phase != "optimizer":  # whose kernels no "@op" rules
            found = smallest(self.finding, broken.trace, self.holds)
        if found is not None:
            self.attempt(self.kept(found))
            return
        for fix in self.of_the_whole():
            if not any(one.mends for one in self.tried):
                self.attempt(fix)

    def shrink(self) -> None:
        """Look for fewer operations that mend too, where a policy for several does."""
        base = dict(self.rule.rules) if isinstance(self.rule, Policy) else {}
        policies = [one.fix.policy for one in self.tried if one.mends and one.fix.policy and not one.fix.option]
        sets = [[key for key, spec in p.rules if base.get(key) != spec] for p in policies]
        many = min(sets, key=len, default=[])
        if len(many) > 1:
            self.most = self.experiment.count + _SHRINKING
            few = shrunk(many, self.holds)
            if len(few) < len(many):
                self.attempt(self.kept(few))

    def of_the_whole(self) -> list[Fix]:
        """What is tried last."""
        narrow = self.rule.storage if isinstance(self.rule, Precision) else None
        lists = Policy("amp_bf16") if narrow == bfloat16 else AMP
        return [
            Fix("run it under autocast's lists", lists),
            Fix("run all of it in float32", Policy("fp32")),
            Fix("ask for float32 wherever it asks for half: hs.tensor, .to, .half", option={"tensors": "fp32"}),
        ]

    def holds(self, patterns: list[str]) -> bool:
        """Whether the run is mended by keeping ``patterns`` in float32."""
        if self.experiment.count >= self.most:
            return False
        return self.measured(self.kept(patterns)).mends

    def kept(self, patterns: list[str]) -> Fix:
        parts = [pattern.partition("@") for pattern in patterns]
        names = [f"{op} in {path}" if path else op for path, _, op in parts]
        words = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        return self.full(Fix(f"keep {words} in float32", Policy(dict.fromkeys(patterns, "fp32"))))

    def attempt(self, fix: Fix) -> None:
        """Try a fix, unless the same was tried, and add it to the table."""
        one = self.measured(self.full(fix))
        if not any(one.fix.how == other.fix.how and one.fix.how for other in self.tried):
            self.tried.append(one)

    def full(self, fix: Fix) -> Fix:
        """``fix`` with a policy that rules the whole run."""
        option = fix.option
        if fix.policy is None and option is not None and option.keys() == {"accumulate"}:
            if isinstance(self.rule, Precision):
                return replace(fix, policy=Policy({"default": replace_roles(self.rule, **option)}), option=None)
            return replace(fix, option=None)
        return fix if fix.policy is None else replace(fix, policy=completed(fix.policy, self.rule))

    def measured(self, fix: Fix) -> Tried:
        """What ``fix`` does to the run."""
        if fix.policy is None and not fix.option:
            return Tried(fix, False, False, math.nan, None, "needs a person")
        name = repr((None if fix.policy is None else keys(fix.policy), fix.option))
        if name in self.known:
            return replace(self.known[name], fix=fix)
        outcome = self.experiment.attempt(fix.policy or self.rule, self.override, fix.option, self.finding)
        self.known[name] = self.judged(fix, outcome)
        return self.known[name]

    def judged(self, fix: Fix, outcome: Outcome) -> Tried:
        if fix.policy is None and not outcome.used:
            return Tried(fix, False, False, math.nan, None, "nothing in the run takes it")
        found = outcome.finding if self.shared else own_trouble(outcome, self.reference)
        klass = None if found is None else found.klass
        left = klass if gravity(klass) else None
        if outcome.failure:
            return Tried(fix, True, False, math.inf, left, f"raised {outcome.failure}")
        error = distance(outcome.values, self.reference.values)
        reason = ""
        if not self.satisfied(outcome, error):
            reason = "the result is off" if self.accept is None else "not accepted"
        elif left is not None and gravity(left) >= gravity(self.klass):
            reason = f"{left} is left"
        return Tried(fix, True, not reason, error, left, reason)

    def satisfied(self, outcome: Outcome, error: float) -> bool:
        """Whether the result is as it should be; where there is none, nothing speaks against it."""
        if self.accept is None:
            return math.isnan(error) or error <= TOLERANCE
        return accepted(self.accept, outcome.returned)

    def order(self, one: Tried) -> tuple[int, int, int]:
        """What mends first, and of that what is of the recommended kind, an option or a policy.

        Policies by how few operations they keep in float32, options by what trouble is left; what changes every
        operation comes last.
        """
        policy = one.fix.policy
        first = None if self.finding is None or not self.finding.fixes else self.finding.fixes[0]
        by_option = first is not None and first.policy is None and first.option is not None
        kind = 2 if policy is not None and not policy.rules else int((policy is None) != by_option)
        many = gravity(one.klass) if policy is None else len(policy.rules) + 100 * (policy in _WHOLE)
        return (0 if one.mends else 1 if one.applied else 2), kind, many

    def notes(self) -> list[str]:
        notes = []
        values = self.reference.values.values()
        if self.shared:
            notes.append("The float64 run meets this trouble, too: it is not the precision's, and no other mends it.")
        elif not all(np.isfinite(x).all() for x in values):
            notes.append("The float64 run is not finite either: no precision mends it.")
        if self.tried and not self.reference.values and self.accept is None:
            notes.append("The run returns no numbers: fixes are judged by the trouble that is left alone.")
        if self.override:
            notes.append("The run sets precisions itself; policies were tried in their place (override=True).")
        return notes
