"""Lesson 10: one matmul on six machines."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_HIDDEN = "MI300X"


def mystery(left: Any, right: Any) -> Any:
    """The product of two matrices of float16 on a machine that the lesson does not name."""
    return hs.hardware.device(_HIDDEN).matmul(left, right, 0.0, "fp16")


def _multiply(name: str, left: Any, right: Any) -> float:
    return float(hs.hardware.device(name).matmul(left, right, 0.0, "fp16").item())


def _survives(name: str, k: int) -> bool:
    left, right = np.array([[1, 2.0**-12, -1]]), np.array([[1], [2.0 ** (12 - k)], [1]])
    return _multiply(name, left, right) == 2.0**-k


def _kept(name: str) -> int:
    return max(k for k in range(8, 28) if _survives(name, k))


def _block(name: str) -> int:
    def together(place: int) -> bool:
        left, right = np.zeros((1, 40)), np.zeros((40, 1))
        left[0, [0, 1, place]] = 1, 2.0**-12, -1
        right[[0, 1, place], 0] = 1, 2.0**-12, 1
        return _multiply(name, left, right) != 0

    return 1 + max(place for place in range(2, 40) if together(place))


def _add_cut(values: list[float], bits: int, cut: Any = np.trunc, more: int = 0, size: Any = np.abs) -> float:
    given = np.asarray(values, np.float64)
    unit = 2.0 ** (np.frexp(size(given).max())[1] - 1 - bits - more)
    return float((cut(given / unit) * unit).sum())


_CASES = [
    ([8.0, 0.75, 0.75], 3),
    ([1.0, -0.4, 0.3], 2),
    ([-5.0, -0.9, 0.9, 4.0], 4),
    ([100.0, 1.9], 6),
    ([3.0], 1),
    ([-5.0, 1.3, 0.9], 4),
]


def _like(got: list[float], **wrong: Any) -> bool:
    """Whether a function gives for every case what one with a known error gives."""
    return got == [_add_cut(*case, **wrong) for case in _CASES]


EXERCISES = [
    Exercise(
        "bits that survive",
        lambda: _kept("A100"),
        [
            Hint(
                lambda got: got == _kept("V100"),
                "{got} is V100's; look at the line of A100",
                "{got} 是 V100 的；请看 A100 那一行",
            ),
            Hint(
                lambda got: got == _kept("H100"),
                "{got} is H100's; look at the line of A100",
                "{got} 是 H100 的；请看 A100 那一行",
            ),
            Hint(
                lambda got: got == _kept("A100") - 7 and {"first": 8},
                "{got} is the number of crosses; the first of them stands for k = {first}",
                "{got} 是叉号的个数；第一个叉号代表 k = {first}",
            ),
            Hint(
                lambda got: got == 10,
                "10 are the fraction bits of the inputs; the sum is kept in more",
                "10 是输入的小数位数；求和时保留的位更多",
            ),
        ],
    ),
    Exercise(
        "products at a time",
        lambda: _block("H100"),
        [
            Hint(
                lambda got: got == _block("A100"),
                "{got} is A100's; count the crosses in the line of H100",
                "{got} 是 A100 的；请数 H100 那一行的叉号",
            ),
            Hint(
                lambda got: got == _block("H100") - 2,
                "{got} crosses, and the first two products, the 1 and the tiny one, belong to the block too",
                "叉号有 {got} 个，但开头两个乘积（1 和那个很小的数）也在这一块里",
            ),
            Hint(
                lambda got: got == _block("H100") - 1,
                "{got} is the last place in the block; places are counted from 0",
                "{got} 是块里最后一个位置；位置从 0 数起",
            ),
        ],
    ),
    Exercise(
        "cut and add",
        _add_cut,
        [
            Hint(
                lambda got: _like(got, cut=np.rint),
                "you round to nearest; a tensor core cuts: np.trunc",
                "你做的是就近舍入；张量核心是直接截断：np.trunc",
            ),
            Hint(
                lambda got: _like(got, cut=np.floor),
                "np.floor goes down, also for negative numbers; cutting goes toward zero: np.trunc",
                "np.floor 总是向下，负数也一样；截断是朝零：np.trunc",
            ),
            Hint(
                lambda got: _like(got, more=-1),
                "your unit is twice too large: np.frexp gives e + 1, not e",
                "你的单位大了一倍：np.frexp 给出的是 e + 1，不是 e",
            ),
            Hint(
                lambda got: _like(got, size=np.asarray),
                "the largest magnitude of -5, 1.3 and 0.9 is 5: take np.abs before the maximum",
                "-5、1.3、0.9 里绝对值最大的是 5：先取 np.abs，再取最大值",
            ),
            Hint(
                lambda got: got == [float(np.sum(case[0])) for case in _CASES],
                "you add without cutting: 8 + 0.75 + 0.75 with 3 fraction bits is {right}",
                "你没有截断就相加了：8 + 0.75 + 0.75 保留 3 位小数时是 {right}",
            ),
        ],
        cases=_CASES,
    ),
    Exercise(
        "mystery machine",
        lambda: _HIDDEN,
        [
            Hint(
                lambda got: got == "a100",
                "A100 keeps as many bits and takes blocks as long, but it cuts its running sum, too: try a long sum of "
                "positive numbers",
                "A100 保留的位数和块长都一样，但它连累加的和也截断：试一个很长的正数之和",
            ),
            Hint(
                lambda got: got in ("v100", "h100", "mi250x") and {"kept": _kept(got.upper()), "its": _kept(_HIDDEN)},
                "not this one: 2^-{kept} is the last to survive there; try 2^-{its} on the mystery",
                "不是它：在它上面最后留下来的是 2^-{kept}；在谜底上试试 2^-{its}",
            ),
            Hint(
                lambda got: got == "cortex-a76",
                "not the phone: that would get 2048 for the 3000 ones",
                "不是手机处理器：它加 3000 个 1 会得到 2048",
            ),
            Hint(
                lambda got: got not in ("v100", "a100", "h100", "mi250x", "mi300x", "cortex-a76"),
                "{got} is none of the six machines of this lesson: write the name as it stands in machines",
                "{got} 不是这一课的六台机器之一：名字照 machines 里的写",
            ),
        ],
    ),
]
