"""Errors that pupils make in lesson 7, each with a piece of the hint that it must get, in both languages."""

from __future__ import annotations

from typing import Any

import numpy as np


def _uphill(master: Any, gradient: Any, scale: float, lr: float) -> Any:
    new = master + np.float32(lr) * (np.float32(gradient) / np.float32(scale))
    return new, np.float16(new)


def _scaled(master: Any, gradient: Any, scale: float, lr: float) -> Any:
    new = master - np.float32(lr) * np.float32(gradient)
    return new, np.float16(new)


def _divided_in_half(master: Any, gradient: Any, scale: float, lr: float) -> Any:
    with np.errstate(over="ignore"):
        new = master - np.float32(lr) * np.float32(gradient / np.float16(scale))
    return new, np.float16(new)


def _half_master(master: Any, gradient: Any, scale: float, lr: float) -> Any:
    new = np.float16(_scaled(master, np.float32(gradient) / np.float32(scale), 1.0, lr)[0])
    return new, new


def _old_copy(master: Any, gradient: Any, scale: float, lr: float) -> Any:
    return _scaled(master, np.float32(gradient) / np.float32(scale), 1.0, lr)[0], np.float16(master)


def _turned(scale: float, good: int, overflow: bool, interval: int) -> Any:
    if overflow:
        return scale * 2, 0
    return (scale / 2, 0) if good + 1 == interval else (scale, good + 1)


def _late(scale: float, good: int, overflow: bool, interval: int) -> Any:
    if overflow:
        return scale / 2, 0
    return (scale * 2, 0) if good == interval else (scale, good + 1)


def _counts_on(scale: float, good: int, overflow: bool, interval: int) -> Any:
    if overflow:
        return scale / 2, good
    return (scale * 2, 0) if good + 1 == interval else (scale, good + 1)


def _never_again(scale: float, good: int, overflow: bool, interval: int) -> Any:
    if overflow:
        return scale / 2, 0
    return (scale * 2 if good + 1 == interval else scale), good + 1


# The exercise, the answer, what the hint says in English, and in Chinese.
ERRORS: list[tuple[str, Any, str, str]] = [
    ("highest scale", 2**21, "0.041 x 2097152 is 85983", "0.041 x 2097152 等于 85983"),
    ("highest scale", 2**19, "the gradient is then 42991.6", "梯度那时是 42991.6"),
    ("highest scale", 20, "20 is the exponent", "20 是指数"),
    ("highest scale", 65504 / 0.041, "1597659 is no power of two", "1597659 不是 2 的幂"),
    ("skipped steps", 512, "each skipped step halves it", "每跳过一步减半一次"),
    ("skipped steps", 8, "the scale is 2^16", "缩放系数是 2^16"),
    ("skipped steps", 10, "the tenth step has the scale 2^15", "第十步的缩放系数已经是 2^15"),
    ("skipped steps", 1, "only halves the scale", "只减半一次"),
    ("clip after unscaling", 1 / 512, "512 is not their true norm", "512 不是真正的范数"),
    ("clip after unscaling", 2, "clipping only shortens", "裁剪只会缩短"),
    ("clip after unscaling", 0.5, "0.5 belongs to the scaling", "0.5 是缩放那一步的"),
    ("master step", _uphill, "you go uphill", "走成了上坡"),
    ("master step", _scaled, "divide it by scale", "要除以 scale"),
    ("master step", _divided_in_half, "you divide in half", "你在半精度里做了除法"),
    ("master step", _half_master, "your master is rounded to half", "你把 master 也舍入成了半精度"),
    ("master step", _old_copy, "made of the old master", "取自旧的 master"),
    ("master step", lambda master, gradient, scale, lr: master, "(2,) is asked for", "应当是 (2,)"),
    ("next scale", _turned, "the wrong way round", "方向反了"),
    ("next scale", _late, "one step late", "晚了一步"),
    ("next scale", _counts_on, "after an overflow the count begins anew", "溢出之后要重新数"),
    ("next scale", _never_again, "after doubling the count begins anew", "加倍之后也要重新数"),
]
