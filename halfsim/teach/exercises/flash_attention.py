"""Lesson 14: a probability of exactly 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_CASES = [
    ([0.0, 1.0, 2.0, 0.5], [1.0, 2.0, 3.0, 4.0]),
    ([3.0, 3.0, -11.0, -11.0], [-1.0, -1.5, -2.0, -1.25]),
    ([900.0, 901.0, 899.0, 902.0, 901.5, 900.5], [1.0, 0.0, 2.0, -1.0, 3.0, 0.5]),
]


def _attention(scores: Sequence[float], values: Sequence[float]) -> float:
    """PyTorch's operation, of one feature."""
    q, k, v = np.ones((1, 1)), np.array(scores)[:, None], np.array(values)[:, None]
    return float(hs.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0).item())


def _unscaled(scores: Sequence[float], values: Sequence[float]) -> float:
    """Each block with its own maximum, and nothing scaled when it rises."""
    total = output = 0.0
    for i in range(0, len(scores), 2):
        e = np.exp(np.array(scores[i : i + 2]) - max(scores[: i + 2]))
        total, output = total + e.sum(), output + e @ np.array(values[i : i + 2])
    return float(output / total)


def _undivided(scores: Sequence[float], values: Sequence[float]) -> float:
    return float(np.exp(np.array(scores) - max(scores)) @ np.array(values))


def _all(function: object) -> list[float]:
    return [function(*case) for case in _CASES]  # type: ignore[operator]


EXERCISES = [
    Exercise(
        "tie by hand",
        lambda: [float(hs.round_to(x, "bf16")) for x in (-2.0078125, -2.0078125 - 8e-7)],
        [
            Hint(
                lambda got: got.tolist() == [-2.015625, -2.0],
                "the right two numbers, the other way round: -2 is the even one, and the small number leads away from 0",
                "两个数都对，顺序反了：-2 是偶的那个，而那个微小的数把和推离 0",
            ),
            Hint(
                lambda got: got.tolist() == [-2.0, -2.0] and {"beyond": float(hs.round_to(-2.0079, "bf16"))},
                "the second is no tie any more: it lies beyond the middle, {beyond} is nearer than -2",
                "第二个不再是平局：它越过了中点，离 {beyond} 比离 -2 近",
            ),
            Hint(
                lambda got: (
                    bool(np.all(got != hs.round_to(got, "bf16")))
                    and {"first": float(got[0]), "ulp": float(hs.ulp(2.0, "bf16"))}
                ),
                "{first} is no bfloat16: from 2 on they are {ulp} apart",
                "{first} 不是 bfloat16 的数：从 2 起它们相距 {ulp}",
            ),
        ],
    ),
    Exercise(
        "in blocks",
        _attention,
        [
            Hint(
                lambda got: np.allclose(got, _all(_unscaled), rtol=1e-9, atol=0),
                "yours gives {got}: sum and output are relative to the old maximum; when it rises they have to be "
                "multiplied by exp(m - new)",
                "你的结果是 {got}：和与输出是相对旧的最大值的；最大值升高时要把它们乘以 exp(m - new)",
            ),
            Hint(
                lambda got: np.allclose(got, _all(_undivided), rtol=1e-9, atol=0),
                "yours gives {got}: the output still has to be divided by the sum",
                "你的结果是 {got}：输出还要除以和",
            ),
        ],
        cases=_CASES,
        close=1e-9,
    ),
    Exercise(
        "raised probability",
        lambda: float(hs.round_to(math.exp(-6.0), "bf16")),
        [
            Hint(
                lambda got: got == 1,
                "1 is what it was without the remedy; the maximum is now 12, and the scores are still 6",
                "1 是不用补救办法时的结果；现在最大值是 12，而分数仍是 6",
            ),
            Hint(
                lambda got: math.isclose(got, math.exp(-6.0), rel_tol=1e-6) and {"e": math.exp(-6.0)},
                "{e:.9g} is exact; in bfloat16 8 bits of it are stored",
                "{e:.9g} 是精确值；bfloat16 里只存它的 8 位",
            ),
            Hint(
                lambda got: math.isclose(got, math.exp(-12.0), rel_tol=1e-2),
                "yours is e^-12; the score itself is 6, so 6 - 12 is left",
                "你的是 e^-12；分数本身是 6，剩下的是 6 - 12",
            ),
            Hint(
                lambda got: got == 0.5,
                "0.5 is the probability after the division; stored is what comes before it",
                "0.5 是除法之后的概率；存下来的是除法之前的数",
            ),
        ],
    ),
    Exercise(
        "depth without effect",
        lambda: next(d for d in range(1, 99) if np.float32(-1.5) - np.float32(math.exp(-d)) == np.float32(-1.5)),
        [
            Hint(
                lambda got: got == 16 and {"e": math.exp(-16.0), "half": float(hs.ulp(1.5, "float32")) / 2},
                "e^-16 = {e:.3g} is below one ulp, and still above half of it, {half:.3g}",
                "e^-16 = {e:.3g} 小于一个 ulp，但仍大于半个 ulp，即 {half:.3g}",
            ),
            Hint(
                lambda got: got == 6,
                "6 is where bfloat16 stops; the accumulator is float32, with 16 bits more",
                "6 是 bfloat16 停下的地方；累加器是 float32，多 16 位",
            ),
        ],
    ),
]
