"""Errors that pupils make in lesson 10, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _adder(
    cut: Callable[[Any], Any] = np.trunc, exponent: int = 1, size: Callable[[Any], Any] = np.abs
) -> Callable[..., float]:
    def add_cut(values: list[float], bits: int) -> float:
        given = np.asarray(values, np.float64)
        unit = 2.0 ** (np.frexp(size(given).max())[1] - exponent - bits)
        return float((cut(given / unit) * unit).sum())

    return add_cut


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("bits that survive", 23, "23 is V100's", "23 是 V100 的"),
    ("bits that survive", 25, "25 is H100's", "25 是 H100 的"),
    ("bits that survive", 17, "the number of crosses", "叉号的个数"),
    ("bits that survive", 10, "fraction bits of the inputs", "输入的小数位数"),
    ("products at a time", 8, "8 is A100's", "8 是 A100 的"),
    ("products at a time", 14, "belong to the block too", "也在这一块里"),
    ("products at a time", 15, "counted from 0", "从 0 数起"),
    ("cut and add", _adder(np.rint), "you round to nearest", "就近舍入"),
    ("cut and add", _adder(np.floor), "np.floor goes down", "np.floor 总是向下"),
    ("cut and add", _adder(exponent=0), "twice too large", "大了一倍"),
    ("cut and add", _adder(size=np.asarray), "take np.abs before the maximum", "先取 np.abs"),
    ("cut and add", lambda values, bits: sum(values), "you add without cutting", "没有截断就相加"),
    ("mystery machine", "A100", "cuts its running sum", "累加的和也截断"),
    ("mystery machine", "H100", "2^-25 is the last to survive", "最后留下来的是 2^-25"),
    ("mystery machine", "Cortex-A76", "2048 for the 3000 ones", "3000 个 1 会得到 2048"),
    ("mystery machine", "B200", "none of the six machines", "不是这一课的六台机器之一"),
]
