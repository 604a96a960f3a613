"""What comparing two runs, or two models, has found: rows, a first divergence, a verdict; as text, page and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf, isnan
from typing import Any

from halfsim.card import Record, Text
from halfsim.diagnose.compare.meter import LayerRow, PlaceRow, StepRow
from halfsim.diagnose.finding import Finding
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Block, Figure, definitions, sections
from halfsim.text import columns, filled, number, percent

LINES = 12  # of each table in the text


@dataclass(frozen=True)
class ResultRow(Record):
    """One value that the experiment returned. Errors are NaN where both runs have NaN, or nothing that is finite."""

    name: str
    relative_error: float  # the norm of the difference over the norm of the reference
    ulp: float  # the largest distance of an element
    run: float | None  # the number itself; None where it is not one number
    reference: float | None
    not_finite: int = 0  # numbers that are not finite in either run
    nan: int = 0  # numbers that are NaN in both runs
    size: int = 1  # how many numbers there are


@dataclass(frozen=True)
class Comparison(Document):
    """One experiment in two precisions, result by result; see `halfsim.compare`.

    ``layers`` has a row for each module path (`LayerRow`), ``steps`` one for each step compared (`StepRow`),
    ``places`` one for each phase, path, operation and tensor (`PlaceRow`), ``results`` one for each value that the
    experiment returned. An error is NaN where both runs have NaN, and none can be told. ``compared`` counts results
    held against each other, of ``total`` that the run computed; ``notes`` say what was left out or not carried, and
    what the runs did differently. It is plain data.
    """

    precision: str
    reference: str
    tolerance: float
    layers: tuple[LayerRow, ...]
    steps: tuple[StepRow, ...]
    places: tuple[PlaceRow, ...]
    results: tuple[ResultRow, ...]
    compared: int
    total: int
    notes: tuple[str, ...]
    _first: Finding | None
    _verdict: Finding

    def first_divergence(self) -> Finding | None:
        """The first result, as they were computed, off by more than ``tolerance``, or not finite in one run alone.

        Or where the runs first do different things (class "structure"), if that is earlier. None if neither is.
        """
        return self._first

    def verdict(self) -> Finding:
        """Where the difference began: the trouble that led to the first divergence, else what the run alone shows.

        The class is one of those of `Finding`, or "divergence" where rounding alone added up to more than
        ``tolerance``, or "structure".
        """
        return self._verdict

    @property
    def title(self) -> str:
        """What was compared with what."""
        return f"halfsim: {self.precision} against {self.reference}"

    @property
    def largest(self) -> float:
        """The largest relative error of any result that was compared, those apart that are NaN in both runs."""
        return max((row.relative_error for row in self.places if not isnan(row.relative_error)), default=0.0)

    def table(self) -> str:
        """One line for each module path."""
        return Text(columns(_layer_table(self.layers)))

    def __str__(self) -> str:
        head = f"{self.precision} against {self.reference}: {self.compared:,} of {self.total:,} results compared"
        blocks = [filled(f"{head}, tolerance {self.tolerance:.2g}"), str(self.verdict())]
        if self.results:
            blocks.append("Returned\n" + columns(_shortened(_result_table(self.results))))
        if self.layers:
            blocks.append("Layers\n" + columns(_shortened(_layer_table(_worst(self.layers)))))
        if len(self.steps) > 1:
            blocks.append("Steps\n" + columns(_step_table(_spread(self.steps)), left=0))
        blocks += [filled(note) for note in self.notes]
        return "\n\n".join(blocks)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        return jsonable(
            {
                "schema": 1,
                "kind": "comparison",
                "precision": self.precision,
                "reference": self.reference,
                "tolerance": self.tolerance,
                "compared": self.compared,
                "total": self.total,
                "notes": list(self.notes),
                **_found(self),
                "results": [asdict(row) for row in self.results],
                "layers": [asdict(row) for row in self.layers],
                "steps": [asdict(row) for row in self.steps],
                "places": [asdict(row) for row in self.places],
            }
        )

    def _body(self) -> Iterator[str]:
        first = self.first_divergence()
        blocks: list[tuple[str, Block]] = [
            ("Verdict", str(self.verdict())),
            ("First divergence", "none" if first is None else _pointer(first)),
        ]
        tables = (
            ("Returned", _result_table(self.results)),
            ("Layers", _layer_table(self.layers)),
            ("Steps", _step_table(self.steps)),
            ("Operations", _place_table(self.places)),
        )
        blocks += [(name, table) for name, table in tables if len(table) > 1]
        yield from sections([*blocks, *(("", note) for note in self.notes)])


@dataclass(frozen=True)
class ModelComparison(Document):
    """Two models on the same examples; see `halfsim.compare_models`. It is plain data.

    ``accuracy`` and ``half_accuracy`` are None without labels. ``disagreements`` counts predictions (the index of the
    largest logit, or the sign of a single one) that differ, ``indices`` are the first ten of these. ``largest_error``
    is that of any logit, at ``worst``, ``largest_ulp`` that in units in the last place of the half model's ``format``;
    both are infinite where only one of the two is finite, and NaN where neither ever is. ``layers`` has a row for each
    module path.
    """

    format: str
    reference: str
    predictions: int
    accuracy: float | None
    half_accuracy: float | None
    disagreements: int
    indices: tuple[tuple[int, ...], ...]
    largest_error: float
    largest_ulp: float
    worst: tuple[int, ...]
    layers: tuple[LayerRow, ...]
    notes: tuple[str, ...]
    _first: Finding | None
    _verdict: Finding

    @property
    def title(self) -> str:
        """What was compared with what."""
        return f"halfsim: a model in {self.format} against {self.reference}"

    @property
    def accuracy_change(self) -> float | None:
        """What the half model's accuracy has more."""
        if self.accuracy is None or self.half_accuracy is None:
            return None
        return self.half_accuracy - self.accuracy

    def first_divergence(self) -> Finding | None:
        """The first result of a layer that is off by more than the tolerance, or None; ``step`` is the batch."""
        return self._first

    def verdict(self) -> Finding:
        """The trouble that led to it, as `Comparison.verdict`."""
        return self._verdict

    def table(self) -> str:
        """One line for each module path."""
        return columns(_inference_table(self.layers))

    def __str__(self) -> str:
        blocks = [columns(self._facts(), left=2), str(self.verdict())]
        blocks.append("Layers\n" + columns(_inference_table(_worst(self.layers))))
        return "\n\n".join((*blocks, *(filled(note) for note in self.notes)))

    def _facts(self) -> list[tuple[str, str]]:
        facts = [("models", f"{self.format} against {self.reference}, {self.predictions:,} predictions")]
        if self.accuracy is not None and self.half_accuracy is not None:
            change = 100 * (self.half_accuracy - self.accuracy)
            facts.append(("accuracy", f"{self.half_accuracy:.2%} against {self.accuracy:.2%} ({change:+.2f} points)"))
        text = f"{self.disagreements:,} of {self.predictions:,}"
        if self.indices:
            text += f", first {', '.join(_index(i) for i in self.indices[:6])}"
        facts.append(("disagreements", text))
        error = f"{number(self.largest_error)}, {number(self.largest_ulp)} ulp, at {_index(self.worst)}"
        error = "none can be told" if isnan(self.largest_error) else error
        return [*facts, ("largest logit error", error)]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        facts = attributes(self, "layers", "_first", "_verdict")
        layers = [asdict(row) for row in self.layers]
        return jsonable({"schema": 1, "kind": "model comparison", **facts, **_found(self), "layers": layers})

    def _body(self) -> Iterator[str]:
        yield definitions(self._facts())
        blocks: list[tuple[str, Block]] = [
            ("Verdict", str(self.verdict())),
            ("Layers", _inference_table(self.layers)),
        ]
        yield from sections([*blocks, *(("", note) for note in self.notes)])


