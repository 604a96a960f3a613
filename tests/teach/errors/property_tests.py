"""Errors that pupils make in lesson 12, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

import numpy as np


def _naive(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.sqrt((x * x).sum())


def _scaled(x: Any, largest: Any, times: Any) -> Any:
    with np.errstate(all="ignore"):
        y = x / largest
        return times * np.sqrt((y * y).sum())


def _lost_below(x: Any) -> Any:
    """A norm that is divided only where it would overflow."""
    largest = np.abs(x).max()
    return _scaled(x, largest, largest) if largest > 1 else _naive(x)


def _signed(x: Any) -> Any:
    return _scaled(x, x.max(), x.max()) if x.any() else np.float16(0)


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("mean property", lambda result, x: bool(x.min() < result < x.max()), "use <=", "用 <="),
    ("mean property", lambda result, x: bool(result <= x.max()), "smaller than the smallest", "不能比最小的还小"),
    ("mean property", lambda result, x: bool(result >= x.min()), "larger than the largest", "不能比最大的还大"),
    ("mean property", lambda result, x: not (result < x.min() or result > x.max()), "NaN passes", "NaN 通过"),
    ("mean property", lambda result, x: result == result and True, "infinity passes", "无穷大竟通过了"),
    ("cumsum breaks", 2048, "the next one that is lost", "再下一个"),
    ("cumsum breaks", 65504, "long before it overflows", "远没有溢出"),
    ("cumsum breaks", 1024, "to 1024", "等于 1024"),
    ("cumsum breaks", 4096, "for a smaller n too", "更小的 n 也会"),
    ("safe norm", _naive, "256 * 256 is past 65504", "256 * 256 超过了 65504"),
    ("safe norm", lambda x: _scaled(x, np.abs(x).max(), np.abs(x).max()), "norm of zeros is NaN", "零向量的长度是 NaN"),
    ("safe norm", _lost_below, "[2^-20, 0] is 0", "[2^-20, 0] 的长度是 0"),
    ("safe norm", _signed, "the largest magnitude", "要按绝对值找"),
    ("safe norm", lambda x: _scaled(x, np.abs(x).max() or 1, 1), "multiply by the largest", "乘回最大的元素"),
    ("tolerance of a sum", 49.5, "the other way", "相反方向"),
    ("tolerance of a sum", 198, "to nearest it is half", "就近舍入是半个"),
    ("tolerance of a sum", 100, "99 additions", "只加 99 次"),
    ("tolerance of a sum", 0.5, "99 in each order", "每种次序有 99 次"),
]
