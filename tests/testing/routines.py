"""Routines of NumPy and SciPy in float16, held to properties that every one of their kind should have.

``python -m tests.testing.routines`` searches with hypothesis and prints the smallest input that breaks each property;
``--write`` puts the table into docs/testing/routines.md. The routines are called as they are, on arrays of np.float16.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from halfsim.numerics.neighbours import ulp
from halfsim.testing import strategies as numeric
from tests import marks

DOCS = Path(__file__).parents[2] / "docs" / "testing" / "routines.md"
SEARCH = settings(derandomize=True, database=None, deadline=None, max_examples=300)

half = np.float16


def vectors(least: int = 1, most: int = 6, low: float = -65504.0, high: float = 65504.0) -> Any:
    """Short arrays of numbers of float16."""
    return numeric.arrays("float16", st.integers(least, most), elements={"min_value": low, "max_value": high})


def far_apart(least: int = 1, most: int = 6) -> Any:
    """Short arrays of numbers near the largest one, of both signs."""
    return numeric.near_overflow("float16", st.integers(least, most), of="elements")


def repeated(most: int, low: float, high: float) -> Any:
    """One number many times, the arrays on which small errors come together."""
    numbers = numeric.floats("float16", min_value=low, max_value=high)
    return st.builds(lambda n, x: np.full(n, x, half), st.integers(1, most), numbers)


@dataclass(frozen=True)
class Routine:
    """A call, the strategy of its input, and a property: whether it holds for what came of an input."""

    call: str
    run: Callable[[Any], Any]
    inputs: Any
    property: str
    holds: Callable[[Any, Any], Any]  # of the result and the input

    def broken_by(self, x: Any) -> bool:
        with quiet():
            return not bool(self.holds(self.run(x), x))

    def found(self) -> Any:
        """The smallest input that breaks it; None where none was found."""
        try:
            return find(self.inputs, self.broken_by, settings=SEARCH)
        except NoSuchExample:
            return None

    def told(self, x: Any) -> str:
        with quiet():
            return f"{shown(x)} gives {shown(self.run(x))}"


@contextmanager
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def shown(x: Any) -> str:
    """An array as one would type it."""
    array = np.asarray(x)
    if array.ndim == 0:
        return f"{array.item():.5g}" if array.dtype.kind == "f" else str(array)
    if array.size > 8:
        first = array.flat[0]
        return f"[{first:.5g}] * {array.size:,}" if (array == first).all() else f"[..., {array.flat[-1]:.5g}]"
    return (
        f"[{', '.join(f'{v:.5g}' for v in array.ravel().tolist())}]" if array.dtype.kind != "c" else str(array.tolist())
    )


def wide(x: Any) -> Any:
    return np.asarray(x, np.float64)


def within(low: Any, high: Any, y: Any, ulps: float = 1.0) -> Any:
    """Whether ``y`` lies between the two, give or take some ulp of float16."""
    low, high, y = wide(low), wide(high), wide(y)
    return np.all((y >= low - ulps * ulp(low)) & (y <= np.minimum(high + ulps * ulp(high), 65504.0)))


def same(a: Any, b: Any, ulps: float = 4.0, floor: float = 0.0) -> Any:
    """Whether two results are within some ulp of float16; ``floor`` is the size below which errors are absolute."""
    a, b = wide(a), wide(b)
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), floor)
    return np.all(np.isfinite(a) == np.isfinite(b)) and np.all(~np.isfinite(a) | (np.abs(a - b) <= ulps * ulp(size)))


def fits(x: Any) -> bool:
    """Whether the float64 result is a number of float16: then a finite one may be expected."""
    return bool(np.all(np.abs(x) < 65504.0))


def routines() -> Iterator[Routine]:
    """The rows; those of SciPy where it is installed."""
    yield Routine(
        "np.linalg.norm(x)", np.linalg.norm, vectors(),
        "at least the largest element, at most the sum of magnitudes",
        lambda y, x: not fits(np.abs(wide(x)).sum()) or within(np.abs(wide(x)).max(), np.abs(wide(x)).sum(), y, 4),
    )  # fmt: skip
    yield Routine(
        "np.percentile(x, 50)", lambda x: np.percentile(x, 50), far_apart(),
        "between the smallest and the largest element",
        lambda y, x: within(x.min(), x.max(), y),
    )  # fmt: skip
    yield Routine(
        "np.mean(x)", np.mean, vectors() | repeated(100_000, 1, 65504),
        "between the smallest and the largest element",
        lambda y, x: within(x.min(), x.max(), y),
    )  # fmt: skip
    yield Routine(
        "np.var(x)", np.var, repeated(100, 128, 512), "0 of equal elements",
        lambda y, x: (x != x[0]).any() or y == 0,
    )  # fmt: skip
    yield Routine(
        "np.std(x)", np.std, vectors(), "at most half of the range",
        lambda y, x: not fits(np.ptp(wide(x))) or within(0, np.ptp(wide(x)) / 2, y, 4),
    )  # fmt: skip
    yield Routine(
        "np.average(x, weights=x * 0 + 1)", lambda x: np.average(x, weights=x * 0 + 1),
        vectors() | repeated(100_000, 1, 65504), "between the smallest and the largest element",
        lambda y, x: within(x.min(), x.max(), y),
    )  # fmt: skip
    yield Routine(
        "np.nanmean(x)", np.nanmean, vectors() | repeated(100_000, 1, 65504),
        "between the smallest and the largest element",
        lambda y, x: within(x.min(), x.max(), y),
    )  # fmt: skip
    yield Routine(
        "np.cumsum(x)", np.cumsum, repeated(5_000, 1, 8), "grows with every positive element",
        lambda y, x: not fits(wide(x).sum()) or (np.diff(wide(y)) > 0).all(),
    )  # fmt: skip
    yield Routine(
        "np.linspace(-x[0], x[0], 5)", lambda x: np.linspace(-x[0], x[0], 5), vectors(1, 1, 0),
        "between its ends", lambda y, x: within(-x[0], x[0], y),
    )  # fmt: skip
    yield Routine(
        "np.linspace(0, n, n + 1, dtype=np.float16)", lambda n: np.linspace(0, n, n + 1, dtype=half),
        st.integers(1, 10_000), "no two elements alike", lambda y, n: len({*y.tolist()}) == n + 1,
    )  # fmt: skip
    yield Routine(
        "np.gradient(x)", np.gradient, far_apart(2), "between the smallest and the largest difference",
        lambda y, x: not fits(np.diff(wide(x))) or within(np.diff(wide(x)).min(), np.diff(wide(x)).max(), y),
    )  # fmt: skip
    yield Routine(
        "np.convolve(x, [0.5, 0.5], 'valid')", lambda x: np.convolve(x, np.array([0.5, 0.5], half), "valid"),
        vectors(2), "between the smallest and the largest element", lambda y, x: within(x.min(), x.max(), y),
    )  # fmt: skip
    yield Routine(
        "np.convolve(x, x * 0 + 1, 'valid')", lambda x: np.convolve(x, x * 0 + 1, "valid"),
        repeated(5_000, 1, 1), "the sum of the elements, within 4 ulp",
        lambda y, x: same(y, wide(x).sum()),
    )  # fmt: skip
    yield Routine(
        "np.polyval([1, -1, 0], x)", lambda x: np.polyval(np.array([1, -1, 0], half), x),
        vectors(1, 1, 0, 250), "the float64 value, within 4 ulp", lambda y, x: same(y, np.polyval([1, -1, 0], wide(x)))
    )  # fmt: skip
    yield Routine(
        "np.trapezoid(x)", np.trapezoid, vectors(2), "between n - 1 times the smallest and the largest element",
        lambda y, x: (
            not fits(2 * np.abs(wide(x)).sum())
            or within((x.size - 1) * wide(x).min(), (x.size - 1) * wide(x).max(), y, 4)
        ),
    )  # fmt: skip
    yield Routine(
        "np.corrcoef(x, x)[0, 1]", lambda x: np.corrcoef(x, x)[0, 1], vectors(2), "1 unless all elements are equal",
        lambda y, x: (x == x[0]).all() or abs(y - 1) < 0.01,
    )  # fmt: skip
    yield Routine(
        "np.fft.ifft(np.fft.fft(x))", lambda x: np.fft.ifft(np.fft.fft(x)).real, vectors(),
        "x again, within 4 ulp of the largest element", lambda y, x: same(y, x, floor=float(np.abs(x).max())),
    )  # fmt: skip
    if find_spec("scipy"):
        yield from _scipy()


def _scipy() -> Iterator[Routine]:
    from scipy import fft, special, stats
    from scipy.spatial import distance

    yield Routine(
        "scipy.special.softmax(x)", special.softmax, vectors() | repeated(100_000, -8, 8), "sums to 1 within 1 %",
        lambda y, x: abs(wide(y).sum() - 1) < 0.01,
    )  # fmt: skip
    yield Routine(
        "scipy.special.logsumexp(x)", special.logsumexp, vectors() | repeated(100_000, -8, 8),
        "between the largest element and that plus log n",
        lambda y, x: within(wide(x).max(), wide(x).max() + np.log(x.size), y, 4),
    )  # fmt: skip
    yield Routine(
        "scipy.special.log_softmax(x)", special.log_softmax, vectors() | repeated(100_000, -8, 8),
        "its exponentials sum to 1 within 2 %", lambda y, x: abs(np.exp(wide(y)).sum() - 1) < 0.02,
    )  # fmt: skip
    yield Routine(
        "scipy.stats.zscore(x)", stats.zscore, vectors(2, 3, 0), "its mean square is 1 unless all elements are equal",
        lambda y, x: np.std(wide(x)) <= 4 * ulp(x.max()) or abs(np.mean(wide(y) ** 2) - 1) < 0.01,
    )  # fmt: skip
    yield Routine(
        "scipy.spatial.distance.cosine(x, x)", lambda x: distance.cosine(x, x), vectors(1, 6, 1), "0",
        lambda y, x: abs(y) < 0.01,
    )  # fmt: skip
    yield Routine(
        "scipy.stats.gmean(x)", stats.gmean, vectors(1, 6, 1) | repeated(50_000, 1, 8),
        "between the smallest and the largest element, within 1 %",
        lambda y, x: wide(x).min() * 0.99 <= y <= wide(x).max() * 1.01,
    )  # fmt: skip
    yield Routine(
        "scipy.fft.ifft(scipy.fft.fft(x))", lambda x: fft.ifft(fft.fft(x)).real, vectors(),
        "x again, within 4 ulp of the largest element", lambda y, x: same(y, x, floor=float(np.abs(x).max())),
    )  # fmt: skip


def versions() -> str:
    names = ("numpy", "scipy", "hypothesis")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names if find_spec(name))


def row(routine: Routine) -> str:
    x = routine.found()
    return f"| `{routine.call}` | {routine.property} | {'holds' if x is None else routine.told(x)} |\n"


def found(every: int = 1) -> str:
    """The table, of each so many-th routine."""
    head = "| call | property | the smallest input that breaks it |\n| --- | --- | --- |\n"
    return f"With {versions()}:\n\n{head}" + "".join(map(row, islice(routines(), None, None, every)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.testing.routines", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/testing/routines.md")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th routine")
    given = parser.parse_args()
    if not given.write:
        print(found(given.every))
        return
    marks.put(DOCS, "found", f"\n{found()}\n")


if __name__ == "__main__":
    main()
