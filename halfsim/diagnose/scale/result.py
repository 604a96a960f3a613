"""The loss scales that suit each layer, made from its gradients' exponents; as text, page and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, inf, log2
from typing import Any

import numpy as np

from halfsim.card import Record
from halfsim.document import Document, jsonable
from halfsim.markup import Block, Figure, Lines, sections
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array, round_to
from halfsim.text import columns, distinct, filled, percent, width

EXPONENTS = 1100  # beyond those of float64

_LINES = 12  # of the table, for each end of the range
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class LayerScale(Record):
    """The scales for the gradients that one module stores in one format.

    Scales are powers of two. By ``high`` none overflows, by twice that one does; by ``low`` at most the share allowed
    become zero, by half of it more do; by ``normal`` at most so many become zero or subnormal. ``low`` and ``normal``
    are 0, ``high`` infinite, where all gradients are zero. ``smallest`` and ``largest`` are magnitudes without loss
    scale, of ``nonzero`` gradients; ``zero_share`` and ``subnormal_share`` say what becomes of those so.
    ``histogram`` counts by exponent, floor(log2 |g|).
    """

    path: str
    format: Format
    low: float
    normal: float
    high: float
    smallest: float
    largest: float
    nonzero: int
    zeros: int
    zero_share: float
    subnormal_share: float
    histogram: dict[int, int]

    @classmethod
    def of(
        cls, path: str, fmt: Format, counts: tuple[Array, Array], extremes: tuple[float, float], zeros: int,
        *, lost: float, flushes: bool,
    ) -> LayerScale:  # fmt: skip
        """The row of gradients whose magnitudes, floor and ceiling, have these ``counts``; see `loss_scale_range`."""
        floors, ceilings = counts
        nonzero, limit = int(floors.sum()), int(log2(fmt.smallest_subnormal)) - 1  # up to 2**limit is rounded to zero
        low = normal = 0.0
        high = inf
        if nonzero:
            keep = 1 + limit - _exceeds(ceilings, lost * nonzero)
            exact = fmt.emin - _exceeds(floors, lost * nonzero)
            low, normal, high = 2.0 ** (exact if flushes else keep), 2.0**exact, _high(extremes[1], fmt)
        vanished = int(ceilings[: limit + EXPONENTS + 1].sum()) / max(1, nonzero)
        small = int(floors[: fmt.emin + EXPONENTS].sum()) / max(1, nonzero)
        histogram = {int(i) - EXPONENTS: int(floors[i]) for i in np.flatnonzero(floors)}
        return cls(path, fmt, low, normal, high, *extremes, nonzero, zeros, vanished, small - vanished, histogram)

    @property
    def name(self) -> str:
        return self.path or "(outside)"


def _exceeds(counts: Array, allowed: float) -> int:
    """The exponent up to which there are more than ``allowed``."""
    return int(np.argmax(np.cumsum(counts) > allowed)) - EXPONENTS


def _high(largest: float, fmt: Format) -> float:
    """The largest power of two by which ``largest`` is a number of ``fmt``."""
    scale = 2.0 ** (floor(log2(fmt.max)) - floor(log2(largest)) + 1)
    while not np.isfinite(round_to(np.float64(largest * scale), fmt)):
        scale /= 2
    return scale


@dataclass(frozen=True)
class LossScaleRange(Document):
    """The loss scales by which no gradient overflows and at most the share ``lost`` become zero, in every layer.

    ``low`` and ``high`` are powers of two, and so is ``recommended``, in the geometric middle; None where no scale
    suits all layers (`empty`). ``normal`` is the smallest scale by which at most that share are zero or subnormal.
    ``layers`` has a row for each module path (`LayerScale`). It is plain data.
    """

    title = "halfsim: loss scales"

    precision: str
    lost: float
    layers: tuple[LayerScale, ...]
    notes: tuple[str, ...] = ()

    @property
    def low(self) -> float:
        return max(row.low for row in self.layers)

    @property
    def normal(self) -> float:
        return max(row.normal for row in self.layers)

    @property
    def high(self) -> float:
        return min(row.high for row in self.layers)

    @property
    def empty(self) -> bool:
        """Whether no scale suits all layers."""
        return self.low > self.high

    @property
    def recommended(self) -> float | None:
        if self.empty:
            return None
        if self.low == 0 or self.high == inf:
            return 1.0
        return float(2.0 ** floor((log2(self.low) + log2(self.high)) / 2))

    @property
    def conflict(self) -> tuple[LayerScale, LayerScale] | None:
        """The layer that needs the largest scale and the one that bears the smallest, where no scale suits both."""
        if not self.empty:
            return None
        return max(self.layers, key=lambda row: row.low), min(self.layers, key=lambda row: row.high)

    def __str__(self) -> str:
        rows = self.layers if len(self.layers) <= 2 * _LINES else self._deciding()
        blocks = [filled(self._story()), columns(_table(rows))]
        blocks.append("\n".join(self._bars(rows)))
        if len(rows) < len(self.layers):
            blocks.append(f"{len(self.layers) - len(rows)} more layers, whose scales go beyond these, are in .layers.")
        return "\n\n".join((*blocks, *(filled(note) for note in self.notes)))

    def _deciding(self) -> tuple[LayerScale, ...]:
        """The layers with the highest low and the lowest high."""
        ranked = sorted(self.layers, key=lambda row: -row.low)[:_LINES]
        ranked += sorted(self.layers, key=lambda row: row.high)[:_LINES]
        return tuple(row for row in self.layers if any(row is one for one in ranked))

    def _story(self) -> str:
        allowed = f"at most {self.lost:.2g} of the nonzero gradients of a layer become zero"
        pair = self.conflict
        if pair is not None:
            return (
                f"{self.precision}: no loss scale suits all layers: {pair[0].name} needs {power(pair[0].low)} or more, "
                f"so that {allowed}, and {pair[1].name} overflows past {power(pair[1].high)}. "
                "Keep one of them in float32."
            )
        ends = f"from {power(self.low)} to {power(self.high)}"
        text = f"{self.precision}: loss scales {ends}: no gradient overflows, {allowed}"
        if self.low < self.normal <= self.high:
            text += f"; from {power(self.normal)} on no more are subnormal"
        return f"{text}. Recommended: {power(self.recommended or 1.0)}."

    def _bars(self, rows: tuple[LayerScale, ...]) -> Iterator[str]:
        """The histograms, one line a layer, over what the format makes of each exponent."""
        used = [e for row in rows for e in row.histogram]
        if not used:
            return
        names = distinct([row.name for row in rows], min(24, width() // 3), "end")
        words = max(*map(len, names), len("scaled") if self.recommended not in (None, 1.0) else 5)
        group = -(-(max(used) - min(used) + 1) // (width() - words - 2))
        first, count = min(used), -(-(max(used) - min(used) + 1) // group)
        yield f"Gradients by exponent, {first} to {first + count * group - 1}"
        for name, row in zip(names, rows, strict=True):
            bins = [0] * count
            for e, n in row.histogram.items():
                bins[(e - first) // group] += n
            yield f"{name:<{words}}  {bars(bins)}".rstrip()
        fmt = rows[0].format
        starts = [first + i * group for i in range(count)]
        yield f"{'as is':<{words}}  {''.join(_fate(e, fmt) for e in starts)}"
        if self.recommended not in (None, 1.0):
            shift = int(log2(self.recommended or 1.0))
            yield f"{'scaled':<{words}}  {''.join(_fate(e + shift, fmt) for e in starts)}"
        yield filled(f"0 becomes zero, s subnormal, n normal, ! infinite in {fmt}")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        names = ("low", "normal", "high", "smallest", "largest", "nonzero", "zeros", "zero_share", "subnormal_share")
        layers = [
            {"path": r.path, "format": r.format.name, **{n: getattr(r, n) for n in names}, "histogram": r.histogram}
            for r in self.layers
        ]
        facts = {name: getattr(self, name) for name in ("precision", "lost", "low", "normal", "high", "recommended")}
        return jsonable({"schema": 1, "kind": "loss scale range", **facts, "notes": list(self.notes), "layers": layers})

    def _body(self) -> Iterator[str]:
        lines = Lines("\n".join(self._bars(self.layers)))
        blocks: list[tuple[str, Block]] = [("", self._story()), ("Layers", _table(self.layers)), ("", lines)]
        yield from sections([*blocks, *(("", note) for note in self.notes)])


def power(scale: float) -> str:
    """A power of two as such, and in digits where these are few."""
    if not 0 < scale < inf:
        return "any"
    exponent = int(log2(scale))
    if 0 <= exponent < 4:
        return f"{scale:g}"
    return f"2^{exponent} ({scale:,.0f})" if 4 <= exponent <= 30 else f"2^{exponent}"


def bars(counts: list[int]) -> str:
    """A bar of one character for each count, by its logarithm; anything above zero shows."""
    top = log2(1 + max(counts, default=0)) or 1.0
    return "".join(_BARS[0 if not n else max(1, round(8 * log2(1 + n) / top))] for n in counts)


def _fate(exponent: int, fmt: Format) -> str:
    """What becomes of a number of this exponent."""
    if exponent > log2(fmt.max):
        return "!"
    limit = log2(fmt.smallest_subnormal)
    return "n" if exponent >= fmt.emin else "s" if exponent >= limit - 1 else "0"  # what is past half of it rounds up


def _table(rows: tuple[LayerScale, ...]) -> list[tuple[str, ...]]:
    head = ("layer", "low", "normal", "high", "smallest", "largest", "nonzero", "to zero", "subnormal")
    lines = (
        (
            r.name, _power(r.low), _power(r.normal), _power(r.high),
            Figure(f"{r.smallest:.2g}", r.smallest), Figure(f"{r.largest:.2g}", r.largest),
            Figure(f"{r.nonzero:,}", r.nonzero), Figure(percent(r.zero_share), r.zero_share),
            Figure(percent(r.subnormal_share), r.subnormal_share),
        )
        for r in rows
    )  # fmt: skip
    return [head, *lines]


def _power(scale: float) -> Figure:
    return Figure(f"2^{int(log2(scale))}" if 0 < scale < inf else "any", scale)
