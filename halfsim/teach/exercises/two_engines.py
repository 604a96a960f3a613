"""Lesson 13: two engines, one model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_X = 1.0234375
_ANSWERS: list[tuple[list[float], list[float]]] = [
    ([-1.0, -2.0], [-1.0, -2.0]),
    ([-0.5, -1.25, -0.75], [-1.0, -1.5, -0.25]),
    ((-np.arange(1, 41) / 16).tolist(), (-np.arange(2, 42) / 16).tolist()),
]


def _result(engine: str) -> float:
    """``x * x - 1`` by an engine."""
    with hs.precision(engine):
        return hs.nn.functional.linear(hs.tensor([_X]), hs.tensor([[_X]]), hs.tensor([-1.0])).item()


def _two() -> list[float]:
    return [_result("storage=bf16, accumulate=exact"), _result("storage=bf16, compute=bf16, accumulate=exact")]


def _times(a: hs.Format, b: hs.Format) -> int:
    return int(a.eps / b.eps)


def _weight(trainer: Sequence[float], writer: Sequence[float]) -> float:
    return math.exp(math.fsum(trainer) - math.fsum(writer))


EXERCISES = [
    Exercise(
        "fused by hand",
        _two,
        [
            Hint(
                lambda got: got.tolist() == _two()[::-1],
                "the right two numbers, the other way round: the fused result comes first",
                "两个数都对，顺序反了：融合的结果在前",
            ),
            Hint(
                lambda got: got.tolist()[0] == _X * _X - 1 and {"first": got.tolist()[0]},
                "{first} is exact, and bfloat16 has no such number: fused kernels round too, once, at the end",
                "{first} 是精确值，而 bfloat16 里没有这个数：融合的算子也要舍入，只是在最后舍入一次",
            ),
            Hint(
                lambda got: len({*got.tolist()}) == 1 and {"both": got.tolist()[0]},
                "{both} twice: the unfused kernel rounds the product before 1 is subtracted, the fused one does not",
                "两个都是 {both}：不融合的算子在减 1 之前先舍入乘积，融合的不会",
            ),
        ],
    ),
    Exercise(
        "gap in eight bits",
        lambda: _times(hs.float8_e5m2, hs.bfloat16),
        [
            Hint(
                lambda got: got == hs.bfloat16.precision - hs.float8_e5m2.precision,
                "{got} is how many bits are missing; each of them doubles the gap",
                "{got} 是少了几位；每少一位，差距翻一倍",
            ),
            Hint(
                lambda got: got == _times(hs.float8_e5m2, hs.bfloat16) ** 2,
                "{got} is the factor of the divergence; the gap is its square root",
                "{got} 是散度的倍数；差距是它的平方根",
            ),
            Hint(
                lambda got: got == _times(hs.float8_e5m2, hs.float16),
                "{got} compares with float16; bfloat16 has three bits less",
                "{got} 是与 float16 相比；bfloat16 少三位",
            ),
        ],
    ),
    Exercise(
        "weight of an answer",
        _weight,
        [
            Hint(
                lambda got: np.allclose(got, [sum(a) - sum(b) for a, b in _ANSWERS]),
                "yours is the logarithm of the weight: two equal lists have to give 1, not {got}",
                "你的是权重的对数：两个相同的列表应得 1，而不是 {got}",
            ),
            Hint(
                lambda got: np.allclose(got, [_weight(b, a) for a, b in _ANSWERS]) and {"second": got[1]},
                "{second} for the second answer, which is likelier for the engine that trains: turn the quotient round",
                "第二个回答得 {second}，可训练的引擎给它的概率更大：把商倒过来",
            ),
            Hint(
                lambda got: np.allclose(got, [_weight(a, b) ** (1 / len(a)) for a, b in _ANSWERS]),
                "yours is the weight of one token on average; the weight of an answer is the product over all its tokens",
                "你的是平均每个词元的权重；一个回答的权重是所有词元的乘积",
            ),
            Hint(
                lambda got: np.allclose(got, [sum(a) / sum(b) for a, b in _ANSWERS]),
                "yours divides logarithms; the weight divides probabilities, whose logarithms are subtracted",
                "你的是对数相除；权重是概率相除，也就是对数相减",
            ),
        ],
        cases=_ANSWERS,
        close=1e-9,
    ),
    Exercise(
        "longer answers",
        lambda: 1000 * _times(hs.bfloat16, hs.float16) ** 2,
        [
            Hint(
                lambda got: got == 1000 * _times(hs.bfloat16, hs.float16),
                "the gap is 8 times smaller, but the divergence of a token goes with its square",
                "差距是八分之一，但单个词元的散度与差距的平方成正比",
            ),
            Hint(
                lambda got: got == _times(hs.bfloat16, hs.float16) ** 2,
                "{got} is the factor; how many tokens are that, from 1000?",
                "{got} 是倍数；从 1000 算起是多少个词元？",
            ),
            Hint(
                lambda got: got == 1000 * _times(hs.bfloat16, hs.float16) ** 4,
                "the divergence goes with the square of the gap already, and grows in step with the length",
                "散度已经是差距的平方，并与长度成正比",
            ),
        ],
    ),
]
