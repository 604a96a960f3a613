"""Who gives the same bits: every described unit and every word for an accumulator, on inputs that tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from halfsim.card import Record
from halfsim.diagnose.reveal.box import Box
from halfsim.hardware.devices import devices
from halfsim.hardware.matrix_unit import unit_matmul
from halfsim.hardware.units import INSTRUCTIONS, UNITS, Unit
from halfsim.numerics.accumulate import accumulator, sum_
from halfsim.numerics.accumulate import matmul as accumulated
from halfsim.numerics.formats import Format, as_format, float32, float64
from halfsim.numerics.quantize import Array, rounded

_DEPTH = 70  # terms: more than two steps of every unit, and a partial one
_ORDERS = ("sequential", "sequential+fma", "pairwise", "kahan", "neumaier")
_ROWS = 64  # of a matrix that is compared
_BLOCKS = (2, 4, 8, 16, 32, 64)
_FEW = 8  # sums of one array each, of every pair of matrices
_SAME = ("architecture", "evidence", "nan")  # what does not show in numbers


@dataclass(frozen=True)
class UnitClass(Record):
    """Units whose outputs agree: their names, and every device that has one, with the instruction where not its own."""

    names: tuple[str, ...]
    inputs: str
    accumulate: str
    devices: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.devices or self.names)


def all_units() -> list[Unit]:
    """Every row of the table.

    >>> len(all_units()) > 40
    True
    """
    return [row for rows in UNITS.values() for row in rows.values()]


def numbers(row: Unit) -> tuple[object, ...]:
    """What of a row outputs can depend on."""
    return tuple(getattr(row, f.name) for f in fields(row) if f.name not in _SAME)


def owners(row: Unit) -> tuple[str, ...]:
    """The devices that have a unit, "H100 (mma)" where the instruction is not the device's first."""
    found = []
    for device in devices():
        if row.architecture in device.units:
            found.append(device.name)
            continue
        for instruction, architecture in INSTRUCTIONS.get(device.architecture, {}).items():
            if architecture == row.architecture:
                found.append(f"{device.name} ({instruction})")
    return tuple(found)


def inputs(length: int = _DEPTH) -> Iterator[tuple[Array, Array]]:
    """Pairs of matrices: ordinary numbers, sums of ``length`` too, then those of every exponent, tiny, and large."""
    rng = np.random.default_rng(20261130)
    yield _normal(rng, 16), _normal(rng, 16).T
    yield rng.standard_normal((_ROWS, length)), rng.standard_normal((length, _ROWS))
    for high in (3, 14, 60):  # large terms that cancel to the last, around small ones
        large = np.ldexp(_normal(rng, _ROWS), rng.integers(0, high, (_ROWS, _DEPTH)))
        large[:, 30:40] = np.ldexp(rng.standard_normal((_ROWS, 10)), -3)
        large[:, 40:] = -large[:, 29::-1]
        yield large, np.ones((_DEPTH, _ROWS))
    for low, high in ((-4, 4), (-60, 60), (-9, 5), (-15, 8), (-26, 8), (-70, 8), (-78, -55), (4, 9), (40, 66)):
        a, b = (np.ldexp(_normal(rng, _ROWS), rng.integers(low, high, (_ROWS, _DEPTH))) for _ in range(2))
        for x in (a, b):
            x[rng.random(x.shape) < 0.2] = 0
        a[:, 1::7], b[:, 1::7] = -a[:, 0:-1:7], b[:, 0:-1:7]  # terms that cancel at once, and some that do later
        a[:, 40:60], b[:, 40:60] = -a[:, 39:19:-1], b[:, 39:19:-1]
        yield a, b.T


def _normal(rng: np.random.Generator, count: int) -> Array:
    return rng.standard_normal((count, _DEPTH))


def same(x: Array, y: Array, given: Format | None = None) -> bool:
    """Whether two arrays have the same numbers in float32, the second rounded to ``given`` first.

    Any NaN is like any other, -0 like 0.
    """
    with np.errstate(all="ignore"):
        y = y if given in (None, float32) else rounded(y.astype(np.float32), given)
        return np.array_equal(x.astype(np.float32), y.astype(np.float32), equal_nan=True)


Product = Callable[[Array, Array], Array]


def agreeing(box: Box, candidates: dict[str, Product], length: int, given: Format | None = None) -> list[str]:
    """The names of those that give what ``box`` gives, for all inputs."""
    left = dict(candidates)
    for a, b in inputs(length):
        if not left:
            break
        a, b = a.astype(np.float32), b.astype(np.float32)
        out = box.whole(a, b)
        left = {name: product for name, product in left.items() if same(out, product(a, b), given)}
    return [*left]


def unit_class(box: Box, length: int, given: Format | None = None) -> UnitClass | None:
    """The class of units that ``box`` agrees with, None where there is none."""
    first: dict[tuple[object, ...], Unit] = {}
    for row in all_units():
        first.setdefault(numbers(row), row)
    names = agreeing(box, {row.name: _unit_product(row) for row in first.values()}, length, given)
    keys = {numbers(row) for row in first.values() if row.name in names}
    return classed([row for row in all_units() if numbers(row) in keys]) if keys else None


def _unit_product(row: Unit) -> Product:
    return lambda a, b: unit_matmul(a, b, None, row)


def classed(rows: Iterable[Unit]) -> UnitClass:
    """Some units as one class."""
    rows = list(rows)
    owned = dict.fromkeys(device for row in rows for device in owners(row))
    inputs, sums = ("/".join(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("inputs", "accumulate"))
    return UnitClass(tuple(row.name for row in rows), inputs, sums, tuple(owned))


def spelled(fmt: Format | None) -> list[str]:
    """The words for accumulators in ``fmt``; of every format where it is None."""
    names = [fmt.spelled] if fmt is not None else ["fp16", "bf16", "fp32", "fp64"]
    words = [f"{name}:{order}" for name in names for order in _ORDERS
             if order != "sequential+fma" or as_format(name) != float64]  # fmt: skip
    return [*words, *(f"{name}:blocked({size})" for name in names for size in _BLOCKS), "exact"]


def product_words(box: Box, length: int, fmt: Format | None, grid: Format | None, given: Format | None) -> list[str]:
    """The accumulators that ``box`` agrees with, operands rounded to ``grid`` first."""

    def product(word: str) -> Product:
        how = accumulator(word)

        def formed(a: Array, b: Array) -> Array:
            return accumulated(on_grid(a, grid), on_grid(b, grid), how, target=float32)

        return formed

    return agreeing(box, {word: product(word) for word in spelled(fmt)}, length, given)


def on_grid(x: Array, grid: Format | None) -> Array:
    """Operands as a box takes them."""
    return x if grid in (None, float32) else rounded(x, grid).astype(np.float32)


def sum_words(box: Box, length: int, fmt: Format | None, grid: Format | None, given: Format | None) -> list[str]:
    """The accumulators that a sum agrees with, terms rounded to ``grid`` first."""
    left = {word: accumulator(word) for word in spelled(fmt)}
    for a, _ in inputs(length):
        x = a[:_FEW].astype(np.float32)
        out = np.array([float(box(row)) for row in x])
        x = on_grid(x, grid)
        left = {word: how for word, how in left.items()
                if same(out, sum_(x, 1, False, how, target=float32), given)}  # fmt: skip
    return [*left]
