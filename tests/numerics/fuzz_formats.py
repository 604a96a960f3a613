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
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.numerics._grid import computable
from halfsim.numerics.formats import as_format
from tests.numerics.format_oracle import (
    INEXACT,
    INVALID,
    MODES,
    OVERFLOW,
    Oracle,
    Rounded,
    Value,
    floor_log2,
    power,
    value,
)

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
SPECIALS = ("ieee", "nan", "none", "fnuz", "p3109")
OVERFLOWS = ("infinity", "saturate", "saturate_inf")
SUBNORMALS = ("keep", "flush_inputs", "flush_outputs", "flush")
NAMED = (
    *("float16", "bfloat16", "tfloat32", "float32", "float64", "float16_ahp", "float8_e4m3fn", "float8_e5m2"),
    *("float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"),
)
HELD = {"float16": Oracle(5, 11), "float32": Oracle(8, 24), "float64": Oracle(11, 53)}  # what arrays can hold
EACH = 20  # cases of one call
Case = tuple[str, Any, Any]  # how to say it, what came out, what should have


class Fuzz:
    """One run: draws, compares, and keeps what was wrong."""

    def __init__(self, cases: int, seed: int) -> None:
        self.random, self.left = Random(seed), cases
        self.counts: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
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

    def format(self) -> tuple[hs.Format, Oracle]:
        """A format that can be made, half of the time a narrow one."""
        rnd = self.random
        while True:
            if rnd.random() < 0.3:
                fmt = as_format(rnd.choice(NAMED))
                break
            narrow = rnd.random() < 0.6
            bits = rnd.randint(2, 5 if narrow else 11)
            precision = rnd.randint(1, 5 if narrow else rnd.choice((12, 25, 53)))
            usual = (1 << (bits - 1)) - 1
            bias = rnd.choice((None, None, usual + 1, usual + rnd.randint(-8, 8), usual + rnd.randint(-300, 300)))
            signed, field = rnd.random() < 0.8, rnd.choice(("subnormals", "subnormals", "zero", "normal"))
            try:
                fmt = hs.Format("drawn", bits, precision, rnd.choice(SPECIALS), bias, signed, field)
                break
            except ValueError as error:
                self.formats["refused"] += 1
                if len(str(error)) > 300 or "\n" in str(error):
                    raise
        self.formats[fmt.specials] += 1
        return fmt, Oracle.of(fmt)

    def code(self, oracle: Oracle) -> int:
        """A code that stands for something, often one at an edge."""
        rnd = self.random
        while True:
            magnitude = rnd.choice(
                (
                    rnd.getrandbits(oracle.width),
                    rnd.getrandbits(oracle.width),
                    oracle.top - rnd.randint(0, 2),
                    (1 << (oracle.precision - 1)) + rnd.randint(-2, 2),
                    rnd.randint(0, 3),
                    (1 << oracle.width) - 1 - rnd.randint(0, 2),
                    oracle.bias << (oracle.precision - 1),
                )
            )
            code = max(0, magnitude) & ((1 << oracle.width) - 1) | (rnd.getrandbits(1) * oracle.signed) << oracle.width
            if oracle.decode(code) is not None:
                return code

    def number(self, oracle: Oracle) -> Fraction:
        """A number that is hard to round: on the grid, between two, beside either, at an edge, or anywhere."""
        rnd = self.random
        draw = rnd.random()
        if draw < 0.15:
            exponent = floor_log2(rnd.choice((oracle.smallest, oracle.normal, oracle.max))) + rnd.randint(-6, 6)
            found = Fraction(rnd.uniform(1, 2)) * power(exponent)
        elif draw < 0.2:  # where arrays begin and end
            found = power(rnd.choice((-1074, -1022, -149, -126, -24, 15, 127, 1023))) * rnd.choice((1, Fraction(3, 2)))
        elif draw < 0.3:
            edges = (oracle.max, oracle.normal, oracle.smallest, oracle.smallest / 2, oracle.normal / 2, 2 * oracle.max)
            found = rnd.choice(edges)
        else:
            low = min(oracle.top, max(0, self.code(oracle) & ((1 << oracle.width) - 1)))
            a = oracle.number(low) or Fraction(0)
            _, code = oracle.neighbours(a)
            b = oracle.number(code) or a
            found = a + (b - a) * rnd.choice((Fraction(0), Fraction(1, 2), Fraction(1, 2), Fraction(rnd.random())))
        beside = rnd.choice((0, 0, 0, 1, -1)) * power(-rnd.choice((12, 22, 40, 51, 60, 200)))
        return found * (1 + beside) * rnd.choice((1, 1, -1))

    def inputs(self, oracle: Oracle) -> tuple[str, Any, list[Value]]:
        """A name, EACH values in one container, and what they exactly are."""
        rnd = self.random
        numbers = [self.number(oracle) for _ in range(EACH)]
        name = rnd.choice(("float16", "float32", "float32", "float64", "float64", "Fraction", "int", "str", "Decimal"))
        if name in HELD:
            with np.errstate(all="ignore"):
                array = np.array([_float(x) for x in numbers]).astype(name)
            array[rnd.randrange(EACH)] = rnd.choice((0.0, -0.0, np.inf, -np.inf, np.nan))
            return name, array, [value(x) for x in array]
        if name == "Fraction":
            return name, numbers, [value(x) for x in numbers]
        if name == "int":
            whole = [round(x * rnd.choice((1, 1, 2**80))) for x in numbers]
            return name, whole, [value(x) for x in whole]
        words = [_decimal(x) for x in numbers]
        exact = [value(Fraction(word)) for word in words]
        if name == "Decimal":
            return name, [Decimal(word) for word in words], exact
        i = rnd.randrange(EACH)
        words[i] = rnd.choice(("inf", "-inf", "nan", "-0.0", "0", "1e5000", "-1e-5000"))
        far = {"1e5000": Fraction(10) ** 5000, "-1e-5000": -(Fraction(10) ** -5000)}
        exact[i] = value(far[words[i]] if words[i] in far else float(words[i]))
        return name, words, exact

    def modes(self) -> tuple[str, str, str]:
        """A rounding, an overflow word and a subnormals word."""
        rnd = self.random
        overflow = rnd.choice(OVERFLOWS) if rnd.random() < 0.6 else "infinity"
        return rnd.choice(MODES), overflow, rnd.choice(SUBNORMALS) if rnd.random() < 0.5 else "keep"


