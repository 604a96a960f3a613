"""Errors that pupils make in lesson 6, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

import numpy as np


def _always(g: Any, limit: float) -> Any:
    norm = np.sqrt(np.sum(g * g))
    return g * (limit / norm) if norm else g


def _squares(g: Any, limit: float) -> Any:
    norm = np.sum(g * g)
    return g * (limit / norm) if norm > limit else g


def _sum(g: Any, limit: float) -> Any:
    norm = np.sum(np.abs(g))
    return g * (limit / norm) if norm > limit else g


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    (
        "clip by norm",
        lambda g, limit: np.clip(g, -limit, limit),
        "makes [1.0, 1.0]: that is clipping by value",
        "按值裁剪",
    ),
    ("clip by norm", _always, "enlarges it to 1: clipping only shrinks", "放大到 1：裁剪只会缩小"),
    ("clip by norm", _squares, "makes [0.12, 0.16]: you divide by the sum of squares", "[0.12, 0.16]：你除以了平方和"),
    ("clip by norm", _sum, "you divide by 7", "之和 7"),
    ("scales allowed", [16384, 16], "the smallest first", "先写最小的"),
    ("scales allowed", [16, 32768], "times 32768, 3.0 is 98304, which in half is inf", "是 98304，在半精度里是 inf"),
    ("scales allowed", [8, 16384], "times 8, 3e-9 is 2.4e-08, which in half is zero", "3e-9 乘以 8 是 2.4e-08"),
    ("scales allowed", [32, 16384], "by 16, 3e-9 becomes 5.96e-08, which is subnormal", "乘以 16，3e-9 变成 5.96e-08"),
    ("scales allowed", [16, 4096], "times 4096, 3.0 is 12288", "3.0 乘以 4096 是 12288"),
    ("scales allowed", 16, "yours has shape ()", "你的形状是 ()"),
    ("decades lost", 18, "18 counts powers of two", "18 数的是 2 的幂"),
    ("decades lost", 6.02, "6.02 is for ten factors", "6.02 是十个因子"),
    ("decades lost", 0.602, "what a single sigmoid takes", "一个 sigmoid 减去的"),
    ("decades lost", 12.48, "by the natural logarithm", "自然对数"),
    ("decades lost", -5.42, "a positive number", "写成正数"),
    ("rate that moves", 0.001, "at 0.001 the update is 5e-06; half the distance", "更新是 5e-06；0.12 到相邻数"),
    ("rate that moves", 0.0062, "0.0062 is where it begins", "0.0062 正是开始移动"),
    ("rate that moves", 0.1, "but at 0.01 it does, too", "但 0.01 时也会动"),
    ("fifth patient", "clipping", "before there is a gradient to clip", "还没有梯度可裁剪"),
    ("fifth patient", "smaller lr", "before any step was taken", "还没有迈出一步"),
    ("fifth patient", "normalisation", "is none of the three", "不是这三个之一"),
]