def _found(of: Comparison | ModelComparison) -> dict[str, Any]:
    first = of.first_divergence()
    return {"verdict": of.verdict().to_dict(), "first_divergence": None if first is None else first.to_dict()}


def _pointer(first: Finding) -> str:
    """Where it is; the verdict says the rest."""
    return f"S{first.located[1:]}."


def _figure(x: float | None) -> Figure:
    return Figure("NaN" if x is not None and isnan(x) else number(x), x)


def _cosine(x: float | None) -> Figure:
    return Figure("-" if x is None else f"{x:.4f}", x)


def _percent(x: float) -> Figure:
    return Figure(percent(x), x)


def _layer_table(rows: Sequence[LayerRow]) -> list[tuple[str, ...]]:
    """Head and lines, one a layer."""
    head = ("layer", "error", "ulp", "mean ulp", "gradient", "cosine", "vanished", "lost", "off at")
    lines = (
        (
            r.path or "(outside)",
            _figure(r.relative_error), _figure(r.ulp), _figure(r.mean_ulp), _figure(r.gradient_error),
            _cosine(r.cosine), _percent(r.vanished), _percent(r.updates_lost),
            Figure("-" if r.step is None else str(r.step), r.step),
        )
        for r in rows
    )  # fmt: skip
    return [head, *lines]


