"""Where devices differ on the same product, by how much, and which of their numbers makes the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from halfsim.card import Card, Record
from halfsim.hardware.matrix_unit import taken, unit_matmul
from halfsim.hardware.units import DEVICES, UNITS, Unit, rows
from halfsim.numerics.accumulate import accumulator
from halfsim.numerics.accumulate import matmul as accumulated
from halfsim.numerics.formats import float64, unknown
from halfsim.numerics.quantize import Array
from halfsim.text import columns

# What may differ between two units, in words, and the numbers that say so; the last takes whatever is left.
_GROUPS: dict[str, tuple[str, ...]] = {
    "flushed inputs": ("flush_inputs",),
    "flushed addend": ("flush_addend",),
    "flushed results": ("flush_outputs",),
    "block length": ("block",),
    "bits kept in alignment": ("fraction", "zero_exponent"),
    "rounding of results": ("digits", "toward_zero"),
    "order of products": ("chains", "tile", "swapped", "detached", "interleaved"),
}
_FLUSHES = ("flush_inputs", "flush_addend", "flush_outputs")
_KINDS = {
    "aligned": "aligned, cut to {fraction} bits",
    "floored": "aligned, cut to {fraction} bits, joined rounding down",
    "exact": "exact sum",
    "tree": "pairwise sums, each rounded",
    "chain": "fused multiply-adds, {chains} chain(s)",
}


@dataclass(frozen=True)
class Difference(Record):
    """Between two devices: how many elements differ, the largest difference and its place, and the causes.

    ``causes`` pairs words with how many of the elements agree once the first device's numbers, those named before
    included, are replaced by the second's; ``ulp`` counts units in the last place of the coarser result.
    """

    first: str
    second: str
    count: int
    ulp: float
    place: tuple[int, ...]
    values: tuple[float, float]
    causes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Comparison(Card):
    """What `compare` found; ``outputs`` by device, ``error`` the largest in ulp against the exact result."""

    shape: tuple[int, ...]
    units: dict[str, Unit]
    outputs: dict[str, Array]
    error: dict[str, float]
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        lines = [("device", "unit", "step", "largest error")]
        for name, row in self.units.items():
            step = f"{row.block} of K: " if row.block > 1 else ""
            lines.append((name, row.name, step + described(row), f"{self.error[name]:.4g} ulp"))
        size = int(np.prod(self.shape))
        blocks = [f"{size} elements {self.shape}", "", columns(lines, left=3), ""]
        for d in self.differences:
            if not d.count:
                blocks.append(f"{d.first} and {d.second}: the same bits")
                continue
            shown = f"{d.values[0]:.9g} and {d.values[1]:.9g}"
            place = f" at {', '.join(map(str, d.place))}" if d.place else ""
            blocks.append(f"{d.first} and {d.second}: {d.count} differ, by at most {d.ulp:.4g} ulp")
            blocks.append(f"  the most{place}: {shown}")
            blocks += [f"  {count:>{len(str(d.count))}} by {cause}" for cause, count in d.causes]
        return "\n".join(blocks)


def described(row: Unit) -> str:
    """A unit's step in a few words.

    >>> described(rows("volta")["fp16", "fp32"])
    'aligned, cut to 23 bits, to zero'
    """
    words = [_KINDS[row.kind].format(fraction=row.fraction, chains=row.chains)]
    words += ["to zero"] if row.toward_zero else []
    words += ["flushes inputs"] if row.flush_inputs else []
    return ", ".join(words)


def unit_of(device: object, inputs: str, accumulate: str) -> Unit:
    """The unit of a device, the first of its ``units``, or of an architecture; of both also by name.

    An architecture that has these inputs with one accumulator alone gives that. ``ValueError`` otherwise.
    """
    own = getattr(device, "units", None)
    if own == ():
        raise ValueError(f"{getattr(device, 'name', device)}: nobody has described the bits of its sums; allowed: "
                         "devices with units, as 'A100'")  # fmt: skip
    name = own[0] if own else device
    if not isinstance(name, str):
        raise TypeError(f"devices: expected names, got {type(device).__name__}")
    known = {"".join(word.lower().split()): word for word in (*UNITS, *DEVICES)}
    word = known.get("".join(name.lower().split()))
    if word is None:
        raise unknown("devices", name, [*DEVICES, *UNITS])
    units = rows(DEVICES.get(word, word))
    fitting = [row for (given, _), row in units.items() if given == inputs]
    row = units.get((inputs, accumulate)) or (fitting[0] if len(fitting) == 1 else None)
    if row is None:
        shown = ", ".join(f"{i} into {a}" for i, a in units)
        raise ValueError(f"{word}: no unit takes {inputs} into {accumulate}; allowed: {shown}")
    return row


def compare(
    a: ArrayLike,
    b: ArrayLike,
    devices: Sequence[object],
    c: ArrayLike | None = None,
    inputs: str = "fp16",
    accumulate: str = "fp32",
) -> Comparison:
    """The product ``a @ b + c`` on each of ``devices``, and why each pair of them differs.

    Operands are as in `halfsim.hardware.unit_matmul`; a device without that accumulator takes part with the one it
    has. A cause is found by giving the first unit the numbers of the second, one group at a time, the most telling
    first, until they agree. Zeros of either sign are equal here, and so are NaN. ``print`` shows it in 100 columns.

    >>> a, b = [[1.0, 2.0**-12, 2.0**-12]], [[1.0], [2.0**-12], [2.0**-12]]
    >>> print(str(compare(a, b, ["V100", "A100"])).splitlines()[-1])
      1 by bits kept in alignment (23, 24)
    """
    if len(devices) < 2 or isinstance(devices, str):
        raise ValueError("devices: at least two are needed; allowed: a list such as ['V100', 'A100']")
    units = {str(getattr(device, "name", device)): unit_of(device, inputs, accumulate) for device in devices}
    outputs = {name: unit_matmul(a, b, c, row) for name, row in units.items()}
    exact = _exact(a, b, c, next(iter(units.values())))
    error = {name: float(np.max(_ulps(out, exact), initial=0)) for name, out in outputs.items()}
    pairs = tuple(_difference(*pair, a, b, c, units, outputs) for pair in combinations(units, 2))
    return Comparison(next(iter(outputs.values())).shape, units, outputs, error, pairs)


def _exact(a: ArrayLike, b: ArrayLike, c: ArrayLike | None, row: Unit) -> Array:
    """The product of the operands as cast, subnormal numbers kept, with one rounding to float64 or two."""
    keep = replace(row, flush_inputs=False)
    left, right = taken(a, keep).astype(np.float64), taken(b, keep).astype(np.float64)
    wide = [left[None] if left.ndim == 1 else left, right[:, None] if right.ndim == 1 else right]
    out = accumulated(wide[0], wide[1], accumulator("exact"), target=float64)
    out = out.reshape(np.matmul(np.zeros(left.shape), np.zeros(right.shape)).shape)
    with np.errstate(all="ignore"):
        return out if c is None else out + np.asarray(c, np.float64)


def _ulps(x: Array, y: Array) -> Array:
    """Their distance in units in the last place of ``x``'s type or the coarser; infinite to what is not finite."""
    kind = min((v.dtype for v in (x, y)), key=lambda dtype: dtype.itemsize)
    with np.errstate(all="ignore"):
        wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
        largest = np.minimum(np.maximum(np.abs(wide_x), np.abs(wide_y)), np.finfo(kind).max).astype(kind)
        distance = np.abs(wide_x - wide_y) / np.spacing(largest).astype(np.float64)
    same = (wide_x == wide_y) | (np.isnan(wide_x) & np.isnan(wide_y))
    return np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))


