"""Errors that pupils make in lesson 15, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs


def _promoted(chained: bool = False, whole: bool = False) -> Any:
    def promoted(a: Any, b: Any, every: int) -> Any:
        total = np.zeros((len(a), b.shape[1]), np.float32)
        for k in range(0, len(b) // every * every if whole else len(b), every):
            x, y = a[:, k : k + every], b[k : k + every]
            new = hs.hardware.device("H100").matmul(x, y, total if chained else 0.0, "fp8_e4m3")
            total = new if chained else total + new
        return total

    return promoted


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("ulp of a short sum", 2.0, "which has 11 bits", "它有 11 位"),
    ("ulp of a short sum", 2.0**-12, "one step of float32", "float32 的一步"),
    ("ulp of a short sum", 0.5, "13 are behind the point", "小数点后是 13 位"),
    ("ulp of a short sum", 0.125, "a factor of two off", "差了一倍"),
    ("ulp of a short sum", 2.0**-13, "the step at 1", "1 处的一步"),
    ("short sum of ones", 2048, "where float16 stops", "float16 停下的地方"),
    ("short sum of ones", 2**24, "handed out as float32", "以 float32 交出"),
    ("short sum of ones", 8192, "the numbers are 1 apart", "相邻两数相距 1"),
    ("own promotion", _promoted(chained=True), "starts from 0.0, not from the total", "从 0.0 开始"),
    ("own promotion", _promoted(whole=True), "one of 44, which you leave out", "一块 44 个"),
    ("own promotion", lambda a, b, every: a @ b, "yours is the exact product", "精确的乘积"),
    ("promotion interval", 128, "every 128 it loses 0.05 %, which would do", "够用"),
    ("promotion interval", 1024, "more than 1 %", "超过了 1 %"),
    ("promotion interval", 8, "8 is how many blocks there are", "8 是块数"),
]
