"""Errors that pupils make in lesson 9, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.teach.exercises.inference import detector


def _fold(root: bool = True, eps: float = 1e-5, shift: Any = lambda b, m, f: b - m * f) -> Callable[..., Any]:
    def fold(weight: Any, bias: Any, mean: Any, var: Any) -> Any:
        factor = weight / (np.sqrt(var + eps) if root else var + eps)
        return factor, shift(bias, mean, factor)

    return fold


def _turned(*vectors: Any) -> Any:
    return _fold()(*vectors)[::-1]


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("largest spread", 256, "256 squared is 65536", "256 的平方是 65536"),
    ("largest spread", 65504, "its root is asked for", "它的平方根"),
    ("largest spread", 255.9375, "255.9375 is the root", "255.9375 大约是 65504 的平方根"),
    ("largest spread", 128, "the square of 128 is 16384", "128 的平方是 16384"),
    ("blind output", 0, "then come * weight and + bias", "后面还要 * weight 和 + bias"),
    ("blind output", float("nan"), "a finite number over infinity is 0", "有限的数除以无穷大得 0"),
    ("blind output", 1.0818, "1.0818 is what the float32 layer gives", "1.0818 是 float32 的层给出的"),
    ("blind output", detector()[0]["norm1.bias"][2], "channels are counted from 0", "通道从 0 数起"),
    ("clipped factor", 97_903_600 / 65504, "1495 is the factor of the variances", "1495 是方差之间的倍数"),
    ("clipped factor", (65504 / 97_903_600) ** 0.5, "0.0259 is the inverse", "0.0259 弄反了"),
    ("clipped factor", 12.65, "12.7 belongs to the smallest", "12.7 属于最小的方差"),
    ("clipped factor", 97_903_600**0.5, "9895 is the root of the variance", "9895 是方差的平方根"),
    ("fold the norm", _fold(root=False), "divides by its root", "除以的是方差的平方根"),
    ("fold the norm", _fold(eps=0.0), "your factor is 91.3", "factor 是 91.3"),
    ("fold the norm", _fold(shift=lambda b, m, f: b - m), "multiplied too", "mean 也要乘上 factor"),
    ("fold the norm", _fold(shift=lambda b, m, f: b + m * f), "the mean is taken off", "mean 是减去的"),
    ("fold the norm", _turned, "in the other order", "顺序反了"),
    ("fold the norm", lambda weight, bias, mean, var: weight, "(2, 2) is asked for", "应当是 (2, 2)"),
    ("bytes of the detector", 2_343_682, "24 of them take 4 bytes each", "其中 24 个各占 4 字节"),
    ("bytes of the detector", 4_687_364, "a float16 has 2 bytes", "一个 float16 只有 2 字节"),
    ("bytes of the detector", 2_343_778, "you count the 24 twice", "数了两遍"),
    ("bytes of the detector", 18_749_840, "are bits", "是位数"),
]
