"""`hs.onnx.audit`: what conversion to a narrower format does to a model, and what must stay in float32."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import replace
from typing import Any

from halfsim.autograd.policy import as_rule, rule_name
from halfsim.frames import level
from halfsim.hardware.devices import Device
from halfsim.hardware.devices import device as known_device
from halfsim.numerics.formats import bfloat16, float16, whole
from halfsim.numerics.precision import Precision
from halfsim.onnx.conversion.cause import verdict
from halfsim.onnx.conversion.converted import Converted
from halfsim.onnx.conversion.evidence import Element, Evidence, keep_of, names_of, weights
from halfsim.onnx.conversion.inputs import from_npz, made, ranks, samples_of
from halfsim.onnx.conversion.outcome import judge, off
from halfsim.onnx.conversion.priced import priced
from halfsim.onnx.conversion.result import Audit, OutputRow
from halfsim.onnx.conversion.smallest import Search
from halfsim.options import shown
from halfsim.terminal import bar
from halfsim.text import number

TRACED = 4  # samples whose nodes are looked at one by one, besides those that broke
HELD = 8  # samples that broke and are held for the search
TRIES = 200

__all__ = ["Audit", "audit"]


def audit(
    model: Any,
    feeds: Any = None,
    target: object = "fp16",
    device: Any = None,
    samples: int | None = None,
    *,
    tolerance: Any = None,
    accept: Callable[[Any, Any], Any] | None = None,
    max_evaluations: int | None = None,
    progress: Callable[[int], Any] | bool | None = None,
) -> Audit:
    """What converting an ONNX model to half does to its weights, its nodes and its outputs, and what must stay float32.

    ``model`` is what `halfsim.onnx.load` takes: a path, the bytes of a file, an ``onnx.ModelProto``. ``feeds`` are the
    inputs by name, as ``run`` takes them, or an iterable of such, one a sample, of which up to ``samples`` are taken
    one after another, so that memory does not grow; or the path of an .npz file with arrays by the inputs' names, of
    which those with one axis more than their input hold a sample at each index of the first. None makes random ones and
    warns. ``target`` is "fp16", "bf16", or another precision of these two formats. With a ``device``, as
    `halfsim.device` takes it, time, traffic and energy there are estimated.

    The outputs hold if the error of each, as the norm of the difference over the norm of the output in float32, is at
    most ``tolerance``: a number, or one by output's name; by default 0.05, or 8 times the eps of the target if that is
    more. An output smaller than 16 times the smallest number of the target is measured against that. NaN and infinities
    must be where they are in float32, and of integers and bools at most that share may differ.
    ``accept(outputs, reference)``, two dicts of arrays, judges instead where it is given.

    The smallest set of tensors and nodes with which they hold is found by search: `Audit.keep`. Of it nothing can be
    left out; where several such sets exist, a smaller one may be missed. After ``max_evaluations`` tries (200) it is
    the smallest that was seen. ``progress`` is called with the number of tries; None shows a bar on a terminal, False
    nothing. ``ValueError`` in one line for files, inputs and words that do not fit, ``TypeError`` for other types.
    """
    rule = as_rule(target, "target")
    plain = isinstance(rule, Precision) and rule.storage in (float16, bfloat16) and rule.operands == rule.storage
    if not isinstance(rule, Precision) or not plain:
        raise ValueError(f"target: {shown(str(target))} is not allowed; allowed: 'fp16', 'bf16'")
    for name, n in (("samples", samples), ("max_evaluations", max_evaluations)):
        if n is not None and whole(name, n) < 1:
            raise ValueError(f"{name}: {n} is not allowed; allowed: integers from 1, None")
    where: Device | None = None if device is None else known_device(device)
    converted = Context().run(Converted, model, rule)  # outside all scopes and traces
    ruling = judge(tolerance, accept, converted.model.output_names, rule.storage)
    notes = []
    if isinstance(feeds, (str, os.PathLike)):
        feeds = from_npz(feeds, ranks(converted))
    if feeds is None:
        feeds, note = Context().run(made, converted)
        notes.append(note)
        warnings.warn(f"{note} See feeds=.", UserWarning, stacklevel=level())
    evidence = Evidence(converted)
    with _shown(progress, max_evaluations or TRIES) as show:
        lost = Context().run(weights, converted)
        search = Search(converted, ruling, evidence, lost, max_evaluations or TRIES, show)
        stream = _Stream(search)
        for sample in samples_of(feeds, samples):
            stream.take(sample)
        if not stream.count:
            raise ValueError("feeds: no sample is there; allowed: one or more")
        stream.finish()
    keep = keep_of(stream.kept or ())
    costs = () if where is None else priced(converted, keep, stream.last, where)
    return _result(search, stream, notes, costs, str(rule_name(rule)))


def _result(search: Search, stream: _Stream, notes: list[str], costs: Any, target: str) -> Audit:
    """The audit of what was seen and found."""
    model, evidence, kept = search.model, search.evidence, stream.kept
    keep = keep_of(kept or ())
    rows = tuple(
        OutputRow(name, error, stream.mixed.get(name, error) if kept else error, search.judge.limit(name))
        for name, error in stream.narrow.items()
    )
    wide, narrow = {*model.wide_nodes(keep)}, {*model.wide_nodes(keep_of(()))}
    why = {path: "node" if path in keep.nodes else "file" if path in narrow else "tensor" for path in wide}
    nodes = tuple(replace(row, kept=why.get(row.path, "")) for row in evidence.rows())
    return Audit(
        target, stream.count, stream.broken, kept is not None, search.complete, names_of(kept or ()),
        tuple(name for kind, name in kept or () if kind == "node"),
        tuple(name for kind, name in kept or () if kind == "tensor"),
        model.policy(keep), rows, search.weights, nodes, search.without(kept or ()), tuple(search.tries),
        model.size(None), model.size(keep), costs, tuple(notes),
        verdict(model, evidence, search.weights, kept, _outcome(rows, kept, stream)), model.proto, stream.last,
    )  # fmt: skip


def _outcome(rows: Sequence[OutputRow], kept: Sequence[Element] | None, stream: _Stream) -> str:
    """What the outputs do, in words."""
    if not rows:
        return "there is no output of numbers"
    worst = max(rows, key=lambda r: r.narrow / (r.tolerance or 1.0))
    allowed = "" if worst.tolerance is None or worst.narrow == math.inf else f", with {number(worst.tolerance)} allowed"
    if kept is not None and not kept:
        return f"no output is off by more than {number(worst.narrow)} of its norm{allowed}"
    told = f"output {off(worst.name, worst.narrow)}{allowed}"
    told = stream.reason if stream.reason.startswith("raised") else told
    return told if kept is None else f"{told}; with what is kept it is off by {number(worst.mixed)}"


class _Stream:
    """Takes one sample after another; holds on to those that break, up to `HELD`, and to no other."""

    def __init__(self, search: Search) -> None:
        self.search, self.count, self.broken = search, 0, 0
        self.narrow: dict[str, float] = {}  # by output: the largest error with nothing kept,
        self.mixed: dict[str, float] = {}  # and with what is kept
        self.reason = ""  # of the first sample that broke
        self.kept: list[tuple[str, str]] | None = []
        self.last: dict[str, Any] = {}
        self._searched = False

    def take(self, feeds: dict[str, Any]) -> None:
        """Run one sample in float32 and in the target."""
        search = self.search
        self.last, self.count = feeds, self.count + 1
        sample = feeds, search.evidence.wide(feeds)
        found = search.tried(sample, ())
        _raise(self.narrow, found.errors)
        if self.count <= TRACED or (not found.holds and self.broken < HELD):
            search.evidence.narrow(feeds, keep_of(()))
        if found.holds:
            _raise(self.mixed, found.errors)
            return
        self.broken += 1
        self.reason = self.reason or found.reason
        if not self._searched:
            search.samples.append(sample)
            if len(search.samples) == HELD:
                self._search([])
        elif self.kept is not None:
            again = search.tried(sample, self.kept)
            if again.holds:
                _raise(self.mixed, again.errors)
            else:
                search.samples = [sample, *search.samples[: HELD - 1]]
                self._search(self.kept)

    def finish(self) -> None:
        """Search, where that was not done before."""
        if not self._searched:
            self._search([])
        known = self.search.known.get(frozenset(self.kept or ()))
        _raise(self.mixed, known.errors if self.kept and known is not None else {})

    def _search(self, base: list[tuple[str, str]]) -> None:
        self._searched = True
        self.kept = self.search.run(base)


def _raise(most: dict[str, float], errors: Any) -> None:
    """Take the larger of two errors for each output."""
    for name, error in errors.items():
        most[name] = max(most.get(name, 0.0), math.inf if math.isnan(error) else error)


@contextmanager
def _shown(progress: Callable[[int], Any] | bool | None, most: int) -> Iterator[Callable[[int], Any]]:
    """The function to tell of every try."""
    if callable(progress):
        yield progress
    elif progress is False:
        yield lambda done: None
    elif progress is None or progress is True:
        with bar("audit", most, "tries") as show:
            yield lambda done: show(min(done, most))
    else:
        raise TypeError(f"progress: {type(progress).__name__} is not allowed; allowed: a function, None, False")
