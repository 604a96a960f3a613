"""How far a result is from the one in float64, as each field measures it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.card import Record
from halfsim.gallery.said import NOTHING, Said
from halfsim.text import number, percent

Array = NDArray[Any]


@dataclass(frozen=True)
class Measure(Record):
    """A distance: its name and unit, whether more of it is better, and how it is taken of a result and the right one.

    ``digits`` is the number of decimals; None shows three digits that count.
    """

    name: Said
    unit: Said
    rises: bool
    of: Callable[[Array, Array], float]
    digits: int | None = None

    def shown(self, value: float, lang: str = "en") -> str:
        """A value with its unit; "exact" where nothing is off.

        >>> SNR.shown(72.512), SNR.shown(math.inf), RELATIVE.shown(1234.5)
        ('72.5 dB', 'exact', '1,234')
        """
        if value == (math.inf if self.rises else 0.0):
            return _EXACT.to(lang)
        if self.digits is not None and math.isfinite(value):
            told = f"{value:.{self.digits}f}"
        else:
            told = f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else number(value)
        if not self.unit.en:
            return told
        return percent(value) if self.unit.en == "%" else f"{told} {self.unit.to(lang)}"

    def fine(self, value: float, enough: float) -> bool:
        """Whether a value is as good as ``enough``; NaN is not."""
        return value >= enough if self.rises else value <= enough

    def better(self, value: float, than: float) -> bool:
        """Whether a value is the better one of two; anything is better than NaN."""
        return math.isnan(than) or (value > than if self.rises else value < than)


def _decibels(signal: float, noise: float) -> float:
    if not math.isfinite(noise):
        return -math.inf
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)


def _power(x: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.mean(x * x))


def _difference(out: Array, right: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(out, np.float64) - right


_EXACT = Said("exact", "精确")
_DB, _PERCENT = Said("dB", "dB"), Said("%", "%")


def psnr(peak: float) -> Measure:
    """The peak signal-to-noise ratio of a picture whose brightest value is ``peak``; -inf where it has infinities."""
    return Measure(
        Said("PSNR", "PSNR"), _DB, True, lambda out, right: _decibels(peak * peak, _power(_difference(out, right))), 1
    )


SNR = Measure(Said("SNR", "信噪比"), _DB, True,
              lambda out, right: _decibels(_power(right), _power(_difference(out, right))), 1)  # fmt: skip


def _worst(out: Array, right: Array) -> float:
    far = np.abs(_difference(out, right))
    return math.inf if np.isnan(far).any() else float(far.max())


def _relative(out: Array, right: Array) -> float:
    return _worst(out, right) / float(np.abs(right).max())


RELATIVE = Measure(Said("relative error", "相对误差"), NOTHING, False, _relative)


def off(en: str, zh: str) -> Measure:
    """The largest difference, in a unit."""
    return Measure(Said("error", "误差"), Said(en, zh), False, _worst)


def at(en: str, zh: str, unit: Said, rises: bool = True) -> Measure:
    """A number that is itself the measure, the larger the better (or the smaller)."""
    return Measure(Said(en, zh), unit, rises, lambda out, right: float(out))


AGREEMENT = Measure(Said("same answers", "答案一致率"), _PERCENT, True,
                    lambda out, right: float(np.mean(np.asarray(out) == right)))  # fmt: skip
ACCURACY = Measure(Said("accuracy", "准确率"), _PERCENT, True, AGREEMENT.of)


def broken(out: Array) -> Said:
    """How many results are infinite or NaN, in words; nothing where none is.

    >>> broken(np.array([1.0, np.inf])).en
    '50.0 % of the results are infinite'
    """
    out = np.asarray(out)
    endless, missing = int(np.isinf(out).sum()), int(np.isnan(out).sum())
    if out.size == 1 and endless + missing:
        return Said("the result is infinite", "结果为无穷大") if endless else Said("the result is NaN", "结果为 NaN")
    told = []
    if endless:
        part = percent(endless, out.size)
        told.append(Said(f"{part} of the results are infinite", f"{part} 的结果为无穷大"))
    if missing:
        part = percent(missing, out.size)
        told.append(Said(f"{part} are NaN", f"{part} 为 NaN"))
    return Said(", ".join(one.en for one in told), "，".join(one.zh for one in told))


def _read(out: Array, right: Array) -> float:
    """Edit distance of two lines of codes (0 ends a line) by the longer one's length, from 1."""
    return float(np.mean([_alike(a[a > 0], b[b > 0]) for a, b in zip(out, right, strict=True)]))


def _alike(a: Array, b: Array) -> float:
    row = np.arange(len(b) + 1)  # Levenshtein's distance, a row for each character of ``a``
    for i, one in enumerate(a, 1):
        here = [i]
        for j, other in enumerate(b, 1):
            here.append(min(here[-1] + 1, row[j] + 1, row[j - 1] + (one != other)))
        row = np.array(here)
    return 1 - float(row[-1]) / max(len(a), len(b), 1)


CHARACTERS = Measure(Said("characters read right", "读对的字符"), _PERCENT, True, _read)
SAME_CHARACTERS = Measure(Said("same characters", "相同字符"), _PERCENT, True, _read)


def _overlap(out: Array, right: Array) -> float:
    found, wanted = np.asarray(out) > 0, np.asarray(right) > 0
    return float((found & wanted).sum() / max(1, (found | wanted).sum()))


OVERLAP = Measure(Said("overlap (IoU)", "重叠（IoU）"), _PERCENT, True, _overlap)
OUTPUTS = Measure(Said("error of the outputs", "输出误差"), NOTHING, False, _worst)
