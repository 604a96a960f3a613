"""What is lost when a model's weights, or those that it loads, are rounded to another format."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import carried
from halfsim.autograd.tensor import Tensor
from halfsim.card import Card, Record
from halfsim.frames import level
from halfsim.markup import Figure
from halfsim.nn.state import Rounded, put
from halfsim.nn.walking import first_met, parts
from halfsim.numerics.formats import Format, as_format
from halfsim.text import columns

if TYPE_CHECKING:
    from halfsim.nn.module import Module

ZEROED_SHARE = (
    0.001  # a few of a million weights are always too small; from this share of a tensor on it is worth a word
)


class ConversionWarning(UserWarning):
    """What `Module.to` and `Module.load_state_dict` warn with where weights became infinite or vanished."""


@dataclass(frozen=True)
class ConversionRow(Record):
    """What rounding did to one parameter or buffer of ``size`` values, ``nonzero`` of them finite and not zero.

    ``to_infinity`` counts finite values that the format has no number near: infinite afterwards, or NaN where it has no
    infinity (no sign, no zero), or clipped to the largest number where it has neither; ``to_zero`` nonzero values that
    are zero, ``to_subnormal`` normal values that are subnormal.
    ``largest_relative_error`` is that of the values that are neither infinite nor zero afterwards.
    """

    name: str
    size: int
    nonzero: int
    to_infinity: int
    to_zero: int
    to_subnormal: int
    largest_relative_error: float

    @property
    def lost(self) -> int:
        """How many values are no longer what they were in kind."""
        return self.to_infinity + self.to_zero + self.to_subnormal


@dataclass(frozen=True)
class Conversion(Card):
    """What rounding a model to ``format`` lost: a row for each parameter and floating-point buffer.

    ``str`` gives a table of the rows that lost something, worst first, or one sentence if none did.
    """

    format: Format
    rows: tuple[ConversionRow, ...]

    @property
    def size(self) -> int:
        """The number of values."""
        return sum(row.size for row in self.rows)

    @property
    def to_infinity(self) -> int:
        return sum(row.to_infinity for row in self.rows)

    @property
    def to_zero(self) -> int:
        return sum(row.to_zero for row in self.rows)

    @property
    def to_subnormal(self) -> int:
        return sum(row.to_subnormal for row in self.rows)

    @property
    def largest_relative_error(self) -> float:
        return max((row.largest_relative_error for row in self.rows), default=0.0)

    @property
    def past(self) -> str:
        """What became of values that the format has no number near: "infinite", "NaN" or "clipped"."""
        if not self.format.has_infinity:
            return "NaN" if self.format.has_nan else "clipped"
        return "infinite" if self.format.signed else "infinite or NaN"

    def worst(self) -> list[ConversionRow]:
        """The rows that lost something: by infinities, then zeros, then subnormal numbers."""
        lossy = [row for row in self.rows if row.lost]
        return sorted(lossy, key=lambda row: (-row.to_infinity, -row.to_zero, -row.to_subnormal))

    def _card(self) -> Any:
        head, *rows = self._table() or [()]
        shown = [head, *((name, *(Figure(n, None) for n in numbers)) for name, *numbers in rows)]
        return [("", shown if rows else str(self))]

    def __str__(self) -> str:
        error = f"largest relative error {self.largest_relative_error:.3g}"
        table = self._table()
        if not table:
            return f"{self.format}: of {self.size:,} values none became {self.past}, zero or subnormal; {error}"
        return columns(table)

    def _table(self) -> list[tuple[str, ...]]:
        """A head and the rows that lost most, with their sum; nothing where none did."""
        if not self.worst():
            return []
        total = ConversionRow(
            "all", self.size, 0, self.to_infinity, self.to_zero, self.to_subnormal, self.largest_relative_error
        )
        head = (f"to {self.format}", "values", self.past, "to zero", "to subnormal", "relative error")
        rows = [(r.name, *_numbers(r), f"{r.largest_relative_error:.3g}") for r in (*self.worst()[:10], total)]
        return [head, *rows]


def _numbers(row: ConversionRow) -> list[str]:
    return [f"{n:,}" for n in (row.size, row.to_infinity, row.to_zero, row.to_subnormal)]


def conversion_report(model: Module, format: object) -> Conversion:
    """What ``model.to(format)`` would lose, without doing it; ``ValueError`` for an unknown format.

    >>> import halfsim as hs
    >>> model = hs.nn.Linear(2, 1, bias=False)
    >>> model.weight = hs.nn.Parameter([[70000.0, 1e-9]])
    >>> conversion_report(model, "fp16").rows[0].to_infinity, conversion_report(model, "fp16").rows[0].to_zero
    (1, 1)
    """
    fmt = as_format(format)
    return Conversion(fmt, tuple(_row(name, part, tensor(part, fmt)) for name, part in _floating(model)))


def convert(model: Module, format: object) -> Conversion:
    """Round all parameters and floating-point buffers of ``model`` to ``format`` and say what it cost."""
    fmt, rows = carried(as_format(format)), []
    for name, part in _floating(model):
        rounded = tensor(part, fmt)
        rows.append(_row(name, part, rounded))
        put(part, rounded)
    return _warned(f"to({fmt})", Conversion(fmt, tuple(rows)))


def loaded(rounded: Rounded) -> Conversion:
    """What rounding the values of a state to the formats of a model cost; its format is that of the worst row."""
    rows = [_row(name, before, after) for name, before, after in rounded]
    worst = max(range(len(rows)), key=lambda i: (rows[i].lost, rows[i].largest_relative_error))
    return _warned("load_state_dict", Conversion(rounded[worst][2].format, tuple(rows)))


def _warned(what: str, report: Conversion) -> Conversion:
    """The report, with a warning where it is worth one."""
    if any(row.to_infinity or row.to_zero > ZEROED_SHARE * row.nonzero for row in report.rows):
        counts = f"{report.to_infinity:,} values {report.past} and {report.to_zero:,} zero of {report.size:,}"
        text = f"{what} made {counts}, most in {report.worst()[0].name}; see model.conversion"
        warnings.warn(text, ConversionWarning, stacklevel=level())
    return report


def _floating(model: Module) -> list[tuple[str, Tensor]]:
    if not hasattr(model, "_parameters"):
        raise TypeError(f"model: {type(model).__name__} is not allowed; allowed: Module")
    held: list[tuple[str, Any]] = [*parts(model, "_parameters"), *parts(model, "_buffers")]
    return [(name, part) for name, part in first_met(held) if isinstance(part, Tensor) and part.is_floating_point()]


def _row(name: str, before: Tensor, after: Tensor) -> ConversionRow:
    x, y = np.abs(before.array), np.abs(after.array)
    with np.errstate(all="ignore"):
        number = np.isfinite(x) & (x != 0)
        fmt = after.format
        past = x > fmt.max + 2.0 ** (fmt.emax - fmt.precision)  # more than half an ulp beyond the largest number
        infinite, zero = np.isfinite(x) & (~np.isfinite(y) | past), number & (y == 0)
        small = (y < fmt.smallest_normal) & (x >= before.format.smallest_normal) & (y != 0)
        error = np.abs(y - x, dtype=np.float64) / x
        worst = error.max(initial=0.0, where=number & ~infinite & ~zero)
    nonzero, *lost = (int(np.count_nonzero(mask)) for mask in (number, infinite, zero, small))
    return ConversionRow(name, after.size, nonzero, lost[0], lost[1], lost[2], float(worst))
