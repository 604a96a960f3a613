"""Lesson 2: one addition."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_ULP = float(hs.ulp(1.0, "float16"))
_CASES = [(guard, round, sticky) for guard in (0, 1) for round in (0, 1) for sticky in (0, 1)]


def _three_bits() -> np.ndarray:
    total, ulp = 2050 + 1.5, float(hs.ulp(2048.0, "float16"))
    steps, rest = divmod(total, ulp)
    return np.array([steps % 2, rest >= ulp / 2, rest % (ulp / 2) > 0], np.float64)


def _difference() -> float:
    return float(hs.round_to(1.001, "float16")) - 1


EXERCISES = [
    Exercise(
        "a tie",
        lambda: float(hs.round_to(1 + 3 * _ULP / 2, "float16")),
        [
            Hint(
                lambda got: got == 1 + 1.5 * _ULP and {"ulp": _ULP},
                "that is the exact sum, and not on the list: above 1 the numbers are {ulp} apart",
                "这是精确的和，但不在表上：1 以上的数相距 {ulp}",
            ),
            Hint(
                lambda got: got == 1 + _ULP and {"bit": int(hs.encode(1 + _ULP, "float16")) & 1},
                "{got} is the lower neighbour, and its last bit is {bit}: a tie goes to the one whose last bit is 0",
                "{got} 是下面的邻居，它的末位是 {bit}：正好一半时取末位为 0 的那个",
            ),
            Hint(
                lambda got: got == 1 and {"steps": 1.5},
                "the exact sum is {steps} steps above 1; 1 is not one of its two neighbours",
                "精确的和在 1 上方 {steps} 步，1 不是它的两个邻居之一",
            ),
            Hint(
                lambda got: float(hs.round_to(got, "float16")) != got,
                "{got} is not on the list of float16: give a number that is, such as 1 + 2**-10",
                "{got} 不在 float16 的表上：请给出表上的数，例如 1 + 2**-10",
            ),
        ],
    ),
    Exercise(
        "three bits",
        _three_bits,
        [
            Hint(
                lambda got: got.tolist() == [1, 1, 0],
                "2051.5 is more than halfway from 2050 to 2052, so a 1 stands behind the round bit too: the sticky bit is 1",
                "2051.5 已经过了 2050 和 2052 的中点，所以舍入位后面还有 1：粘滞位是 1",
            ),
            Hint(
                lambda got: got.tolist() == [0, 1, 1],
                "the guard bit is the last digit of 2050 = 1.0000000001 x 2^11, and that is a 1",
                "保护位是 2050 = 1.0000000001 x 2^11 的最后一位，那是 1",
            ),
            Hint(
                lambda got: got[1] == 0,
                "the numbers are 2 apart there, so the round bit stands for 1; the rest of 1.5 is more than that",
                "那里的数相距 2，所以舍入位值 1；1.5 比它大",
            ),
            Hint(
                lambda got: not np.isin(got, (0, 1)).all(),
                "a bit is 0 or 1",
                "一位只能是 0 或 1",
            ),
        ],
    ),
    Exercise(
        "enough",
        lambda: float(hs.next_up(1.0, "float16")),
        [
            Hint(
                lambda got: got == 1 and {"sum": float(hs.round_to(2048 + got, "float16"))},
                "2048 + 1 is a tie, and goes to {sum}, whose last bit is 0: a little more than 1 is needed",
                "2048 + 1 正好是一半，取末位为 0 的 {sum}：需要比 1 多一点点",
            ),
            Hint(
                lambda got: got > 1 and float(hs.round_to(got, "float16")) != got,
                "{got} is not on the list of float16",
                "{got} 不在 float16 的表上",
            ),
            Hint(
                lambda got: got > 1 and {"sum": float(hs.round_to(2048 + got, "float16")), "ulp": 2.0},
                "2048 + {got} = {sum}, so it is enough, but less is too: anything above half of hs.ulp(2048) = {ulp}",
                "2048 + {got} = {sum}，够了，但更小的也够：只要超过 hs.ulp(2048) = {ulp} 的一半",
            ),
            Hint(
                lambda got: 0 < got < 1 and {"half": 1.0},
                "{got} is below half an ulp of 2048, which is {half}: the sum stays 2048",
                "{got} 小于 2048 的半个 ulp，即 {half}：和仍是 2048",
            ),
        ],
    ),
    Exercise(
        "up",
        lambda guard, round, sticky: round & (sticky | guard),
        [
            Hint(
                lambda got: got == [r for g, r, s in _CASES],
                "as in school: yours rounds every tie up. With round 1 and sticky 0 the guard bit decides",
                "和小学里学的一样：你把每个一半都进位了。舍入位是 1、粘滞位是 0 时，由保护位决定",
            ),
            Hint(
                lambda got: got == [r & s for g, r, s in _CASES],
                "yours rounds every tie down; with guard 1, round 1, sticky 0 the even neighbour is above",
                "你把每个一半都舍去了；保护位 1、舍入位 1、粘滞位 0 时，偶数邻居在上面",
            ),
            Hint(
                lambda got: got == [r & g for g, r, s in _CASES],
                "yours forgets the sticky bit: with round 1 and sticky 1 it is more than half, so up whatever the guard bit is",
                "你忘了粘滞位：舍入位和粘滞位都是 1 就超过了一半，不管保护位是什么都要进位",
            ),
            Hint(
                lambda got: got == [1 - (r & (s | g)) for g, r, s in _CASES],
                "yours is the other way round in all 8 cases: 1 means up",
                "8 种情形全都反了：1 表示进位",
            ),
        ],
        cases=_CASES,
    ),
    Exercise(
        "what is left",
        lambda: abs(_difference() - 0.001) / 0.001,
        [
            Hint(
                lambda got: got == 0 and {"d": _difference()},
                "the subtraction itself made no error; compare its result, {d:.10g}, with 0.001",
                "减法本身没有误差；请把它的结果 {d:.10g} 与 0.001 相比",
            ),
            Hint(
                lambda got: np.isclose(got, 100 * abs(_difference() - 0.001) / 0.001, rtol=0.02),
                "{got:.4g} is in percent; give the plain ratio",
                "{got:.4g} 是百分数；请给出比值本身",
            ),
            Hint(
                lambda got: np.isclose(got, abs(_difference() - 0.001), rtol=0.02),
                "{got:.4g} is the absolute error; divide it by 0.001",
                "{got:.4g} 是绝对误差；还要除以 0.001",
            ),
            Hint(
                lambda got: np.isclose(got, (_difference() - 0.001) / 0.001, rtol=0.02),
                "{got:.4g} has a sign: a distance has none",
                "{got:.4g} 带着符号：距离没有符号",
            ),
        ],
        close=0.02,
    ),
]
