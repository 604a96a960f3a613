"""Errors that pupils make in lesson 8, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _kahan(sign: int = 1, carried: bool = True, kept: bool = True) -> Callable[..., Any]:
    def kahan(weight: np.float16, rest: np.float16, step: np.float16) -> Any:
        wanted = np.float16(rest + step) if carried else step
        new = np.float16(weight + wanted)
        return new, np.float16(sign * np.float16(wanted - np.float16(new - weight)) if kept else 0)

    return kahan


def _subtracted(weight: np.float16, rest: np.float16, step: np.float16) -> Any:
    """Kahan's formula as books have it, whose rest is too much and is taken off."""
    new, left = _kahan()(weight, np.float16(-rest), step)
    return new, -left


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("swallowed step", 2**-10, "is the whole distance", "是整个间距"),
    ("swallowed step", 2**-12, "above 1 the distance is 2^-10", "1 以上的间距是 2^-10"),
    ("swallowed step", 2**-24, "about the smallest float16", "差不多是最小的 float16"),
    ("swallowed step", 0.0006, "becomes 1.0009765625", "变成了 1.0009765625"),
    ("swallowed step", 0.000488, "write it exactly", "准确地写成 2 的幂"),
    ("swallowed step", 0.0001, "a larger step is too", "更大的一步也会丢"),
    ("moving weights", 0.5, "half the distance is 0.000122", "间距的一半是 0.000122"),
    ("moving weights", 0.125, "half the distance is 6.1e-05", "间距的一半是 6.1e-05"),
    ("moving weights", 0.2, "no power of two", "不是 2 的幂"),
    ("chance to move", 0.2048, "0.2048 is the step over 2^-11", "0.2048 是这一步除以 2^-11"),
    ("chance to move", 0.8976, "the probability that it stays", "它不动的概率"),
    ("chance to move", 10.24, "in percent", "百分数"),
    ("chance to move", 0.1, "give it to three digits", "算到三位数字"),
    ("chance to move", 0.5, "proportional to the way gone", "和走过的路成正比"),
    ("kahan step", _kahan(sign=-1), "the wrong sign", "符号反了"),
    ("kahan step", _kahan(carried=False), "rest + step", "rest + step"),
    ("kahan step", _kahan(kept=False), "your rest is always 0", "你的余量总是 0"),
    ("kahan step", lambda weight, rest, step: weight + step, "yours has shape (); (2,)", "你的形状是 ()，应当是 (2,)"),
    ("kahan step", lambda *case: _kahan()(*case)[::-1], "the other way round", "次序反了"),
    ("kahan step", _subtracted, "a rest of the other sign", "余量符号相反"),
    ("bytes of adam", 12, "come on top", "还要加上"),
    ("bytes of adam", 16, "leave the gradients out", "梯度不算"),
    ("bytes of adam", 10, "two averages of 4 bytes each", "两个各 4 字节的平均值"),
    ("bytes of adam", 112, "112 are bits", "112 是位数"),
]
