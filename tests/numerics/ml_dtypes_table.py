"""Every float type of ml_dtypes, code by code: ``python -m tests.numerics.ml_dtypes_table [--write]``.

Codes, roundings, arithmetic and comparisons of both packages are compared; where they differ, exact fractions
(`format_oracle`) say which of the two is wrong. ``--write`` puts the table into docs/formats.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

import halfsim as hs
from tests import marks
from tests.numerics.format_oracle import Oracle, Rounded, Value, value
from tests.numerics.fuzz_formats import DOCS

TYPES = (
    *("float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2"),
    *("float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", "bfloat16"),
)
OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[..., Any]]] = {
    "add": (np.add, hs.ieee.add),
    "sub": (np.subtract, hs.ieee.sub),
    "mul": (np.multiply, hs.ieee.mul),
    "div": (np.divide, hs.ieee.div),
}
COMPARISONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[..., Any]]] = {
    "eq": (np.equal, hs.ieee.eq),
    "lt": (np.less, hs.ieee.lt),
    "le": (np.less_equal, hs.ieee.le),
}


@dataclass
class Row:
    """What was compared of a type, what halfsim had wrong, and what ml_dtypes did."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    theirs: Counter[str] = field(default_factory=Counter)

    def compare(self, kind: str, ours: Any, theirs: Any, judge: Callable[[int], tuple[bool, str, str]]) -> None:
        """Count equal codes (-1 stands for NaN); ``judge(i)`` says whether ours is right, what it was, and why not."""
        self.counts[kind] += ours.size
        for i in np.flatnonzero(ours != theirs).tolist():
            right, text, why = judge(i)
            if right:
                self.theirs[why] += 1
            else:
                self.wrong.append(f"{self.name}: {text}: ours {ours[i]:#x}, theirs {theirs[i]:#x}")


class Type:
    """A type in both packages."""

    def __init__(self, name: str) -> None:
        self.name, self.dtype, self.format = name, np.dtype(getattr(ml_dtypes, name)), getattr(hs, name)
        self.word = np.dtype(f"u{self.dtype.itemsize}")
        self.codes = np.arange(1 << ml_dtypes.finfo(self.dtype).bits, dtype=self.word)
        with np.errstate(invalid="ignore"):
            self.values = self.codes.view(self.dtype).astype(np.float64)  # by ml_dtypes
        self.oracle = Oracle.of(self.format)

    def plain(self, codes: Any) -> Any:
        """Codes as they are compared: -1 for NaN."""
        return np.where(np.isnan(self.values[codes]), -1, codes.astype(np.int64))

    def decoded(self, code: int) -> Value:
        found = self.oracle.decode(code)
        assert found is not None
        return found

    def code(self, x: Value) -> int:
        found = self.oracle.encode(x)
        return -1 if found is None else found


def decoding(row: Row, of: Type) -> None:
    """Every code's number, and every number's code, through each door that takes them."""
    theirs = of.codes.view(of.dtype)
    plain = np.where(np.isnan(of.values), np.nan, of.values).view(np.int64)  # zeros with their signs, one NaN
    for ours in (hs.decode(of.codes, of.format), hs.round_to(theirs, "float64"), hs.tensor(theirs).numpy()):
        found = np.asarray(ours, np.float64)
        differ = np.where(np.isnan(found), np.nan, found).view(np.int64) != plain
        row.counts["codes"] += of.codes.size
        row.wrong += [f"{of.name}: decode({i:#x}) is {found[i]}, theirs {of.values[i]}" for i in np.flatnonzero(differ)]
    numbers = of.plain(of.codes)
    back = (hs.encode(of.values, of.format), hs.encode(theirs, of.format), hs.tensor(of.values, of.format).bits())
    for codes in back:
        row.compare("codes", of.plain(codes), numbers, lambda i: (False, f"encode({of.values[i]})", ""))
    if of.format.bits <= 8:
        assert numbers.tolist() == [of.code(of.decoded(code)) for code in range(of.codes.size)]  # so says the oracle


def inputs(of: Type) -> dict[str, Any]:
    """float16: all values; float32, float64: numbers of the type, ties, edges, both neighbours of each, and noise."""
    numbers = np.unique(of.values[np.isfinite(of.values)])
    above = 2 * numbers[-1] - numbers[-2]  # where the number after the largest would be
    grid = np.concatenate(
        [numbers, [above, 2 * above, -above], numbers[:1] / 2, np.abs(numbers[numbers != 0]).min() / [2, 4, 8]]
    )
    grid = np.unique(grid)
    points = np.concatenate([grid, (grid[1:] + grid[:-1]) / 2, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30]])
    found = {"float16": np.arange(65536, dtype=np.uint16).view(np.float16)}
    for name in ("float32", "float64"):
        here = points.astype(name)
        up, down = np.nextafter(here, here.dtype.type(np.inf)), np.nextafter(here, here.dtype.type(-np.inf))
        words = np.random.default_rng(0).integers(0, 1 << 32, 100_000, dtype=np.uint32).view(np.float32)
        found[name] = np.concatenate([here, up, down, words.astype(name) if name == "float32" else here[:0]])
    return found


def odd(x: Any) -> Any:
    """float64 as float32, the last bit set where any was lost: rounding that is rounding ``x``, once."""
    y = x.astype(np.float32)
    lost = (y != x) & (y.view(np.uint32) & 1 == 0) & ~np.isnan(x)
    return np.where(lost, np.nextafter(y, np.where(x > y, np.inf, -np.inf).astype(np.float32)), y)


