"""Errors that pupils make in lesson 16, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halfsim as hs

_GRADIENT = np.array([-0.3] + 27 * [0.3 / 27])

# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("scales by hand", [1 / 32, 1 / 64], "the other way round", "顺序反了"),
    ("scales by hand", [1 / 64, 1 / 64], "448 * 0.015625 = 7", "448 * 0.015625 = 7"),
    ("scales by hand", [4 / 448, 1 / 32], "divides by the largest power of two", "而不是 448"),
    ("scales by hand", [1 / 64, 7.5 / 448], "7.5 / 448 is 0.0167", "7.5 / 448 是 0.0167"),
    ("scales by hand", 1 / 64, "yours has shape (); (2,) is asked for", "你的形状是 ()，应当是 (2,)"),
    (
        "rule of the scale",
        lambda a, b: 2.0 ** (math.floor(math.log2(a)) - math.floor(math.log2(b))),
        "yours is the rule floor: at 7.5 it gives 0.015625",
        "你的是规则 floor",
    ),
    ("rule of the scale", lambda a, b: a / b, "the quotient itself, 0.0167411", "商本身 0.0167411"),
    (
        "rule of the scale",
        lambda a, b: 2.0 ** (math.floor(math.log2(a / b)) + 1),
        "a power of two already",
        "已经是 2 的幂",
    ),
    ("rule of the scale", lambda a, b: 2.0 ** math.floor(math.log2(a / b)), "rounds the quotient down", "向下取"),
    ("rule of the scale", lambda a: a, "raised TypeError", "抛出了 TypeError"),
    ("blocks clipped", [0.25, 0.5], "it is log2(t) that is", "均匀的是 log2(t)"),
    ("blocks clipped", [math.log2(1.75), math.log2(1.5)], "that are not clipped", "没有饱和"),
    ("blocks clipped", [19.3, 41.5], "those are percents", "百分数"),
    ("sum of a gradient", 0, "before rounding", "舍入之前"),
    ("sum of a gradient", 0.25, "is negative", "是负的"),
    ("sum of a gradient", hs.round_to(_GRADIENT, "mxfp8_e4m3").sum(), "comes of another format", "另一种格式"),
    ("sum of a gradient", hs.round_to(_GRADIENT, "float4_e2m1fn").sum(), "comes of another format", "另一种格式"),
]
