"""Random formats, values, modes and words against exact fractions: ``python -m tests.numerics.fuzz_formats``.

A case is one number (or one pair, or triple of codes) that one function of halfsim brought to one format, and its
flags; `format_oracle` says what it should have been. Arrays are drawn a format at a time, which keeps the whole at
some minutes on one core. ``--write`` puts the counts into docs/formats.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.numerics._grid import computable
from tests import marks
from tests.numerics.format_oracle import INEXACT, INVALID, MODES, OVERFLOW, Oracle, Rounded, Value, integral, value
from tests.numerics.fuzz_draws import EACH, HELD, Draws, decimal, nearest_float

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
Case = tuple[str, Any, Any]  # how to say it, what came out, what should have


class Fuzz(Draws):
    """One run: draws, compares, and keeps what was wrong."""

    def __init__(self, cases: int, seed: int) -> None:
        super().__init__(seed)
        self.left = cases
        self.counts: Counter[str] = Counter()
        self.wrong: dict[tuple[str, ...], list[str]] = {}

    def run(self) -> None:
        """Cases until there are enough."""
        kinds = [(kind, weight) for kind, (_, weight) in KINDS.items()]
        while self.left > 0:
            fmt, oracle = self.format()
            for _ in range(self.random.choice((4, 8, 16))):
                kind = self.random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
                done = self.one(kind, fmt, oracle)
                self.counts[kind] += done
                self.left -= done

    def one(self, kind: str, fmt: hs.Format, oracle: Oracle) -> int:
        """A call of one kind and its cases, compared."""
        done, said = 0, repr(fmt)
        try:
            for said, got, right in KINDS[kind][0](self, fmt, oracle):
                done += 1
                if got != right:
                    self.note(kind, fmt, f"{said} gave {got}, right {right}")
        except Exception as error:  # an error is one wrong case
            self.note(kind, fmt, f"{said}: {type(error).__name__}: {error}", type(error).__name__)
            done += 1
        return done

    def note(self, kind: str, fmt: hs.Format, text: str, error: str = "") -> None:
        """A wrong case, filed by its kind."""
        key = (kind, fmt.specials, f"signed={fmt.signed}", fmt.zero_field, error)
        self.wrong.setdefault(key, []).append(f"{fmt!r}: {text}")

    # Formats and values.


def seen(x: Any) -> tuple[bool, Any]:
    """A number as it is compared: its sign and magnitude, NaN without a sign."""
    v = x if isinstance(x, Value) else value(x)
    return (False, None) if v.nan else (v.negative, v.magnitude)


def held(right: Rounded, dtype: str, oracle: Oracle, overflow: str) -> Rounded:
    """What an array of ``dtype`` has of a result: of one past its range infinity, or the largest number it can hold."""
    x = right.value
    if not x.finite or x.zero:
        return right
    nearest = HELD[dtype].round(x).value
    if nearest.infinite:
        low, _ = oracle.neighbours(HELD[dtype].max)
        if overflow != "infinity" and low is not None:
            nearest = Value(x.negative, oracle.number(low))
        return Rounded(nearest, right.flags | OVERFLOW | INEXACT)
    if nearest.magnitude == x.magnitude:
        return right
    return Rounded(HELD[dtype].round(x, "toward_zero").value, right.flags)  # the largest of many digits


def shown(x: Any) -> str:
    text = repr(x)
    return text if len(text) < 200 else f"{text[:200]}..."


def _rounding(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    name, given, exact = fuzz.inputs(oracle)
    mode, overflow, subnormals = fuzz.modes()
    words = f"{mode!r}, overflow={overflow!r}, subnormals={subnormals!r}"
    yield_ = f"round_to({name} ..., {words})"
    try:
        y, flags = hs.round_to(given, fmt, mode, overflow=overflow, subnormals=subnormals, return_flags=True)
    except Exception as error:
        raise type(error)(f"{error} in {yield_} of {shown(given)}") from error
    dtype = np.asarray(y).dtype.name
    for i, x in enumerate(exact):
        right = oracle.round(x, mode, overflow, subnormals)
        right = held(right, dtype, oracle, overflow)
        said = f"round_to({name} {shown(given[i])}, {words})"
        yield said, (seen(y[i]), int(flags[i])), (seen(right.value), right.flags)


def _encoding(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    name, given, exact = fuzz.inputs(oracle)
    mode, overflow, subnormals = fuzz.modes()
    codes = hs.encode(given, fmt, mode, overflow=overflow, subnormals=subnormals)
    for i, x in enumerate(exact):
        right = oracle.round(x, mode, overflow, subnormals).value
        said = f"encode({name} {shown(given[i])}, {mode!r}, overflow={overflow!r}, subnormals={subnormals!r})"
        yield said, coded(int(codes[i]), oracle), oracle.encode(right)


def coded(code: int, oracle: Oracle) -> int | None:
    """A code, None for any NaN's."""
    found = oracle.decode(code)
    return None if found is not None and found.nan else code