def _float(x: Fraction) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def _decimal(x: Fraction) -> str:
    """All digits of a fraction over a power of two."""
    with localcontext() as context:
        context.prec = 5000
        return str(Decimal(x.numerator) / Decimal(x.denominator))


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
    given = np.array([_float(fuzz.number(oracle)) for _ in range(EACH)])
    given[rnd.randrange(EACH)] = rnd.choice((0.0, -0.0, np.inf, -np.inf, np.nan))
    name = rnd.choice(("ulp", "next_up", "next_down"))
    found = getattr(hs, name)(given, fmt)
    for x, y in zip(given, found, strict=True):
        right = getattr(oracle, name)(value(x))
        yield f"{name}({x!r})", seen(y), seen(right)


_OPERANDS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "fma": 3, "sqrt": 1}


def _operation(fuzz: Fuzz, fmt: hs.Format, oracle: Oracle) -> Iterator[Case]:
    name, mode = fuzz.random.choice(list(_OPERANDS)), fuzz.random.choice(MODES)
    operands = [[fuzz.code(oracle) for _ in range(EACH)] for _ in range(_OPERANDS[name])]
    found, flags = getattr(hs.ieee, name)(*(np.array(x, np.uint64) for x in operands), format=fmt, rounding=mode)
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
    numbers = [np.array([_float(fuzz.number(oracle)) for _ in range(EACH)]) for _ in range(2)]
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
    "ieee: + - * / sqrt fma": (_operation, 14),
    "ieee: convert": (_converting, 5),
    "ieee: comparisons": (_comparing, 4),
    "ieee: next_up, next_down": (_stepping, 3),
    "tensors stored in the format": (_tensor, 4),
}


def marked(page: Path, mark: str, text: str) -> None:
    """Put ``text`` between a page's comments ``mark`` and ``/mark``."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    head, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{head}{begin}{text}{end}{rest.partition(end)[2]}", encoding="utf-8")


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
    start = time.perf_counter()
    fuzz = fuzzed(given.cases, given.seed)
    took = f"Seed {given.seed}, {date.today()}: {time.perf_counter() - start:.0f} s on one core.\n"
    print(table(fuzz) + "\n" + took)
    for key, texts in sorted(fuzz.wrong.items()):
        print(f"{len(texts):,} wrong: {', '.join(filter(None, key))}")
        for text in sorted(texts, key=len)[:3]:
            print(f"  {text}")
    if given.write:
        marked(DOCS, "fuzz", f"{table(fuzz)}\n{took}")
    raise SystemExit(bool(fuzz.wrong))


if __name__ == "__main__":
    main()
