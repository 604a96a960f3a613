"""Lesson 12: property tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.teach.exercise import Exercise, Hint

_half = np.float16


def _holds(result: float, x: Any) -> bool:
    return bool(x.min() <= result <= x.max())


_MEANS = [
    (1.5, np.array([1.0, 2.0])),
    (2.0, np.array([2.0, 2.0, 2.0])),
    (np.inf, np.array([60000.0, 60000.0])),
    (0.0, np.array([3.0, 5.0])),
    (-1.0, np.array([-3.0, 1.0])),
    (1.0, np.array([-3.0, 0.5])),
    (np.nan, np.array([1.0, 2.0])),
]


def _says(*rule: bool) -> Any:
    """Whether a property judged every case like this; the right one says True, True, False, False, True, False, False."""
    return lambda got: got == list(rule)


def _stops() -> int:
    sums = np.cumsum(np.ones(5000, _half))
    return int(np.argmax(np.diff(sums) <= 0)) + 2


def _norm(x: Any) -> float:
    return float(_half(np.sqrt((np.asarray(x, np.float64) ** 2).sum())))


_VECTORS = [
    (np.array(v, _half),)
    for v in ([3, 4], [256, 0], [30000, 40000], [2.0**-20, 0], [0, 0], [-3, -4], [1, 2, 2], [60000, 2.0**-20])
]


def _naive(x: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt((x * x).sum()))


EXERCISES = [
    Exercise(
        "mean property",
        _holds,
        [
            Hint(
                _says(True, False, False, False, True, False, False),
                "the mean of 2, 2, 2 is 2: the ends belong to it, use <=",
                "2、2、2 的平均值是 2：两端也算，用 <=",
            ),
            Hint(
                _says(True, True, False, True, True, False, False),
                "0 is no mean of 3 and 5: it must not be smaller than the smallest either",
                "0 不是 3 和 5 的平均值：它也不能比最小的还小",
            ),
            Hint(
                _says(True, True, True, False, True, True, False),
                "1 is no mean of -3 and 0.5: it must not be larger than the largest either",
                "1 不是 -3 和 0.5 的平均值：它也不能比最大的还大",
            ),
            Hint(
                lambda got: len(got) == len(_MEANS) and got[-1] is True,
                "NaN passes your property: comparisons with NaN are False, so ask for what must be, not for what must not",
                "NaN 通过了你的性质：与 NaN 比较总是 False，所以要写“应当怎样”，不要写“不应当怎样”",
            ),
            Hint(
                lambda got: len(got) == len(_MEANS) and got[2] is True,
                "infinity passes as the mean of two numbers of 60000",
                "无穷大竟通过了，成了两个 60000 的平均值",
            ),
        ],
        cases=_MEANS,
    ),
    Exercise(
        "cumsum breaks",
        _stops,
        [
            Hint(
                lambda got: got == _stops() - 1,
                "{got} ones still add up to {got}; it is the next one that is lost",
                "{got} 个 1 加起来还是 {got}；丢掉的是再下一个",
            ),
            Hint(
                lambda got: got in (65504, 65505, 65520, 65536),
                "the sum stops long before it overflows: 2048 + 1 = 2048",
                "远没有溢出，和就已经停了：2048 + 1 = 2048",
            ),
            Hint(
                lambda got: 0 < got < _stops() - 1 and {"end": float(np.cumsum(np.ones(int(got), _half))[-1])},
                "with {got} ones the sum still grows to the end, to {end}",
                "{got} 个 1 时，和一直增长到最后，等于 {end}",
            ),
            Hint(
                lambda got: got > _stops() and {"n": _stops()},
                "for {got} it stands still, but for a smaller n too",
                "n = {got} 时和会停住，但更小的 n 也会",
            ),
        ],
    ),
    Exercise(
        "safe norm",
        _norm,
        [
            Hint(
                lambda got: got[1] == np.inf,
                "your norm of [256, 0] is inf: 256 * 256 is past 65504; divide by the largest element first",
                "你算的 [256, 0] 的长度是 inf：256 * 256 超过了 65504；先除以最大的元素",
            ),
            Hint(
                lambda got: np.isnan(got[4]),
                "your norm of zeros is NaN: dividing by the largest element is 0/0 there",
                "你算的零向量的长度是 NaN：除以最大的元素时变成了 0/0",
            ),
            Hint(
                lambda got: got[3] == 0,
                "your norm of [2^-20, 0] is 0: its square is below the smallest float16",
                "你算的 [2^-20, 0] 的长度是 0：它的平方小于最小的 float16",
            ),
            Hint(
                lambda got: got[0] > 0 and not np.isclose(got[5], got[0]),
                "[-3, -4] is as long as [3, 4]: the largest element is that of the largest magnitude",
                "[-3, -4] 和 [3, 4] 一样长：最大的元素要按绝对值找",
            ),
            Hint(
                lambda got: np.isclose(got[0], 1.25),
                "your norm of [3, 4] is 1.25: multiply by the largest element again in the end",
                "你算的 [3, 4] 的长度是 1.25：最后还要乘回最大的元素",
            ),
        ],
        cases=_VECTORS,
        close=2.0**-9,
    ),
    Exercise(
        "tolerance of a sum",
        lambda: 2 * (100 - 1) * 0.5,
        [
            Hint(
                lambda got: got == 49.5,
                "49.5 is how far one order is off; the other may be off the other way",
                "49.5 是一种次序的误差；另一种次序可能朝相反方向偏",
            ),
            Hint(
                lambda got: got == 198,
                "198 takes a whole ulp for each rounding; to nearest it is half",
                "198 把每次舍入算成了一整个 ulp；就近舍入是半个",
            ),
            Hint(
                lambda got: got == 100,
                "100 counts 100 roundings; 100 numbers take 99 additions",
                "100 算了 100 次舍入；100 个数只加 99 次",
            ),
            Hint(
                lambda got: 0 < got <= 1,
                "{got} ulp is one rounding or less; here are 99 in each order, of half an ulp each",
                "{got} 个 ulp 还不到或只有一次舍入；这里每种次序有 99 次，每次半个 ulp",
            ),
        ],
    ),
]
