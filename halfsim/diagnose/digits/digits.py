"""`hs.significant_digits`: a run under random rounding, many times, beside the same run as it is and in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from halfsim.amp import GradScaler
from halfsim.autograd.policy import PROMOTE, Policy, Rule, as_rule, rule_name
from halfsim.autograd.scope import scope
from halfsim.diagnose.digits.at_random import at_random
from halfsim.diagnose.digits.estimate import share_of_all, shift
from halfsim.diagnose.digits.experiment import Experiment
from halfsim.diagnose.digits.result import SignificantDigits
from halfsim.diagnose.digits.rows import Rows
from halfsim.diagnose.snapshot import listed
from halfsim.nn.module import Module
from halfsim.numerics.formats import whole
from halfsim.numerics.precision import FP64, Precision
from halfsim.optim import Optimizer
from halfsim.optim.lr_scheduler import LRScheduler
from halfsim.options import shown


def significant_digits(
    run: Callable[[], Any],
    precision: object = None,
    *,
    runs: int = 8,
    seed: int = 0,
    reference: object = "fp64",
    probability: float = 0.95,
    confidence: float = 0.95,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
    scheduler: Any = None,
) -> SignificantDigits:
    """How many digits are left of what a run computes: it is run ``runs`` times with every rounding at random.

    ``run`` is a function without arguments, as in `halfsim.compare`: it returns tensors, arrays, numbers, models, or
    lists, tuples and dicts of them. ``precision`` is by default the one in force; it overrides those inside. Under
    random rounding each number goes up or down with a probability by its distance (Parker's Monte Carlo arithmetic),
    from a stream of its own for each run and ``seed``; how far the runs spread tells how many digits the roundings
    leave, of each result and of what each module computes. See `DigitsRow` for the bits that are told, and how sure
    they are by ``probability`` and ``confidence`` (Sohier and others 2021).

    Beside them stands in how many bits the run as it is agrees with the run in ``reference``, in which everything is
    carried, and, where the two do not fit, why. All runs begin from the same state and random numbers, as in
    `halfsim.compare`, and afterwards all is as before; what a run draws is the same in each.

    Results that are NaN or infinite in some runs have no digits, zeros that are the same in all runs have all. Memory
    and time are about those of ``runs`` + 3 runs. ``TypeError`` where ``run`` is no function, ``ValueError`` for fewer
    than 2 runs, where no precision is in force, for one that computes in float64, and where nothing was computed. What
    ``run`` raises is raised, but under random rounding, where it is told.

    >>> import halfsim as hs
    >>> found = significant_digits(lambda: hs.tensor([1 / 3]) * hs.tensor([3.0]) - 1, "pure_fp16")
    >>> found["result"].lower
    0.0
    """
    if not callable(run):
        raise TypeError(f"run: {type(run).__name__} is not allowed; allowed: a function without arguments")
    if whole("runs", runs) < 2:
        raise ValueError(f"runs: {runs} is not allowed; allowed: integers from 2")
    if whole("seed", seed) < 0:
        raise ValueError(f"seed: {seed} is not allowed; allowed: integers from 0")
    for name, x in (("probability", probability), ("confidence", confidence)):
        if not 0 < x < 1:
            raise ValueError(f"{name}: {shown(x)} is not allowed; allowed: numbers above 0 and below 1")
    rule, high = _rule(precision), as_rule(reference, "reference")
    if not isinstance(high, Precision):
        raise ValueError(f"reference: {high} is not allowed; allowed: a precision, as {FP64}")
    drawn = [at_random(rule, seed, i) for i in range(runs)]
    given = [
        *listed(model, Module, "model"), *listed(optimizer, Optimizer, "optimizer"),
        *listed(scaler, GradScaler, "scaler"), *listed(scheduler, LRScheduler, "scheduler"),
    ]  # fmt: skip
    done = Experiment.of(run, given).carried_out(rule, high, drawn)
    taken = shift(runs, probability, confidence)
    rows = Rows(done, rule, taken)
    if not (rows.returned or rows.told):
        raise ValueError(f"run: it returned {type(done.last).__name__} and computed nothing; allowed: numbers, tensors")
    return SignificantDigits(
        rule_name(rule), rule_name(high), runs, seed, probability, confidence, share_of_all(runs, confidence),
        tuple(rows.returned), tuple(rows.modules()), tuple(rows.notes()),
    )  # fmt: skip


def _rule(precision: object) -> Rule:
    """The rule that was asked for, or the one in force."""
    if precision is None:
        rule = scope().rule
        if rule is PROMOTE:
            raise ValueError("precision: none is in force; allowed: one, as 'fp16', or a call inside of hs.precision")
        return rule
    rule = as_rule(precision)
    return Policy("promote") if rule is PROMOTE else rule  # under which random numbers are drawn as in a reference