def _difference(
    first: str,
    second: str,
    a: ArrayLike,
    b: ArrayLike,
    c: ArrayLike | None,
    units: dict[str, Unit],
    outputs: dict[str, Array],
) -> Difference:
    x, y = outputs[first], outputs[second]
    ulps = _ulps(x, y)
    count = int(np.count_nonzero(ulps))
    if not count:
        return Difference(first, second, 0, 0.0, (), (0.0, 0.0), ())
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(ulps)), ulps.shape))
    causes = _causes(units[first], units[second], a, b, c, y, count)
    return Difference(first, second, count, float(ulps[place]), place, (float(x[place]), float(y[place])), causes)


def _causes(
    start: Unit, goal: Unit, a: ArrayLike, b: ArrayLike, c: ArrayLike | None, y: Array, count: int
) -> tuple[tuple[str, int], ...]:
    """Greedy: of the groups in which the two still differ, the one that mends most, until nothing differs."""
    causes: list[tuple[str, int]] = []
    left = count
    while left:
        found: dict[str, tuple[int, Unit]] = {}
        for words, changed in _changes(start, goal).items():
            remaining = int(np.count_nonzero(_ulps(unit_matmul(a, b, c, changed), y)))
            found[words] = (remaining, changed)
        words = min(found, key=lambda word: found[word][0])
        remaining, start = found[words]
        causes.append((words, left - remaining))
        left = remaining
    return tuple(causes)


def _changes(start: Unit, goal: Unit) -> dict[str, Unit]:
    """``start`` with one group of numbers of ``goal``, for each group in which they differ."""
    changes = {}
    same_way = start.kind == goal.kind and start.accumulate == goal.accumulate
    for words, names in _GROUPS.items():
        old, new = (tuple(getattr(unit, name) for name in names) for unit in (start, goal))
        if old != new and (same_way or names[0] in _FLUSHES):
            shown = f" ({old[0]}, {new[0]})" if not isinstance(old[0], bool) else ""
            changes[words + shown] = replace(start, **dict(zip(names, new, strict=True)))
    if not same_way:
        flushes = {name: getattr(start, name) for name in _FLUSHES}
        words = "accumulator" if start.kind == goal.kind else "the way of adding"
        pair = (start.accumulate, goal.accumulate) if start.kind == goal.kind else (start.kind, goal.kind)
        changes[f"{words} ({pair[0]}, {pair[1]})"] = replace(goal, **flushes)
    return changes or {"the whole unit": goal}