def rounding(row: Row, of: Type) -> None:
    """Each of `inputs` as a code."""
    for name, x in inputs(of).items():
        once = odd(x) if name == "float64" else x
        theirs, ours = of.plain(once.astype(of.dtype).view(of.word)), of.plain(hs.encode(x, of.format))
        twice = of.plain(x.astype(of.dtype).view(of.word)) != theirs
        if twice.any():
            row.theirs["float64 is first rounded to float32"] += int(np.count_nonzero(twice))
        if not of.format.has_nan:  # NaN becomes a zero, here of NaN's sign, there of the other one
            nan = np.isnan(x)
            ours[nan], theirs[nan] = ours[nan] & _magnitude(of), theirs[nan] & _magnitude(of)

        def judge(i: int, name: str = name, x: Any = x, ours: Any = ours) -> tuple[bool, str, str]:
            right = of.code(of.oracle.round(value(x[i])).value) == ours[i]
            return right, f"encode({name} {x[i]!r})", "subnormal numbers of float32 are rounded up"

        row.compare("roundings", ours, theirs, judge)


def _magnitude(of: Type) -> int:
    return (1 << (of.format.bits - of.format.signed)) - 1


def pairs(of: Type) -> tuple[Any, Any]:
    """All pairs of codes; of bfloat16 every code with 16 of all kinds."""
    if of.format.bits <= 8:
        a, b = np.meshgrid(of.codes, of.codes, indexing="ij")
        return a.ravel(), b.ravel()
    hard = np.array([0, 1, 0x81, 0x3F81, 0x4049, 0x7F7F, 0x7F80, 0x7FC0], np.uint16)
    hard = np.concatenate([hard, hard | 0x8000])
    return np.repeat(of.codes, hard.size), np.tile(hard, of.codes.size)


def arithmetic(row: Row, of: Type) -> None:
    """+ - * / of `pairs`, by `hs.ieee` on codes, and by tensors that are stored and computed in the type."""
    a, b = pairs(of)
    x, y = a.view(of.dtype), b.view(of.dtype)
    with hs.precision(hs.Precision(storage=of.format, compute=of.format)):
        t, u = hs.tensor(of.values[a], of.format), hs.tensor(of.values[b], of.format)
        tensors = {"add": t + u, "sub": t - u, "mul": t * u, "div": t / u}
    for name, (theirs_of, ours_of) in OPERATIONS.items():
        with np.errstate(all="ignore"):
            theirs = of.plain(theirs_of(x, y).view(of.word))
        codes = {"ieee": of.plain(ours_of(a, b, format=of.format)[0]), "tensors": of.plain(tensors[name].bits())}
        for door, ours in codes.items():
            if not of.format.has_nan and name == "div":  # 0/0: a zero of the sign of the host's NaN
                none = (of.values[a] == 0) & (of.values[b] == 0)
                ours[none], theirs[none] = ours[none] & _magnitude(of), theirs[none] & _magnitude(of)

            def judge(i: int, name: str = name, door: str = door, ours: Any = ours) -> tuple[bool, str, str]:
                right: Rounded = getattr(of.oracle, name)(of.decoded(int(a[i])), of.decoded(int(b[i])), "nearest_even")
                text = f"{name} of {a[i]:#x} and {b[i]:#x} by {door}"
                return (
                    of.code(right.value) == ours[i],
                    text,
                    "results are first rounded to float32, where the smallest become zero",
                )

            row.compare("arithmetic", ours, theirs, judge)


def comparing(row: Row, of: Type) -> None:
    """Equal, less, less or equal of `pairs`, by `hs.ieee` on codes and by tensors."""
    a, b = pairs(of)
    x, y = a.view(of.dtype), b.view(of.dtype)
    t, u = hs.tensor(of.values[a], of.format), hs.tensor(of.values[b], of.format)
    tensors = {"eq": t == u, "lt": t < u, "le": t <= u}
    for name, (theirs_of, ours_of) in COMPARISONS.items():
        theirs = theirs_of(x, y).astype(np.int64)
        for door, ours in {"ieee": ours_of(a, b, format=of.format)[0], "tensors": tensors[name].numpy()}.items():

            def judge(i: int, name: str = name, door: str = door) -> tuple[bool, str, str]:
                return False, f"{name} of {a[i]:#x} and {b[i]:#x} by {door}", ""

            row.compare("comparisons", ours.astype(np.int64), theirs, judge)


@cache
def row(name: str) -> Row:
    """All comparisons of one type."""
    found, of = Row(name), Type(name)
    with np.errstate(all="ignore"):
        for what in (decoding, rounding, arithmetic, comparing):
            what(found, of)
    return found


KINDS = ("codes", "roundings", "arithmetic", "comparisons")


def table() -> str:
    """The table of docs/formats.md."""
    rows = [row(name) for name in TYPES]
    lines = [
        "| type | codes | roundings | arithmetic | comparisons | wrong |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in rows:
        counts = " | ".join(f"{r.counts[kind]:,}" for kind in KINDS)
        lines.append(f"| `{r.name}` | {counts} | {len(r.wrong):,} |")
    total = " | ".join(f"{sum(r.counts[kind] for r in rows):,}" for kind in KINDS)
    lines.append(f"| all | {total} | {sum(len(r.wrong) for r in rows):,} |")
    lines += ["", "| where ml_dtypes differs, and exact fractions agree with halfsim | results |", "| --- | --- |"]
    reasons: dict[str, list[str]] = {}
    for r in rows:
        for why, n in r.theirs.items():
            reasons.setdefault(why, []).append(f"{n:,} of `{r.name}`")
    lines += [f"| {why} | {', '.join(found)} |" for why, found in reasons.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, or put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/formats.md")
    arguments = parser.parse_args()
    text = table()
    print(text)
    wrong = [case for name in TYPES for case in row(name).wrong]
    print("\n".join(wrong[:40]))
    if arguments.write:
        marks.put(DOCS, "ml_dtypes", text)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