def _worst(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """The rows in their order; of many, those with the largest errors."""
    if len(rows) <= LINES:
        return list(rows)
    ranked = sorted(rows, key=_gravity, reverse=True)[:LINES]
    return [row for row in rows if any(row is one for one in ranked)]


def _gravity(row: LayerRow) -> float:
    return max(inf if isnan(x) else x for x in (row.relative_error, row.gradient_error))


def _result_table(rows: Sequence[ResultRow]) -> list[tuple[str, ...]]:
    head = ("value", "run", "reference", "error", "ulp")
    lines = [(r.name, _six(r.run), _six(r.reference), _figure(r.relative_error), _figure(r.ulp)) for r in rows]
    return [head, *lines]


def _six(x: float | None) -> Figure:
    return Figure("-" if x is None else f"{x:.6g}", x)


def _step_table(rows: Sequence[StepRow]) -> list[tuple[str, ...]]:
    head = ("step", "error", "gradient", "cosine", "vanished", "")
    lines = (
        (
            Figure(str(r.step), r.step), _figure(r.relative_error), _figure(r.gradient_error), _cosine(r.cosine),
            _percent(r.vanished),
            "skipped" if r.skipped else "",
        )
        for r in rows
    )  # fmt: skip
    return [head, *lines]


def _place_table(rows: Sequence[PlaceRow]) -> list[tuple[str, ...]]:
    head = ("operation", "phase", "layer", "tensor", "error", "ulp", "mean ulp", "vanished", "worst at", "compared")
    lines = (
        (
            r.op, r.phase, r.path, r.tensor, _figure(r.relative_error), _figure(r.ulp), _figure(r.mean_ulp),
            _percent(r.vanished), Figure(f"step {r.step}", r.step), Figure(f"{r.compared:,}", r.compared),
        )
        for r in rows
    )  # fmt: skip
    return [head, *lines]


def _spread(rows: Sequence[StepRow]) -> list[StepRow]:
    """At most eight steps, the first and the last among them."""
    picked = {round(i * (len(rows) - 1) / 7) for i in range(8)}
    return [rows[i] for i in sorted(picked)]


def _shortened(table: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return table[: LINES + 1]


def _index(where: tuple[int, ...]) -> str:
    return str(where[0]) if len(where) == 1 else str(where)


def _inference_table(rows: Sequence[LayerRow]) -> list[tuple[str, ...]]:
    """The columns that matter to inference."""
    picked = (0, 1, 2, 3, 8)
    return [tuple(line[i] for i in picked) for line in _layer_table(rows)]
