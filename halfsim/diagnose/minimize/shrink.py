"""Making arrays smaller and their numbers simpler, as long as they still fail."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from halfsim.diagnose.ddmin import sufficient
from halfsim.diagnose.minimize.source import decimal
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array, round_to

_LONG = 64  # an axis up to which single positions are left out; values a sweep goes through one by one
_DISTINCT = 256  # numbers whose digits are looked at


class Shrinker:
    """The smallest arrays so far of which ``fails`` is true; ``formats`` are those of the arrays, None for integers."""

    def __init__(self, state: list[Array], formats: list[Format | None], fails: Callable[[list[Array]], bool]) -> None:
        self.state, self.formats, self.fails = state, formats, fails
        self.cost = self.price(state)

    def better(self, state: list[Array]) -> bool:
        """Whether ``state`` is simpler and still fails; then it takes the place of the present one."""
        cost = self.price(state)
        if cost >= self.cost or not self.fails(state):
            return False
        self.state, self.cost = state, cost
        return True

    def price(self, state: list[Array]) -> tuple[float, ...]:
        """What makes inputs simple, the most important first."""
        numbers, other, length = 0, 0, 0
        for fmt, x in zip(self.formats, state, strict=True):
            values, counts = np.unique(x, return_counts=True)
            numbers += int(np.count_nonzero(x))
            other += len(values)
            if len(values) > _DISTINCT:
                continue
            digits = [_digits(decimal(float(v), fmt) if fmt else str(v)) for v in values]
            length += sum(int(n) * many for n, many in zip(counts, digits, strict=True))
        return sum(x.size for x in state), numbers, other, length, sum(float(np.sum(x < 0)) for x in state)

    def shrink(self) -> None:
        """Shrink axes and numbers until nothing changes any more."""
        cost: tuple[float, ...] = ()
        while self.cost != cost:
            cost = self.cost
            for link in self.links():
                self.shorten(link)
            for i in range(len(self.state)):
                self.simplify(i)

    def links(self) -> Iterator[list[tuple[int, int]]]:
        """The axes (array, axis) to shorten together: all of one length, then each alone, then in twos."""
        axes = [(i, axis) for i, x in enumerate(self.state) for axis in range(x.ndim)]
        for length in sorted({self.length(axis) for axis in axes}, reverse=True):
            together = [axis for axis in axes if self.length(axis) == length]
            yield together
            if len(together) > 1:
                yield from ([axis] for axis in together)
                yield from map(list, itertools.combinations(together, 2))

    def length(self, axis: tuple[int, int]) -> int:
        return self.state[axis[0]].shape[axis[1]]

    def shorten(self, link: list[tuple[int, int]]) -> None:
        """Keep the beginning, then the end, then single positions."""
        lengths = {self.length(axis) for axis in link}
        if len(lengths) > 1 or lengths <= {0, 1}:
            return
        for end in (True, False):
            self.halve(link, end)
        n = self.length(link[0])
        if 1 < n <= _LONG:
            state = self.state
            sufficient(range(n), lambda some: bool(some) and self.better(taken(state, link, sorted(some))))

    def halve(self, link: list[tuple[int, int]], end: bool) -> None:
        """Leave out as much of one end as possible, by halves."""
        state = self.state
        n = self.length(link[0])
        low, high = 0, n  # fails with high, not known to with low
        while high - low > 1:
            middle = (low + high) // 2
            if self.better(taken(state, link, range(middle) if end else range(n - middle, n))):
                high = middle
            else:
                low = middle

    def simplify(self, i: int) -> None:
        """Make the numbers of one array simple, as many at a time as possible."""
        for change in _changes(self.formats[i]):
            new = change(self.state[i])
            self.sweep(i, new, np.flatnonzero(_bits(new) != _bits(self.state[i])))

    def sweep(self, i: int, new: Array, where: Array) -> None:
        if not where.size:
            return
        x = self.state[i].copy()
        x.reshape(-1)[where] = new.reshape(-1)[where]
        if self.better([*self.state[:i], x, *self.state[i + 1 :]]) or where.size == 1:
            return
        if new.size <= _LONG or where.size > new.size // 8:
            self.sweep(i, new, where[: where.size // 2])
            self.sweep(i, new, where[where.size // 2 :])


def taken(state: list[Array], link: list[tuple[int, int]], positions: Any) -> list[Array]:
    """``state`` with only ``positions`` of the axes in ``link``."""
    new = list(state)
    for i, axis in link:
        new[i] = np.take(new[i], list(positions), axis)
    return new


def _bits(x: Array) -> Array:
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat.view(np.dtype(f"u{flat.itemsize}")) if flat.dtype.kind == "f" else flat


def _changes(fmt: Format | None) -> list[Callable[[Array], Array]]:
    """Ways to make numbers simpler, the most thorough first; what has no place in the format stays."""
    plain: list[Callable[[Array], Array]] = [np.zeros_like, np.ones_like]
    if fmt is None:
        return plain

    def on_grid(change: Callable[[Array], Array]) -> Callable[[Array], Array]:
        def changed(x: Array) -> Array:
            with np.errstate(all="ignore"):
                new = np.asarray(round_to(change(x.astype(np.float64)), fmt)).astype(x.dtype).reshape(x.shape)
            return np.where(np.isfinite(new) & np.isfinite(x), new, x)

        return changed

    return [
        *plain,
        on_grid(lambda x: np.full_like(x, x.flat[np.argmax(np.abs(x))]) if x.size else x),
        on_grid(np.abs),
        *(on_grid(lambda x, n=n: _rounded(x, n)) for n in (1, 2, 3)),  # type: ignore[misc]
        on_grid(np.rint),
        on_grid(lambda x: np.copysign(np.exp2(np.rint(np.log2(np.abs(x)))), x)),
    ]


def _rounded(x: Array, n: int) -> Array:
    """``x`` with ``n`` decimal digits."""
    return np.array([float(f"{v:.{n - 1}e}") for v in x.reshape(-1)]).reshape(x.shape)


def _digits(decimal: str) -> int:
    """How many digits a decimal has, zeros at its ends aside."""
    return len(decimal.partition("e")[0].replace(".", "").lstrip("-").strip("0"))
