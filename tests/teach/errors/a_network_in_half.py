"""Errors that pupils make in lesson 5, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs


def _half(x: Any) -> Any:
    return hs.round_to(x, "float16")


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("gradient gone", 2.0**-14, "6.1e-05 is the smallest normal number", "6.1e-05 是最小的正规数"),
    ("gradient gone", 2.0**-24, "the smallest number above zero", "零以上最小的数"),
    ("gradient gone", 2.0**-26, "so does its double, 2.98e-08", "它的两倍 2.98e-08"),
    ("gradient gone", 2.0**-20, "9.54e-07 becomes 9.54e-07", "9.54e-07 变成 9.54e-07"),
    ("gradient gone", -25, "the exponent alone", "只写了指数"),
    ("sigmoids to zero", 7, "1.19e-07, which half still has", "1.19e-07，即 2^-23"),
    ("sigmoids to zero", 16, "16 is for a factor of a half", "16 是每次乘以二分之一"),
    ("sigmoids to zero", 3, "after 3 it is 3.05e-05, below the smallest normal number", "3.05e-05，小于最小的正规数"),
    ("sigmoids to zero", 9, "after 8 it is zero already", "过 8 个之后就已经是零"),
    ("sigmoids to zero", 5, "after 5 it is 1.91e-06", "过 5 个之后是 1.91e-06"),
    (
        "share gone",
        lambda g: ((_half(g) == 0) & (g != 0)).mean(),
        "0.3 of the second array, and not 0.38: you divide by all",
        "第二个数组你得到 0.3，应当是 0.38",
    ),
    ("share gone", lambda g: (_half(g) == 0).mean(), "0.5 of the second array: four of its", "得到 0.5：其中四个数"),
    ("share gone", lambda g: (np.abs(g[g != 0]) < 2.0**-14).mean(), "0.75 of the first array", "第一个数组你得到 0.75"),
    ("share gone", lambda g: 100 * (_half(g[g != 0]) == 0).mean(), "right in percent", "按百分数是对的"),
    ("share gone", lambda g: (g[g != 0] == 0).mean(), "0 is too small", "0 太小了"),
    ("weight moves", lambda w, u: w - u != w, "yours says True always", "你的总是 True"),
    ("weight moves", lambda w, u: bool(abs(u) >= hs.ulp(w, "float16")), "its ulp is 0.00024", "它的 ulp 是 0.00024"),
    ("weight moves", lambda w, u: bool(abs(u) > hs.ulp(w, "float16") / 2), "below 0.00012", "一半 0.00012"),
    ("weight moves", lambda w, u: bool(_half(w - u) == w), "the wrong way round", "写反了"),
    ("weight moves", lambda w, u: _half(w - u), "True or False is asked for", "这里要的是 True 或 False"),
    ("sick module", "12", "12 is the last layer", "12 是最后一层"),
    ("sick module", "6", "where the run in float32 fails", "float32 那次运行"),
    ("sick module", "9", "look where it began", "看它从哪里开始"),
    ("sick module", "linear", "these are called 0 to 12", "模块叫 0 到 12"),
    ("sick module", 8, "a text in quotes", "带引号的字符串"),
]
