"""What `fuzz_formats` draws: formats that can be made, codes and numbers that are hard to round, modes and words."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.numerics.formats import as_format
from tests.numerics.format_oracle import MODES, Oracle, Value, floor_log2, power, value

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


class Draws:
    """Draws of one seed, and how many formats of each kind there were."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.formats: Counter[str] = Counter()

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
                array = np.array([nearest_float(x) for x in numbers]).astype(name)
            array[rnd.randrange(EACH)] = rnd.choice((0.0, -0.0, np.inf, -np.inf, np.nan))
            return name, array, [value(x) for x in array]
        if name == "Fraction":
            return name, numbers, [value(x) for x in numbers]
        if name == "int":
            whole = [round(x * rnd.choice((1, 1, 2**80))) for x in numbers]
            return name, whole, [value(x) for x in whole]
        words = [decimal(x) for x in numbers]
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


def nearest_float(x: Fraction) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def decimal(x: Fraction) -> str:
    """All digits of a fraction over a power of two."""
    with localcontext() as context:
        context.prec = 5000
        return str(Decimal(x.numerator) / Decimal(x.denominator))
