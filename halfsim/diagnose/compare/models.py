"""`hs.compare_models`: a trained model and its half-precision twin on the same data, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import copy_context
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.observer import observing
from halfsim.autograd.scope import no_grad, precision, scoped
from halfsim.autograd.tensor import Tensor, plain
from halfsim.autograd.trace.shadow import error
from halfsim.diagnose.compare.cause import first_divergence, plain_finding, roundoff, verdict
from halfsim.diagnose.compare.meter import Meter
from halfsim.diagnose.compare.recorder import Recorder, Step
from halfsim.diagnose.compare.result import ModelComparison, ResultRow
from halfsim.diagnose.snapshot import Snapshot
from halfsim.nn.module import Module
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.quantize import Array

BATCH = 256


def compare_models(
    model: Module,
    half_model: Module,
    data: Any,
    labels: Any = None,
    *,
    axis: int = -1,
    tolerance: float | None = None,
) -> ModelComparison:
    """Run both models on ``data``, in ``eval`` mode and without gradients, and hold every layer against its twin.

    ``data`` is an array or Tensor of examples, or an iterable of batches, each an array or a pair (inputs, labels);
    floating-point inputs are rounded to the format of each model's parameters. ``labels`` are the right classes, as
    many as predictions. Logits are the model's output (the first tensor of a tuple or dict), classes lie along
    ``axis``; an output with a single logit is a yes for positive ones. Each model computes as its formats and the
    precisions of its modules say, whatever is in force outside. A layer is off if its error is more than ``tolerance``
    of its norm (by default 0.1, or twice the format's eps if that is more). Models are left as they were.
    ``ValueError`` for no data and labels that do not fit, ``TypeError`` for anything but a Module.

    >>> import halfsim as hs
    >>> layer = hs.nn.Linear(1, 2, bias=False)
    >>> layer.weight = hs.nn.Parameter([[1.0], [1.0001]])
    >>> half = hs.nn.Linear(1, 2, bias=False)
    >>> _ = half.load_state_dict(layer.state_dict())
    >>> c = compare_models(layer, half.half(), [[1.0], [-1.0]], labels=[1, 0])
    >>> c.accuracy, c.half_accuracy, c.indices
    (1.0, 0.5, ((0,),))
    """
    for name, given in (("model", model), ("half_model", half_model)):
        if not isinstance(given, Module):
            raise TypeError(f"{name}: {type(given).__name__} is not allowed; allowed: a Module")
    formats = _format(model), _format(half_model)
    limit = max(0.1, 2 * formats[1].eps) if tolerance is None else tolerance
    pair, snapshot = _Pair((model, half_model), formats, axis, limit), Snapshot(model, half_model)
    try:
        for module in (model, half_model):
            module.eval()
        for x, y in _batches(data, labels):
            copy_context().run(pair.batch, x, y)
    finally:
        snapshot.restore()
    if not pair.predictions:
        raise ValueError("data: no example is there; allowed: one or more")
    return pair.result(half_model)


class _Pair:
    """Runs both models on one batch after another, and adds up how they differ."""

    def __init__(self, models: tuple[Module, Module], formats: tuple[Format, Format], axis: int, limit: float) -> None:
        self.models, self.formats, self.axis = models, formats, axis
        self.step: dict[int, Step] = {}
        self.meter = Meter(self.step, limit, formats[1].eps)
        self.runs = (
            Recorder(lambda step: self.step.update({step.number: step}), lambda number: True, events=False),
            Recorder(self.meter.measure, lambda number: True, events=True),
        )
        self.predictions = self.examples = self.disagreements = 0
        self.right: list[int] | None = None
        self.indices: list[tuple[int, ...]] = []
        self.error, self.ulp = -1.0, 0.0
        self.logits = self.broken = self.nan = 0  # how many there are, and of these not finite and NaN in both models
        self.worst: tuple[int, ...] = (0,)

    def batch(self, x: Any, labels: Any) -> None:
        """Run both on one batch."""
        logits = []
        with scoped(override=False, path="", base="", phase="forward"), precision("promote"), no_grad():
            for model, fmt, run in zip(self.models, self.formats, self.runs, strict=True):
                with observing(run):  # no part of what is traced outside
                    logits.append(_logits(model(_input(x, fmt))))
                    run.advance()
        self.step.clear()
        a, b = (np.asarray(y.array, np.float64) for y in logits)
        if a.shape != b.shape:
            raise ValueError(f"half_model: gives shape {b.shape}, model {a.shape}; allowed: equal shapes")
        self._logits(a, b, logits[1].format)
        self._classes(a, b, labels)
        self.examples += len(a) if a.ndim else 1

    def _logits(self, a: Array, b: Array, fmt: Format) -> None:
        with np.errstate(invalid="ignore"):  # infinities of both
            far = np.where(a == b, 0.0, np.abs(a - b))
        far[np.isnan(far)] = np.inf
        far[np.isnan(a) & np.isnan(b)] = 0.0
        if far.size and far.max() > self.error:
            i = np.unravel_index(int(far.argmax()), far.shape)
            self.error, self.worst = float(far.max()), _shifted(i, self.examples)
        self.ulp = max(self.ulp, error(b, a, fmt).largest)
        self.logits += a.size
        self.broken += int(np.count_nonzero(~np.isfinite(a) & ~np.isfinite(b)))
        self.nan += int(np.count_nonzero(np.isnan(a) & np.isnan(b)))

    def _classes(self, a: Array, b: Array, labels: Any) -> None:
        one, two = _classes(a, self.axis), _classes(b, self.axis)
        for i in np.argwhere(one != two)[: 10 - len(self.indices)]:
            self.indices.append(_shifted(i, self.examples))
        self.disagreements += int(np.count_nonzero(one != two))
        self.predictions += one.size
        if labels is None:
            return
        wanted = np.asarray(plain(labels))
        if wanted.shape != one.shape:
            raise ValueError(f"labels: shape {wanted.shape} for predictions of {one.shape}; allowed: equal shapes")
        right = [int(np.count_nonzero(guess == wanted)) for guess in (one, two)]
        self.right = right if self.right is None else [p + q for p, q in zip(self.right, right, strict=True)]

    def result(self, half_model: Module) -> ModelComparison:
        """The comparison over all batches; ``half_model`` tells what its conversion lost."""
        first = first_divergence(self.meter, self.runs)
        rows = [ResultRow("the logits", nan, nan, None, None, self.broken, self.nan, self.logits)] * bool(self.broken)
        shares = (None, None) if self.right is None else tuple(n / self.predictions for n in self.right)
        far = (nan, nan) if self.broken == self.logits else (max(0.0, self.error), self.ulp)
        lost = half_model.conversion
        notes = [f"The conversion itself: {lost}"] if lost is not None and not lost.worst() else []
        if lost is not None and lost.worst():
            text = f"made {lost.to_infinity:,} weights {lost.past}, {lost.to_zero:,} zero, {lost.to_subnormal:,} "
            text += "subnormal"
            notes.append(f"The conversion to {lost.format} {text}, most in {lost.worst()[0].name}.")
        if self.broken:
            notes.append(
                f"Of the logits {self.broken:,} of {self.logits:,} are not finite in either model: they count as equal."
            )
        notes += roundoff(self.meter, self.formats[1].name)
        return ModelComparison(
            self.formats[1].name, self.formats[0].name, self.predictions, shares[0], shares[1], self.disagreements,
            tuple(self.indices), *far, self.worst, self.meter.rows({})[0], tuple(notes),
            _first=plain_finding(first), _verdict=replace(verdict(self.meter, self.runs, first, rows), event=None),
        )  # fmt: skip


def _format(model: Module) -> Format:
    """The format of a model's first parameter or buffer; float32 where it has none."""
    held = (*model.parameters(), *model.buffers())
    return next((x.format for x in held if isinstance(x, Tensor)), float32)


def _input(x: Any, fmt: Format) -> Any:
    """Inputs as a model takes them: numbers in its format, indices and masks as they are."""
    if isinstance(x, Tensor):
        return x.to(fmt)
    array = np.asarray(x)
    return array if array.dtype.kind in "biu" else tensor(array, fmt)


def _batches(data: Any, labels: Any) -> Iterator[tuple[Any, Any]]:
    """Inputs and labels, a batch at a time."""
    given = None if labels is None else np.asarray(plain(labels))
    if given is not None and given.dtype.kind not in "iubf":
        raise TypeError(f"labels: an array of {given.dtype} is not allowed; allowed: integers, numbers")
    if isinstance(data, list) and not (data and isinstance(data[0], (np.ndarray, Tensor, tuple))):
        data = np.asarray(data)
    if isinstance(data, (np.ndarray, Tensor)):
        if given is not None and len(given) != len(data):
            raise ValueError(f"labels: {len(given)} for {len(data)} examples; allowed: one for each")
        parts = (slice(i, i + BATCH) for i in range(0, len(data), BATCH))
        cut = (lambda s: Tensor(data.array[s], data.format)) if isinstance(data, Tensor) else (lambda s: data[s])
        yield from ((cut(s), None if given is None else given[s]) for s in parts)
        return
    if not isinstance(data, Iterable):
        raise TypeError(f"data: {type(data).__name__} is not allowed; allowed: an array, a Tensor, batches")
    start = 0
    for batch in data:
        x, y = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
        if given is not None:
            y, start = given[start : start + len(x)], start + len(x)
        yield x, y


def _logits(output: Any) -> Tensor:
    """The first tensor in what a model returned."""
    while isinstance(output, (tuple, list, dict)) and len(output):
        output = next(iter(output.values() if isinstance(output, dict) else output))
    if not isinstance(output, Tensor):
        raise TypeError(f"model: returned {type(output).__name__}; allowed: a Tensor, or a tuple or dict of them")
    return output


def _classes(logits: Array, axis: int) -> Array:
    if logits.ndim < 2 or logits.shape[axis] == 1:
        return np.asarray((logits if logits.ndim < 2 else logits.squeeze(axis)) > 0)
    return np.asarray(np.where(np.isnan(logits), np.inf, logits).argmax(axis))  # NaN is the largest, as for PyTorch


def _shifted(where: Any, by: int) -> tuple[int, ...]:
    """An index in a batch as one in all examples."""
    first, *rest = (int(i) for i in where) if len(where) else (0,)
    return (first + by, *rest)
