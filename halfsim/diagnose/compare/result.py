"""What comparing two runs has found: rows, a first divergence, a verdict; as text, page and JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from halfsim.diagnose.compare.meter import LayerRow, PlaceRow, StepRow
from halfsim.diagnose.finding import Finding
from halfsim.markup import SORTING, Block, Figure, document, fragment, sections
from halfsim.text import columns

WIDTH = 100
LINES = 12  # of each table in the text


@dataclass(frozen=True)
class ResultRow:
    """One value that the experiment returned; ``run`` and ``reference`` are None where it is no single number."""

    name: str
    relative_error: float
    ulp: float
    run: float | None
    reference: float | None


@dataclass(frozen=True)
class Comparison:
    """One experiment in two precisions, result by result; see `halfsim.compare`.

    ``layers`` has a row for each module path (`LayerRow`), ``steps`` one for each step compared (`StepRow`),
    ``places`` one for each phase, path, operation and tensor (`PlaceRow`), ``results`` one for each value that the
    experiment returned. ``compared`` counts results held against each other, of ``total`` that the run
    computed; ``notes`` say what was left out and what the runs did differently. It is plain data.
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
    def largest(self) -> float:
        """The largest relative error of any result that was compared."""
        return max((row.relative_error for row in self.places), default=0.0)

    def table(self) -> str:
        """One line for each module path."""
        return columns(layer_table(self.layers, 22))

    def __str__(self) -> str:
        head = f"{self.precision} against {self.reference}: {self.compared:,} of {self.total:,} results compared"
        blocks = [textwrap.fill(f"{head}, tolerance {self.tolerance:.2g}", WIDTH), str(self.verdict())]
        first = self.first_divergence()
        if first is not None and first.place != self.verdict().place:
            blocks.append("First divergence\n" + textwrap.indent(textwrap.fill(first.message, WIDTH - 2), "  "))
        if self.results:
            blocks.append("Returned\n" + columns(_shortened(_result_table(self.results))))
        if self.layers:
            blocks.append("Layers\n" + columns(_shortened(layer_table(worst(self.layers), 22))))
        if len(self.steps) > 1:
            blocks.append("Steps\n" + columns(_step_table(_spread(self.steps)), left=0))
        blocks += [textwrap.fill(note, WIDTH) for note in self.notes]
        return "\n\n".join(blocks)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        first = self.first_divergence()
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
                "verdict": self.verdict().to_dict(),
                "first_divergence": None if first is None else first.to_dict(),
                "results": [asdict(row) for row in self.results],
                "layers": [asdict(row) for row in self.layers],
                "steps": [asdict(row) for row in self.steps],
                "places": [asdict(row) for row in self.places],
            }
        )

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON, written to ``path`` if given."""
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_html(self, path: str | Path) -> None:
        """Write a page of its own, without network, to ``path``."""
        title = f"halfsim: {self.precision} against {self.reference}"
        Path(path).write_text(page(title, self._body()), encoding="utf-8")

    def _repr_html_(self) -> str:
        return fragment(list(self._body()), script=SORTING)

    def _body(self) -> Iterator[str]:
        first = self.first_divergence()
        blocks: list[tuple[str, Block]] = [
            ("Verdict", str(self.verdict())),
            ("First divergence", "none" if first is None else str(first)),
        ]
        tables = (
            ("Returned", _result_table(self.results)),
            ("Layers", layer_table(self.layers, None)),
            ("Steps", _step_table(self.steps)),
            ("Operations", _place_table(self.places)),
        )
        blocks += [(name, table) for name, table in tables if len(table) > 1]
        yield from sections([*blocks, *(("", note) for note in self.notes)])


def page(title: str, body: Iterable[str]) -> str:
    """A page of its own, under its title."""
    return document(title, [f"<h1>{escape(title)}</h1>", *body], script=SORTING)


def jsonable(value: Any) -> Any:
    """Plain data with strings for numbers that are not finite, which JSON lacks."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def number(x: float | None) -> str:
    """A number in few columns; "-" for None."""
    if x is None:
        return "-"
    if x == int(x) and abs(x) < 1e6 if math.isfinite(x) else False:
        return f"{int(x):,}"
    return f"{x:.3g}"


def clipped(name: str, width: int | None) -> str:
    """The end of a long name, which tells it from others."""
    return name if width is None or len(name) <= width else f"..{name[2 - width :]}"


def _figure(x: float | None) -> Figure:
    return Figure(number(x), x)


def _cosine(x: float | None) -> Figure:
    return Figure("-" if x is None else f"{x:.4f}", x)


def _percent(x: float) -> Figure:
    return Figure(f"{x:.1%}", x)


def layer_table(rows: Sequence[LayerRow], width: int | None) -> list[tuple[str, ...]]:
    """Head and lines, one a layer."""
    head = ("layer", "error", "ulp", "mean ulp", "gradient", "cosine", "vanished", "lost", "off at")
    lines = (
        (
            clipped(r.path or "(outside)", width), _figure(r.relative_error), _figure(r.ulp), _figure(r.mean_ulp),
            _figure(r.gradient_error), _cosine(r.cosine), _percent(r.vanished), _percent(r.updates_lost),
            Figure("-" if r.step is None else str(r.step), r.step),
        )
        for r in rows
    )  # fmt: skip
    return [head, *lines]


def worst(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """The rows in their order; of many, those with the largest errors."""
    if len(rows) <= LINES:
        return list(rows)
    ranked = sorted(rows, key=lambda row: -max(row.relative_error, row.gradient_error))[:LINES]
    return [row for row in rows if any(row is one for one in ranked)]


def _result_table(rows: Sequence[ResultRow]) -> list[tuple[str, ...]]:
    head = ("value", "run", "reference", "error", "ulp")
    lines = [
        (clipped(r.name, 40), _six(r.run), _six(r.reference), _figure(r.relative_error), _figure(r.ulp)) for r in rows
    ]
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
