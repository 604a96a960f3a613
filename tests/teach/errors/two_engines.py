"""Errors that pupils make in lesson 13, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

import math
from typing import Any

_FUSED, _UNFUSED, _EXACT = 0.04736328125, 0.046875, 1.0234375**2 - 1

# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("fused by hand", [_UNFUSED, _FUSED], "the other way round", "顺序反了"),
    ("fused by hand", [_EXACT, _UNFUSED], "is exact, and bfloat16 has no such number", "bfloat16 里没有这个数"),
    ("fused by hand", [_UNFUSED, _UNFUSED], "0.046875 twice", "两个都是 0.046875"),
    ("fused by hand", [_FUSED, _FUSED], "rounds the product before 1 is subtracted", "先舍入乘积"),
    ("gap in eight bits", 5, "5 is how many bits are missing", "5 是少了几位"),
    ("gap in eight bits", 1024, "1024 is the factor of the divergence", "1024 是散度的倍数"),
    ("gap in eight bits", 256, "256 compares with float16", "256 是与 float16 相比"),
    ("weight of an answer", lambda a, b: sum(a) - sum(b), "the logarithm of the weight", "权重的对数"),
    ("weight of an answer", lambda a, b: math.exp(sum(b) - sum(a)), "turn the quotient round", "把商倒过来"),
    ("weight of an answer", lambda a, b: math.exp((sum(a) - sum(b)) / len(a)), "one token on average", "平均每个词元"),
    ("weight of an answer", lambda a, b: sum(a) / sum(b), "yours divides logarithms", "对数相除"),
    ("longer answers", 8000, "goes with its square", "与差距的平方成正比"),
    ("longer answers", 64, "64 is the factor", "64 是倍数"),
    ("longer answers", 4096000, "the square of the gap already", "已经是差距的平方"),
]
