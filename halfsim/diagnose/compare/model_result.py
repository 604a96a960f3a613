"""What comparing a model with its half-precision twin has found; as text, page and JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halfsim.diagnose.compare.meter import LayerRow
from halfsim.diagnose.compare.result import WIDTH, jsonable, layer_table, number, page, worst
from halfsim.diagnose.finding import Finding
from halfsim.markup import SORTING, Block, definitions, fragment, sections
from halfsim.text import columns


@dataclass(frozen=True)
class ModelComparison:
    """Two models on the same examples; see `halfsim.compare_models`. It is plain data.

    ``accuracy`` and ``half_accuracy`` are None without labels. ``disagreements`` counts predictions (the index of the
    largest logit, or the sign of a single one) that differ, ``indices`` are the first ten of these. ``largest_error``
    is that of any logit, at ``worst``, ``largest_ulp`` that in units in the last place of the half model's ``format``;
    both are infinite where only one of the two is finite. ``layers`` has a row for each module path.
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
        return columns(_layers(self.layers))

    def __str__(self) -> str:
        blocks = [columns(self._facts(), left=2), str(self.verdict())]
        blocks.append("Layers\n" + columns(_layers(worst(self.layers))))
        return "\n\n".join((*blocks, *(textwrap.fill(note, WIDTH) for note in self.notes)))

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
        return [*facts, ("largest logit error", error)]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        hidden = ("layers", "_first", "_verdict")
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in hidden}
        first = self.first_divergence()
        found = {"verdict": self.verdict().to_dict(), "first_divergence": None if first is None else first.to_dict()}
        layers = [asdict(row) for row in self.layers]
        return jsonable({"schema": 1, "kind": "model comparison", **facts, **found, "layers": layers})

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON, written to ``path`` if given."""
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_html(self, path: str | Path) -> None:
        """Write a page of its own, without network, to ``path``."""
        title = f"halfsim: a model in {self.format} against {self.reference}"
        Path(path).write_text(page(title, self._body()), encoding="utf-8")

    def _repr_html_(self) -> str:
        return fragment(list(self._body()), script=SORTING)

    def _body(self) -> Iterator[str]:
        yield definitions(self._facts())
        blocks: list[tuple[str, Block]] = [("Verdict", str(self.verdict())), ("Layers", _layers(self.layers, None))]
        yield from sections([*blocks, *(("", note) for note in self.notes)])


def _index(where: tuple[int, ...]) -> str:
    return str(where[0]) if len(where) == 1 else str(where)


def _layers(rows: Iterable[LayerRow], width: int | None = 40) -> list[tuple[str, ...]]:
    """The columns that matter to inference."""
    picked = (0, 1, 2, 3, 8)
    return [tuple(line[i] for i in picked) for line in layer_table(list(rows), width)]
