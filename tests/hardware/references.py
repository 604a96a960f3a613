"""The tensor core's and CDNA3's step, element by element in exact fractions, from the words of the specification."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from halfsim.hardware.matrix_unit import unit_matmul
from halfsim.hardware.units import Unit


def rowwise(a: np.ndarray, b: np.ndarray, c: np.ndarray, row: Unit) -> np.ndarray:
    """The dot products of the rows of ``a`` and ``b`` (R, K), each with its ``c`` (R,)."""
    return unit_matmul(a[:, None, :], b[:, :, None], c[:, None, None], row)[:, 0, 0]


def exponent(x: float, emin: int) -> int:
    return max(math.frexp(x)[1] - 1, emin)


def nearest(x: Fraction, precision: int, emin: int) -> Fraction:
    e = emin
    while abs(x) >= Fraction(2) ** (e + 1):
        e += 1
    grain = Fraction(2) ** (e - precision + 1)
    return round(x / grain) * grain


def tensor_core(a: list[float], b: list[float], c: float, row: Unit) -> float:
    """One output, finite and without overflow."""
    emin_c = -14 if row.accumulate == "fp16" else -126
    total = Fraction(c)
    for k in range(0, len(a), row.block):
        terms = []
        for x, y in zip(a[k : k + row.block], b[k : k + row.block], strict=True):
            e = exponent(x, row.input_emin) + exponent(y, row.input_emin)
            terms.append((Fraction(x) * Fraction(y), e))
        terms.append((total, exponent(float(total), emin_c)))
        top = max(e if value else row.zero_exponent for value, e in terms)
        grain = Fraction(2) ** (top - row.fraction)
        exact = sum((math.trunc(value / grain) * grain for value, _ in terms), Fraction(0))
        if row.accumulate == "fp16":
            total = nearest(exact, 11, -14)
        elif exact:
            e = max(math.frexp(float(exact))[1] - 1, -126)
            grain = Fraction(2) ** (e - row.digits + 1)
            total = math.trunc(exact / grain) * grain
        else:
            total = exact
    return float(total)


def cdna3(a: list[float], b: list[float], c: float, row: Unit) -> float:
    """One output of CDNA3's 16-bit units, finite and without overflow."""
    total = Fraction(c)
    for k in range(0, len(a), row.block):
        products = [
            (Fraction(x) * Fraction(y), exponent(x, row.input_emin) + exponent(y, row.input_emin))
            for x, y in zip(a[k : k + row.block], b[k : k + row.block], strict=True)
            if x and y
        ]
        e_c = exponent(float(total), -126) if total else -126
        top = max((e for _, e in products), default=-126)
        cut = Fraction(2) ** (top - 24)
        dot = sum((math.trunc(value / cut) * cut for value, _ in products), Fraction(0))
        joint = max(top, e_c)
        fine, coarse = Fraction(2) ** (joint - 32), Fraction(2) ** (joint - 24)
        exact = math.floor(dot / fine) * fine + math.floor(total / coarse) * coarse
        if exact:
            e = max(math.frexp(float(exact))[1] - 1, -126)
            grain = Fraction(2) ** (e - 31)
            exact = nearest(math.floor(exact / grain) * grain, 24, -126)
        total = exact
    return float(total)
