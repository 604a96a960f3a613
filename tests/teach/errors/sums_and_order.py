"""Errors that pupils make in lesson 3, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import halfsim as hs


def _ceiling(step: float, share: float = 0.5, tie: bool = True) -> float:
    p = 1.0
    while (half := float(hs.ulp(p, "float16")) * share) < step or (half == step and not tie):
        p *= 2
    return p


def _one_by_one(numbers: Sequence[float]) -> Any:
    total = np.float16(0)
    for x in numbers:
        total = total + np.float16(x)
    return total


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("by hand", [2050, 2050], "your first sum moves on from 2048: look at hs.ulp(2048, 'float16') = 2", "越过了 2048"),
    ("by hand", [2048, 2048], "1 + 1 = 2 comes first", "先算 1 + 1 = 2"),
    ("by hand", [2050, 2048], "the other way round", "顺序反了"),
    ("by hand", 2048, "yours has shape (); (2,) is asked for", "你的形状是 ()，应当是 (2,)"),
    ("ceiling", lambda step: _ceiling(step, share=1), "hs.ulp(1024, 'float16') = 1 and", "停在 1024"),
    ("ceiling", lambda step: _ceiling(step, tie=False), "exactly half an ulp, a tie", "正好是半个 ulp"),
    ("ceiling", lambda step: _ceiling(step) / 2, "half an ulp has to be as large", "要半个 ulp"),
    ("ceiling", lambda step: 2048, "yours is 2048 for every step", "每种步长都给出 2048"),
    ("ceiling", lambda: 2048, "raised TypeError", "抛出了 TypeError"),
    ("in pairs", _one_by_one, "your sum of 4096 ones stops at 2048: look at hs.ulp(2048", "停在了 2048"),
    ("in pairs", math.fsum, "yours is the exact sum", "精确的和"),
    ("in pairs", lambda numbers: hs.round_to(math.fsum(numbers), "float16"), "rounded once", "只在最后舍入了一次"),
    ("in pairs", lambda numbers: numbers, "yours has shape (2,)", "你的形状是 (2,)"),
    ("a series that stops", 512, "1/512 still moves the sum", "1/512 还推得动"),
    ("a series that stops", 65, "65 is where bfloat16 stops", "65 是 bfloat16 停下的地方"),
    ("a series that stops", 2097152, "2097152 terms", "2097152 项"),
    ("a series that stops", 2048, "is 0.001953", "的一半是 0.001953"),
    ("a series that stops", "513", "leave the quotes out", "去掉引号"),
]
