"""Errors that pupils make in lesson 14, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def _blocks(scores: Sequence[float], values: Sequence[float], scaled: bool = True, divided: bool = True) -> float:
    top, total, output = -math.inf, 0.0, 0.0
    for i in range(0, len(scores), 2):
        new = max(top, *scores[i : i + 2])
        if scaled:
            total, output = total * math.exp(top - new), output * math.exp(top - new)
        for one, value in zip(scores[i : i + 2], values[i : i + 2], strict=True):
            total, output = total + math.exp(one - new), output + math.exp(one - new) * value
        top = new
    return output / total if divided else output


def _no_maximum(scores: Sequence[float], values: Sequence[float]) -> float:
    e = [math.exp(one) for one in scores]
    return sum(a * b for a, b in zip(e, values, strict=True)) / sum(e)


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("tie by hand", [-2.015625, -2.0], "the other way round", "顺序反了"),
    ("tie by hand", [-2.0, -2.0], "is no tie any more: it lies beyond the middle, -2.015625", "离 -2.015625 比"),
    ("tie by hand", [-2.0078125, -2.0078133], "-2.0078125 is no bfloat16", "不是 bfloat16 的数"),
    ("in blocks", lambda s, v: _blocks(s, v, scaled=False), "relative to the old maximum", "相对旧的最大值"),
    ("in blocks", lambda s, v: _blocks(s, v, divided=False), "still has to be divided", "还要除以和"),
    ("in blocks", _no_maximum, "raised OverflowError", "抛出了 OverflowError"),
    ("raised probability", 1, "the maximum is now 12", "现在最大值是 12"),
    ("raised probability", math.exp(-6), "0.00247875218 is exact", "0.00247875218 是精确值"),
    ("raised probability", math.exp(-12), "yours is e^-12", "你的是 e^-12"),
    ("raised probability", 0.5, "after the division", "除法之后"),
    ("depth without effect", 16, "is below one ulp, and still above half of it, 5.96e-08", "即 5.96e-08"),
    ("depth without effect", 6, "6 is where bfloat16 stops", "6 是 bfloat16 停下的地方"),
]