def _decoding(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    codes = [fuzz.code(oracle) for _ in range(EACH)]
    values = hs.decode(np.array(codes, np.uint64), fmt)
    back = hs.encode(values, fmt)
    for code, x, again in zip(codes, values, back, strict=True):
        right = oracle.decode(code)
        yield f"decode({code:#x})", (seen(x), coded(int(again), oracle)), (seen(right), coded(code, oracle))


def _neighbours(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    rnd = fuzz.random
    given = np.array([nearest_float(fuzz.number(oracle)) for _ in range(EACH)])
    given[rnd.randrange(EACH)] = rnd.choice((0.0, -0.0, np.inf, -np.inf, np.nan))
    name = rnd.choice(("ulp", "next_up", "next_down"))
    found = getattr(hs, name)(given, fmt)
    for x, y in zip(given, found, strict=True):
        right = getattr(oracle, name)(value(x))
        yield f"{name}({x!r})", seen(y), seen(right)


_OPERANDS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "rem": 2, "fma": 3, "sqrt": 1}


def _operation(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    name, mode = fuzz.random.choice(list(_OPERANDS)), fuzz.random.choice(MODES)
    operands = [[fuzz.code(oracle) for _ in range(EACH)] for _ in range(_OPERANDS[name])]
    mode = "nearest_even" if name == "rem" else mode  # which is exact but where numbers are alone above zero
    how = {"format": fmt} if name == "rem" else {"format": fmt, "rounding": mode}
    found, flags = getattr(hs.ieee, name)(*(np.array(x, np.uint64) for x in operands), **how)
    for i, codes in enumerate(zip(*operands, strict=True)):
        right = getattr(oracle, name)(*(oracle.decode(code) for code in codes), mode)
        said = f"ieee.{name}({', '.join(map(hex, codes))}, rounding={mode!r})"
        yield said, (coded(int(found[i]), oracle), int(flags[i])), (_code(right, oracle), right.flags)


def _code(right: Rounded, oracle: Oracle) -> int | None:
    """The code of a result; of a NaN none, but where an infinity stands for it."""
    if right.value.nan and not oracle.has_nan:
        return oracle.encode(oracle.absent(right.value.negative).value)
    return oracle.encode(right.value)


def _converting(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    target, to = fuzz.format()
    mode = fuzz.random.choice(MODES)
    codes = [fuzz.code(oracle) for _ in range(EACH)]
    found, flags = hs.ieee.convert(np.array(codes, np.uint64), fmt, target, rounding=mode)
    for i, code in enumerate(codes):
        x = oracle.decode(code)
        assert x is not None
        right = to.convert(x, mode)
        said = f"ieee.convert({code:#x}, ..., {target!r}, rounding={mode!r})"
        yield said, (coded(int(found[i]), to), int(flags[i])), (_code(right, to), right.flags)


def _comparing(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    a, b = ([fuzz.code(oracle) for _ in range(EACH)] for _ in range(2))
    b = [x if fuzz.random.random() < 0.3 else y for x, y in zip(a, b, strict=True)]
    name, test, signaling = fuzz.random.choice(_COMPARISONS)
    found, flags = getattr(hs.ieee, name)(np.array(a, np.uint64), np.array(b, np.uint64), format=fmt)
    for i, codes in enumerate(zip(a, b, strict=True)):
        x, y = (oracle.decode(code) for code in codes)
        assert x is not None
        assert y is not None
        nan = x.nan or y.nan
        raised = 16 * (nan if signaling else x.signaling or y.signaling)
        holds = not nan and test(x.exact if x.finite else _huge(x), y.exact if y.finite else _huge(y))
        yield f"ieee.{name}({codes[0]:#x}, {codes[1]:#x})", (bool(found[i]), int(flags[i])), (holds, raised)


def _huge(x: Value) -> float:
    return -math.inf if x.negative else math.inf


_COMPARISONS: tuple[tuple[str, Callable[[Any, Any], bool], bool], ...] = (
    ("eq", lambda x, y: x == y, False),
    ("lt", lambda x, y: x < y, True),
    ("le", lambda x, y: x <= y, True),
    ("lt_quiet", lambda x, y: x < y, False),
    ("le_quiet", lambda x, y: x <= y, False),
)


def _stepping(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    name = fuzz.random.choice(("next_up", "next_down"))
    codes = [fuzz.code(oracle) for _ in range(EACH)]
    found, flags = getattr(hs.ieee, name)(np.array(codes, np.uint64), format=fmt)
    for i, code in enumerate(codes):
        x = oracle.decode(code)
        assert x is not None
        right = Rounded(getattr(oracle, name)(x), 16 * x.signaling)
        said = f"ieee.{name}({code:#x})"
        yield said, (coded(int(found[i]), oracle), int(flags[i])), (_code(right, oracle), right.flags)


def _integers(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    """To integers and back."""
    name, mode = fuzz.random.choice(("round_to_integral", "to_int", "from_int")), fuzz.random.choice(MODES)
    codes = [fuzz.code(oracle) for _ in range(EACH)]
    said = f"rounding={mode!r}"
    if name == "from_int":
        n = [round(fuzz.number(oracle) * 2 ** fuzz.random.choice((0, 0, 20, 60))) for _ in range(EACH)]
        n = [max(-(2**63), min(2**63 - 1, x)) for x in n]
        found, flags = hs.ieee.from_int(np.array(n, np.int64), fmt, rounding=mode)
        for i, x in enumerate(n):
            right = oracle.round(value(x), mode)
            yield f"ieee.from_int({x}, {said})", (coded(int(found[i]), oracle), int(flags[i])), _pair(right, oracle)
        return
    values = [oracle.decode(code) for code in codes]
    if name == "round_to_integral":
        found, flags = hs.ieee.round_to_integral(np.array(codes, np.uint64), format=fmt, rounding=mode)
        for i, x in enumerate(values):
            assert x is not None
            got = (coded(int(found[i]), oracle), int(flags[i]))
            yield f"ieee.{name}({codes[i]:#x}, {said})", got, _pair(oracle.round_to_integral(x, mode), oracle)
        return
    bounds = np.iinfo(fuzz.random.choice(("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64")))
    low, high = int(bounds.min), int(bounds.max)
    found, flags = hs.ieee.to_int(np.array(codes, np.uint64), bounds.dtype, format=fmt, rounding=mode)
    for i, x in enumerate(values):
        assert x is not None
        whole = 0 if not x.finite else integral(x.magnitude, x.negative, mode) * (-1 if x.negative else 1)
        exact = (whole, INEXACT * (x.finite and whole != x.exact))
        if x.infinite or not low <= whole <= high:
            exact = (low if x.negative else high, INVALID)
        got = (int(found[i]), int(flags[i]))
        yield f"ieee.to_int({codes[i]:#x}, {bounds.dtype}, {said})", got, (0, INVALID) if x.nan else exact


def _pair(right: Rounded, oracle: Oracle) -> tuple[int | None, int]:
    return _code(right, oracle), right.flags


def _classes(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    """Classes, and the smaller and larger of two."""
    name = fuzz.random.choice(("classify", "minimum", "maximum"))
    a, b = ([fuzz.code(oracle) for _ in range(EACH)] for _ in range(2))
    if name == "classify":
        found, _ = hs.ieee.classify(np.array(a, np.uint64), format=fmt)
        for code, got in zip(a, found, strict=True):
            x = oracle.decode(code)
            assert x is not None
            yield f"ieee.classify({code:#x})", str(got), oracle.classify(x)
        return
    found, flags = getattr(hs.ieee, name)(np.array(a, np.uint64), np.array(b, np.uint64), format=fmt)
    for i, codes in enumerate(zip(a, b, strict=True)):
        pair = [oracle.decode(code) for code in codes]
        nan = any(x is None or x.nan for x in pair)
        order = {
            id(x): (_huge(x) if x.infinite else x.exact, not x.negative) for x in pair if x is not None and not nan
        }
        best = (
            None if nan else (min if name == "minimum" else max)(codes, key=lambda c: order[id(pair[codes.index(c)])])
        )
        raised = INVALID * any(x is not None and x.signaling for x in pair)
        right = best if best is None else oracle.encode(pair[codes.index(best)])  # type: ignore[arg-type]
        yield (
            f"ieee.{name}({codes[0]:#x}, {codes[1]:#x})",
            (coded(int(found[i]), oracle), int(flags[i])),
            (right, raised),
        )


def _explaining(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    """Values and operations worked by hand."""
    for _ in range(EACH // 4):
        yield from _explained(fuzz, fmt, oracle)


def _explained(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    mode = fuzz.random.choice(MODES)
    numbers = [decimal(fuzz.number(oracle)) for _ in range(2)]
    if max(map(len, numbers)) > 200:
        return
    sign = fuzz.random.choice(("", "+", "-", "*", "/"))
    text = f"{numbers[0]} {sign} {numbers[1]}" if sign else numbers[0]
    found = hs.explain(text, fmt, rounding=mode)
    operands = [oracle.round(value(Fraction(x)), mode) for x in numbers]
    a, b = (x.value for x in operands)
    if sign and any(x.flags & INVALID for x in operands):
        return  # an operand that the format has nothing for
    names = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
    right = getattr(oracle, names[sign])(a, b, mode) if sign else operands[0]
    got = (coded(found.result.code, oracle), int(found.flags))
    yield f"explain({text!r}, rounding={mode!r})", got, _pair(right, oracle)
    assert str(found)


def _chance(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    """Stochastic rounding gives one of two results with its flags, at six standard deviations as often as it should."""
    name, given, exact = fuzz.inputs(oracle)
    _, overflow, subnormals = fuzz.modes()
    seed = fuzz.random.getrandbits(30)
    source = hs.Stochastic(seed)
    y, flags = hs.round_to(given, fmt, source, overflow=overflow, subnormals=subnormals, return_flags=True)
    dtype = np.asarray(y).dtype.name
    words = f"Stochastic({seed}), overflow={overflow!r}, subnormals={subnormals!r}"
    for i, x in enumerate(exact):
        chances = oracle.chances(x, overflow, subnormals)
        allowed = [held(right, dtype, oracle, overflow) for right, _ in chances]
        allowed = [(seen(right.value), right.flags) for right in allowed]
        got = (seen(y[i]), int(flags[i]))
        yield f"round_to({name} {shown(given[i])}, {words})", got if got not in allowed else None, None
    draws, chances = 2000, oracle.chances(exact[0], overflow, subnormals)
    if len(chances) == 1:
        return
    low, high = (seen(held(right, dtype, oracle, overflow).value) for right, _ in chances)
    many = np.full(draws, given[0]) if name in HELD else [given[0]] * draws
    found = hs.round_to(many, fmt, source, overflow=overflow, subnormals=subnormals)
    often = sum(np.count_nonzero(found == x) for x in np.unique(found) if seen(x) == high)
    chance = float(chances[1][1])
    far = abs(often - draws * chance) > 6 * math.sqrt(draws * chance * (1 - chance)) + 1
    if low != high and high[1] is not None:
        yield f"{draws} times round_to({name} {shown(given[0])}, {words})", often if far else None, None


def _tensor(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    """Tensors that are stored and computed in the format: their codes, a sum, a product, a quotient."""
    rnd = fuzz.random
    try:
        computable(fmt, "format")
    except ValueError:  # no host format computes in it
        return
    numbers = [np.array([nearest_float(fuzz.number(oracle)) for _ in range(EACH)]) for _ in range(2)]
    with hs.precision(hs.Precision(storage=fmt, compute=fmt)):
        a, b = (hs.tensor(x, fmt) for x in numbers)
        name = rnd.choice(("tensor", "add", "sub", "mul", "div"))
        made = a if name == "tensor" else {"add": a + b, "sub": a - b, "mul": a * b, "div": a / b}[name]
    codes = made.bits()
    for i in range(EACH):
        x, y = (oracle.round(value(v[i])).value for v in numbers)
        right = Rounded(x, 0) if name == "tensor" else getattr(oracle, name)(x, y, "nearest_even")
        if not oracle.has_nan and (right.value.nan or right.flags & INVALID):
            continue  # of either sign: what stands for NaN has that of the host's NaN
        said = f"{name} of tensors {numbers[0][i]!r}, {numbers[1][i]!r}"
        yield said, coded(int(codes[i]), oracle), _code(right, oracle)


KINDS: dict[str, tuple[Callable[[Fuzz, hs.Format, Oracle], Iterator[Case]], int]] = {
    "round_to and its flags": (_rounding, 40),
    "encode": (_encoding, 12),
    "decode and back": (_decoding, 6),
    "ulp, next_up, next_down": (_neighbours, 8),
    "stochastic rounding": (_chance, 4),
    "ieee: + - * / rem sqrt fma": (_operation, 14),
    "ieee: convert": (_converting, 5),
    "ieee: comparisons": (_comparing, 4),
    "ieee: integers": (_integers, 3),
    "ieee: classes, minimum, maximum": (_classes, 2),
    "explain": (_explaining, 6),
    "ieee: next_up, next_down": (_stepping, 3),
    "tensors stored in the format": (_tensor, 4),
}


def fuzzed(cases: int, seed: int) -> Fuzz:
    """A whole run."""
    fuzz = Fuzz(cases, seed)
    fuzz.run()
    return fuzz


def table(fuzz: Fuzz) -> str:
    """The counts as docs/formats.md has them."""
    lines = ["| what | cases | wrong |", "| --- | ---: | ---: |"]
    for kind in KINDS:
        wrong = sum(len(texts) for key, texts in fuzz.wrong.items() if key[0] == kind)
        lines.append(f"| {kind} | {fuzz.counts[kind]:,} | {wrong:,} |")
    wrong = sum(map(len, fuzz.wrong.values()))
    lines.append(
        f"| all, of {fuzz.formats.total() - fuzz.formats['refused']:,} formats | {fuzz.counts.total():,} | {wrong:,} |"
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print counts and what was wrong; exit with 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the counts into docs/formats.md")
    given = parser.parse_args()
    start = time.process_time()
    fuzz = fuzzed(given.cases, given.seed)
    took = f"Seed {given.seed}, {date.today()}: {time.process_time() - start:.0f} s of one core.\n"
    print(table(fuzz) + "\n" + took)
    for key, texts in sorted(fuzz.wrong.items()):
        print(f"{len(texts):,} wrong: {', '.join(filter(None, key))}")
        for text in sorted(texts, key=len)[:3]:
            print(f"  {text}")
    if given.write:
        marks.put(DOCS, "fuzz", f"{table(fuzz)}\n{took}")
    raise SystemExit(bool(fuzz.wrong))


if __name__ == "__main__":
    main()
