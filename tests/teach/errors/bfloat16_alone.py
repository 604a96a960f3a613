"""Errors that pupils make in lesson 17, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

import halfsim as hs

# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("bfloat16 distance", lambda best, rate: hs.ulp(best, "bfloat16") / rate, "the whole ulp", "整个 ulp"),
    ("bfloat16 distance", lambda best, rate: hs.ulp(best) / 2 / rate, "distances of float16", "float16 的距离"),
    ("bfloat16 distance", lambda best, rate: 2.0**-8 / rate, "that of the best value", "最优值处的"),
    ("bfloat16 distance", lambda best, rate: hs.ulp(best, "bfloat16") / 2 * rate, "divide by the rate", "要除以学习率"),
    ("bfloat16 moves", 204.8, "a move is a whole ulp", "一次移动是整个 ulp"),
    ("bfloat16 moves", 819, "right for float16", "那是 float16 的"),
    ("bfloat16 moves", 0, "rounding to nearest gives", "就近舍入的结果"),
    ("bfloat16 moves", 0.1024, "the probability of one move", "移动一次的概率"),
    ("bfloat16 first move", 4, "0.0032 is saved", "攒了 0.0032"),
    ("bfloat16 first move", 10, "a whole ulp is saved", "攒了整个 ulp"),
    ("bfloat16 first move", 1, "one update alone is lost", "单独一次更新会丢"),
    ("bfloat16 beta", 0.99609375, "farther from 0.999", "离 0.999 比 1 还远"),
    ("bfloat16 beta", 0.999, "no bfloat16", "不是 bfloat16 的数"),
]
