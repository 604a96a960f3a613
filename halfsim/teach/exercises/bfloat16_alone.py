"""Lesson 17: bfloat16 alone."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_UPDATE = 0.0008
_CASES = [(1.25, 0.25), (1.25, 1 / 64), (1.0, 0.001), (0.3, 0.1), (10.0, 0.01)]


def _distance(best: float, rate: float, format: str = "bfloat16", share: float = 0.5) -> float:
    return float(hs.ulp(best, format)) * share / rate


def _like(got: list[float], **wrong: str | float) -> bool:
    """Whether a function gives for every case what the law gives with a known error."""
    return bool(np.allclose(got, [_distance(*case, **wrong) for case in _CASES], rtol=1e-6, atol=0))  # type: ignore[arg-type]


def _ulp() -> float:
    return float(hs.ulp(1.0, "bfloat16"))


def _first() -> int:
    """The update with which a weight of 1 moves, by the optimizer itself."""
    w = hs.tensor([1.0], "bf16", requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=_UPDATE, maximize=True, kahan=True)
    count = 0
    while w.item() == 1:
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()
        count += 1
    return count


EXERCISES = [
    Exercise(
        "bfloat16 distance",
        _distance,
        [
            Hint(
                lambda got: _like(got, share=1.0),
                "yours is the whole ulp over the rate: half of it is enough to lose a step",
                "你的是整个 ulp 除以学习率：一步不足半个 ulp 就丢了",
            ),
            Hint(
                lambda got: _like(got, format="float16"),
                "yours are the distances of float16: give hs.ulp the format, as in hs.ulp(best, 'bfloat16')",
                "你的是 float16 的距离：给 hs.ulp 指明格式，如 hs.ulp(best, 'bfloat16')",
            ),
            Hint(
                lambda got: np.allclose(got, [_ulp() / 2 / rate for _, rate in _CASES], rtol=1e-6, atol=0),
                "yours is the same for every best value: the ulp is that of the best value, not of 1",
                "你的对每个最优值都一样：ulp 是最优值处的，不是 1 处的",
            ),
            Hint(
                lambda got: np.allclose(got, [_distance(*case) * case[1] ** 2 for case in _CASES], rtol=1e-6, atol=0),
                "yours grows with the rate: rate * distance is half an ulp, so divide by the rate",
                "你的随学习率变大：学习率乘以距离等于半个 ulp，所以要除以学习率",
            ),
        ],
        close=1e-6,
        cases=_CASES,
    ),
    Exercise(
        "bfloat16 moves",
        lambda: 1000 * _UPDATE / _ulp(),
        [
            Hint(
                lambda got: abs(got - 1000 * _UPDATE / (_ulp() / 2)) < 1,
                "yours is {got}: a move is a whole ulp, and its probability is the update over the whole ulp",
                "你的是 {got}：一次移动是整个 ulp，概率是更新除以整个 ulp",
            ),
            Hint(
                lambda got: abs(got - 1000 * _UPDATE / float(hs.ulp(1.0, "float16"))) < 1,
                "yours is {got}, which is right for float16; the ulp of bfloat16 at 1 is 2^-7",
                "你的是 {got}，那是 float16 的；bfloat16 在 1 处的 ulp 是 2^-7",
            ),
            Hint(
                lambda got: got == 0,
                "0 is what rounding to nearest gives; here each update moves the weight with a small probability",
                "0 是就近舍入的结果；这里每次更新都以小的概率移动权重",
            ),
            Hint(
                lambda got: abs(got - _UPDATE / _ulp()) < 1e-3,
                "{got} is the probability of one move; there are 1000 updates",
                "{got} 是移动一次的概率；更新有 1000 次",
            ),
        ],
        close=0.02,
    ),
    Exercise(
        "bfloat16 first move",
        _first,
        [
            Hint(
                lambda got: got == 4 and {"saved": 4 * _UPDATE},
                "after {got} updates {saved:g} is saved, which is still less than half an ulp, 2^-8 = 0.0039",
                "{got} 次更新之后攒了 {saved:g}，还不足半个 ulp，2^-8 = 0.0039",
            ),
            Hint(
                lambda got: got == np.ceil(_ulp() / _UPDATE),
                "after {got} updates a whole ulp is saved; the weight moves as soon as it is more than half of one",
                "{got} 次更新之后攒了整个 ulp；攒到半个多一点，权重就移动了",
            ),
            Hint(
                lambda got: got == 1,
                "one update alone is lost: 0.0008 is less than half an ulp, 0.0039",
                "单独一次更新会丢：0.0008 不足半个 ulp，0.0039",
            ),
        ],
    ),
    Exercise(
        "bfloat16 beta",
        lambda: float(hs.round_to(0.999, "bfloat16")),
        [
            Hint(
                lambda got: got == float(hs.next_down(1.0, "bfloat16")),
                "{got} is the neighbour of 1, and farther from 0.999 than 1 is",
                "{got} 是 1 的邻居，离 0.999 比 1 还远",
            ),
            Hint(
                lambda got: abs(got - 0.999) < 6e-4,
                "{got} is no bfloat16: below 1 these are 2^-8 = 0.0039 apart",
                "{got} 不是 bfloat16 的数：1 以下相邻两数相距 2^-8 = 0.0039",
            ),
        ],
    ),
]
