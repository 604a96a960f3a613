"""What explains numbers that are further off than they may be: the operation, and what was done otherwise there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd.observer import Observer
from halfsim.autograd.policy import Policy, Rule
from halfsim.numerics.accumulate import Accumulator
from halfsim.numerics.precision import Precision, replace_roles
from halfsim.numerics.quantize import Array
from halfsim.testing.perturbed import Noise, Perturbing, Ran

if TYPE_CHECKING:
    from halfsim.testing.expected import Expected, Run

# What a kernel may have done otherwise in one operation: roles of a Precision, made of those that it should have had.
_CHANGES: tuple[Callable[[Precision], dict[str, Any]], ...] = (
    lambda p: {"accumulate": Accumulator(p.storage, "sequential")},
    lambda p: {"compute": p.storage, "accumulate": Accumulator(p.storage, "sequential")},
    lambda p: {"rounding": "toward_zero"},
    lambda p: {"subnormals": "flush"},
)
_PARTS = 8  # runs for each operation that measure its part of the error


def cause(run: Run, given: Array, expected: Expected, worst: int) -> str:
    """A sentence on the operation where the error of element ``worst`` was made, as far as it can be known.

    Each operation of the function is done otherwise in turn, as a kernel may have done it; what then gives the numbers
    ``given``, to within the tolerance, explains them. Where nothing does, the operation that has the largest part in
    the error to be expected is where to look first.
    """
    seen = Perturbing(Noise())
    run.run(run.rule, seen)
    best: tuple[float, str] = (1.0, "")
    for where, roles, rule in _candidates(run.rule, seen.ran):
        found = np.asarray(run.run(rule, Observer()).array, np.float64)
        with np.errstate(all="ignore"):
            off = np.where(same(found, given), 0.0, np.abs(found - given) / expected.limit)
        distance = float(np.nan_to_num(np.max(off), nan=np.inf))
        if distance < best[0]:
            gives = "gives these very numbers" if distance == 0 else "gives numbers within the tolerance of these"
            best = distance, f"{where} with {roles} {gives}"
    return best[1] or _largest_part(run, seen.ran, expected, worst)


def _candidates(rule: Rule, ran: list[Ran]) -> Iterator[tuple[str, str, Rule]]:
    """Where, what was done otherwise, and the rule that does so."""
    rules: dict[str, Any] = {"default": rule} if isinstance(rule, Precision) else dict(rule.rules)
    if isinstance(rule, Policy):
        rules["default"] = rule.default
    for step in {step.op: step for step in reversed(ran) if not step.exact}.values():
        for change in _CHANGES:
            roles = {k: v for k, v in change(step.precision).items() if getattr(step.precision, k) != v}
            if not roles:
                continue
            try:
                other = replace_roles(step.precision, **roles)
            except ValueError:  # of a format that is not computed in
                continue
            words = ", ".join(f"{name}={value}" for name, value in roles.items())
            yield str(step), words, Policy({**rules, f"@{step.op}": other})


def _largest_part(run: Run, ran: list[Ran], expected: Expected, worst: int) -> str:
    steps = [step for step in ran if not step.exact]
    if not steps:
        return ""
    reference = run.moved(Noise())[0]
    moved = [run.slopes(run.random.standard_normal, _PARTS, True, reference, step.number) for step in steps]
    parts = np.array([np.nan_to_num(np.mean(x.reshape(_PARTS, -1)[:, worst] ** 2)) for x in moved])
    if not parts.sum():
        return f"the last operation is {steps[-1]}"
    first = int(np.argmax(parts))
    return f"of the error to be expected there {parts[first] / parts.sum():.0%} is made in {steps[first]}".replace(
        "%", " %"
    )


def same(a: Array, b: Array) -> Array:
    """Where two arrays have the same number, or both NaN."""
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))
