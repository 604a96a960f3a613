"""`hs.compare`: the same experiment in two precisions, from the same state, result by result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isfinite, nan
from typing import Any

import numpy as np

from halfsim.amp import GradScaler
from halfsim.autograd.policy import Rule, as_rule, rule_name
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.shadow import error
from halfsim.diagnose.compare.cause import first_divergence, plain_finding, roundoff, stopped, verdict
from halfsim.diagnose.compare.meter import Meter
from halfsim.diagnose.compare.recorder import Recorder, Store
from halfsim.diagnose.compare.result import Comparison, ResultRow
from halfsim.diagnose.reach import reached
from halfsim.diagnose.returned import numbers
from halfsim.diagnose.snapshot import Snapshot, listed, run_under
from halfsim.nn.module import Module
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.formats import Format, as_format, bfloat16, float16
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.optim import Optimizer
from halfsim.optim.lr_scheduler import LRScheduler


def compare(
    run: Callable[[], Any],
    precision: object = "fp16",
    reference: object = "fp64",
    *,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
    scheduler: Any = None,
    seed: int | None = None,
    tolerance: float | None = None,
) -> Comparison:
    """Run an experiment once under ``reference`` and once under ``precision``, and compare every result.

    ``run`` is a function without arguments, the whole experiment: it may build its model, take any number of steps,
    and return tensors, arrays, numbers, models, or lists, tuples and dicts of them, which are compared too. Both
    precisions override those inside.

    Both runs begin from the same random numbers (``seed``, or those of the generator in force) and from the same state
    of ``model``, ``optimizer``, ``scaler`` and ``scheduler`` (each one object or a list) and of other such objects
    that ``run`` reaches by name; afterwards all have the state from before. An object that ``run`` reaches in another
    way, and changes, makes the two runs begin differently. In the reference run parameters, optimizer state and what
    ``run`` makes in a narrower format (``.half()``, ``hs.tensor(..., "fp16")``) are in the storage of the reference,
    so that it does not round away what is looked for; ``notes`` say what could not be.

    A result is off if the norm of its error is more than ``tolerance`` times the norm of the reference's result (by
    default 0.1, or twice the eps of the precision if that is more), or if one of the two has a NaN or an infinity
    where the other has none. Where both have NaN nothing can be compared, and that is no agreement. The reference may
    be a low precision too: if it alone has trouble, the verdict says so. Casts are not compared, nor gradients and
    updates of steps that a GradScaler skipped; gradients under different loss scales are divided by these first. An
    exception under ``precision`` ends that run and is part of the verdict; one under ``reference`` is raised.

    Memory is bounded: of each result up to 4,096 elements are kept, and of the reference at most 256 steps and 80 MB;
    of longer runs every second step is compared, every fourth, and so on. ``TypeError`` where ``run`` is no function,
    ``ValueError`` for a precision that does not exist and for a ``tolerance`` that is not above 0.

    >>> import halfsim as hs
    >>> c = compare(lambda: (hs.tensor([300.0]) * 300.0).sum(), "fp16")
    >>> c.verdict().klass, c.verdict().op
    ('overflow', 'mul')
    """
    low, high = as_rule(precision), as_rule(reference, "reference")
    if not callable(run):
        raise TypeError(f"run: {type(run).__name__} is not allowed; allowed: a function without arguments")
    limit = max(0.1, 2 * coarsest(low).eps) if tolerance is None else tolerance
    if not limit > 0:
        raise ValueError(f"tolerance: {tolerance} is not allowed; allowed: numbers above 0")
    parts = [
        *listed(model, Module, "model"),
        *listed(optimizer, Optimizer, "optimizer"),
        *listed(scaler, GradScaler, "scaler"),
        *listed(scheduler, LRScheduler, "scheduler"),
        *reached(run).objects,
    ]
    snapshot, store = Snapshot(*parts), Store()
    carry = high.storage if isinstance(high, Precision) else None
    first = Recorder(store.put, store.wants, events=False, carry=carry)
    try:
        snapshot.restore(carry)
        returned = [_outcome(run_under(run, high, first, snapshot, seed, carry), parts)]
        first.finish()
        meter = Meter(store.steps, limit, coarsest(low).eps)
        second = Recorder(meter.measure, store.steps.__contains__, events=True)
        snapshot.restore()
        failure = None
        try:
            returned.append(_outcome(run_under(run, low, second, snapshot, seed), parts))
        except Exception as raised:
            failure = raised
        second.finish()
    finally:
        snapshot.restore()
    notes = [*stopped(meter, first, second, failure), *roundoff(meter, coarsest(low).name), *_uncarried(first, high)]
    return _comparison((low, high), meter, (first, second), returned, [*notes, *_notes(meter, store)])


def coarsest(rule: Rule) -> Format:
    """The format of lowest precision that a rule names; float16 where it names none."""
    if isinstance(rule, Precision):
        operands = rule.operands.element if isinstance(rule.operands, BlockFormat) else rule.operands
        return max((rule.storage, rule.compute, operands), key=lambda fmt: fmt.eps)
    bases = [rule.default, *(base for _, base in rule.rules)]
    formats = [coarsest(b) if isinstance(b, Precision) else bfloat16 if b == "amp_bf16" else float16 for b in bases]
    return max(formats, key=lambda fmt: fmt.eps)


Values = dict[str, "Array | Tensor"]


def _outcome(returned: Any, parts: list[Any]) -> Values:
    """The values that a run returned, by name; where there are none, the parameters of the models it was given."""
    found = dict(numbers(returned))
    if found:
        return found
    models = [part for part in parts if isinstance(part, Module)]
    return {name: Tensor(p.array, p.format) for model in models for name, p in model.named_parameters()}


def _comparison(
    rules: tuple[Rule, Rule], meter: Meter, runs: tuple[Recorder, Recorder], returned: list[Values], notes: list[str]
) -> Comparison:
    run = runs[1]
    results, unlike = _results(returned, coarsest(rules[0])) if len(returned) == 2 else ((), [])
    layers, places = meter.rows(_lost(run))
    first = first_divergence(meter, runs)
    return Comparison(
        rule_name(rules[0]), rule_name(rules[1]), meter.tolerance, layers, tuple(meter.steps), places, results,
        compared=meter.compared, total=run.results, notes=(*unlike, *notes),
        _first=plain_finding(first), _verdict=replace(verdict(meter, runs, first, results), event=None),
    )  # fmt: skip


def _results(returned: list[Values], fmt: Format) -> tuple[tuple[ResultRow, ...], list[str]]:
    theirs, mine = returned
    rows, notes = [], []
    for name in dict.fromkeys((*theirs, *mine)):
        x, y = theirs.get(name), mine.get(name)
        if x is None or y is None or x.shape != y.shape:
            notes.append(f"{name} was not returned alike: {_shape(y)} in the run, {_shape(x)} in the reference.")
            continue
        a, b = (np.asarray(v.array if isinstance(v, Tensor) else v, np.float64) for v in (x, y))
        far = error(b, a, y.format if isinstance(y, Tensor) else fmt)
        one, twin = (float(b.reshape(-1)[0]), float(a.reshape(-1)[0])) if a.size == 1 else (None, None)
        count = int(np.count_nonzero(~np.isfinite(a) & ~np.isfinite(b)))
        nans = int(np.count_nonzero(np.isnan(a) & np.isnan(b)))
        untold = isfinite(far.relative) and (nans > 0 or 0 < count == a.size)
        relative, ulp = (nan, nan) if untold else (far.relative, far.largest)
        rows.append(ResultRow(name, relative, ulp, one, twin, count, nans, a.size))
    return tuple(rows), notes


def _shape(x: Array | Tensor | None) -> str:
    return "nothing" if x is None else f"shape {x.shape}"


def _lost(run: Recorder) -> dict[str, float]:
    """The share of nonzero updates that left their weight unchanged, by layer."""
    sums: dict[str, list[int]] = {}
    for (_, path, op, _), counts in run.totals.items():
        if op == "update":
            of_layer = sums.setdefault(path.rpartition(".")[0], [0, 0])
            of_layer[0] += counts.lost
            of_layer[1] += counts.updates
    return {path: lost / updates for path, (lost, updates) in sums.items() if updates}


def _uncarried(reference: Recorder, rule: Rule) -> list[str]:
    """What the reference run has in formats that lose what is looked for."""
    notes = []
    for name, (count, place) in reference.uncarried.items():
        carry = reference.carry
        why = "what the run reaches in other ways than by name is not carried, see model= and optimizer="
        if carry is not None and not carry.contains(as_format(name)):
            why = f"{carry} does not contain it"
        notes.append(f"In the reference run {count:,} results are in {name}, first of {place}: {why}.")
    if reference.carry is None:
        notes.append(
            f"The reference, {rule}, has no one storage: what the run makes in half itself is so in both runs."
        )
    if reference.from_numpy:
        what = "1 tensor was" if reference.from_numpy == 1 else f"{reference.from_numpy:,} tensors were"
        notes.append(f"{what} made of float16 arrays of NumPy: what NumPy has rounded is rounded in both runs.")
    return notes


def _notes(meter: Meter, store: Store) -> list[str]:
    notes = []
    if store.every > 1:
        notes.append(f"One step in {store.every} was compared, from the first on.")
    if meter.skipped:
        numbers = ", ".join(map(str, meter.skipped[:8])) + (", ..." if len(meter.skipped) > 8 else "")
        notes.append(f"The GradScaler of the run skipped {len(meter.skipped)} of the steps compared: {numbers}.")
    if meter.cut:
        notes.append("Of each step the first 100,000 results were compared.")
    return notes
