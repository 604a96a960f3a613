"""Lesson 6: the remedies, measured."""

from __future__ import annotations

from functools import cache
from math import log2, log10
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_CASES = [
    (np.array([3.0, 4.0]), 1.0),
    (np.array([0.3, 0.4]), 1.0),
    (np.array([0.0, 0.0]), 1.0),
    (np.array([300.0, -400.0, 0.0]), 2.5),
]
_PASS = np.array([3e-9, 2e-6, 0.004, 3.0])
_WEIGHT, _GRADIENT = 0.12, 0.005


def _clip(g: Any, limit: float) -> Any:
    norm = np.sqrt(np.sum(g * g))
    return g * (limit / norm) if norm > limit else g


def _half(x: Any) -> Any:
    return hs.round_to(x, "float16")


def _scales() -> list[float]:
    """The smallest and the largest power of two that keep every gradient from zero and from infinity."""
    scaled = [(s, _half(_PASS * s)) for s in 2.0 ** np.arange(40)]
    fine = [float(s) for s, x in scaled if x.all() and np.isfinite(x).all()]
    return [min(fine), max(fine)]


def _rate() -> float:
    weight = float(_half(_WEIGHT))
    return float(min(lr for lr in 10.0 ** -np.arange(9) if _half(weight - lr * _GRADIENT) != weight))


@cache
def _fifth() -> str:
    """Which remedy keeps the first loss of the fifth patient finite."""
    digits = hs.data.digits()
    changes: dict[str, tuple[float, bool]] = {  # the gain of the first weights, and whether they are orthogonal
        "clipping": (8.0, False),  # both act on gradients, which come after the loss
        "smaller lr": (8.0, False),
        "initialisation": (2**0.5, True),
    }
    for word, (gain, orthogonal) in changes.items():
        hs.manual_seed(0)
        with hs.precision("fp16"):
            x: Any = hs.tensor(digits.x_train[:32])
            for inputs, outputs in zip([64, *[32] * 7], [*[32] * 7, 10], strict=True):
                layer = hs.nn.Linear(inputs, outputs, bias=False)
                hs.nn.init.normal_(layer.weight, std=gain / inputs**0.5)
                if orthogonal:
                    hs.nn.init.orthogonal_(layer.weight, gain)
                x = layer.to("fp16")(x if inputs == 64 else hs.relu(x))
            if np.isfinite(hs.nn.cross_entropy(x, digits.y_train[:32]).item()):
                return word
    return ""


def _close(got: Any, *wanted: Any) -> bool:
    return all(np.allclose(g, w) for g, w in zip(got, wanted, strict=False))


EXERCISES = [
    Exercise(
        "clip by norm",
        _clip,
        [
            Hint(
                lambda got: (
                    _close(got, *(np.clip(g, -limit, limit) for g, limit in _CASES)) and {"first": got[0].tolist()}
                ),
                "of [3, 4] yours makes {first}: that is clipping by value, which turns the direction; scale both by one "
                "factor",
                "[3, 4] 被你变成了 {first}：这是按值裁剪，会改变方向；应当用同一个因子缩放",
            ),
            Hint(
                lambda got: _close(got[1:2], [0.6, 0.8]) and {"norm": float(np.hypot(*got[1]))},
                "[0.3, 0.4] has a norm of 0.5, below the limit, and yours enlarges it to {norm:g}: clipping only shrinks",
                "[0.3, 0.4] 的范数是 0.5，低于上限，却被你放大到 {norm:g}：裁剪只会缩小",
            ),
            Hint(
                lambda got: _close(got[:1], [3 / 25, 4 / 25]) and {"first": got[0].tolist()},
                "of [3, 4] yours makes {first}: you divide by the sum of squares; the norm is its root",
                "[3, 4] 被你变成了 {first}：你除以了平方和；范数是它的平方根",
            ),
            Hint(
                lambda got: _close(got[:1], [3 / 7, 4 / 7]) and {"sum": 7.0},
                "you divide by {sum}, the sum of 3 and 4; the norm is the root of the sum of squares",
                "你除以了 3 与 4 之和 {sum}；范数是平方和的平方根",
            ),
        ],
        close=1e-5,
        cases=_CASES,
    ),
    Exercise(
        "scales allowed",
        _scales,
        [
            Hint(
                lambda got: got[0] > got[1],
                "the smallest first, then the largest",
                "先写最小的，再写最大的",
            ),
            Hint(
                lambda got: (
                    got[1] > _scales()[1] and {"by": got[1], "high": 3.0 * got[1], "kept": float(_half(3 * got[1]))}
                ),
                "times {by}, 3.0 is {high}, which in half is {kept}",
                "3.0 乘以 {by} 是 {high}，在半精度里是 {kept}",
            ),
            Hint(
                lambda got: got[0] < _scales()[0] and {"by": got[0], "low": 3e-9 * got[0]},
                "times {by}, 3e-9 is {low:.3g}, which in half is zero: anything up to 2^-25 is",
                "3e-9 乘以 {by} 是 {low:.3g}，在半精度里是零：不大于 2^-25 的都是",
            ),
            Hint(
                lambda got: got[0] > _scales()[0] and {"by": got[0] / 2, "kept": float(_half(3e-9 * got[0] / 2))},
                "half of your smallest scale does, too: by {by}, 3e-9 becomes {kept:.3g}, which is subnormal and not zero",
                "你的最小倍数减半也行：乘以 {by}，3e-9 变成 {kept:.3g}，是次正规数，不是零",
            ),
            Hint(
                lambda got: (got[1] < _scales()[1] or log2(got[1]) % 1) and {"by": got[1], "high": 3.0 * got[1]},
                "times {by}, 3.0 is {high}, which is still below 65504 by a factor of two or more",
                "3.0 乘以 {by} 是 {high}，离 65504 还有两倍以上的余地",
            ),
        ],
    ),
    Exercise(
        "decades lost",
        lambda: 9 * log10(4),
        [
            Hint(
                lambda got: abs(got - 18) < 0.1,
                "{got} counts powers of two; in powers of ten a quarter is log10(4)",
                "{got} 数的是 2 的幂；以 10 的幂计，四分之一是 log10(4)",
            ),
            Hint(
                lambda got: abs(got - 10 * log10(4)) < 0.02,
                "{got:.3g} is for ten factors; of ten layers the last has no sigmoid behind it, which leaves nine",
                "{got:.3g} 是十个因子的结果；十层里最后一层后面没有 sigmoid，只有九个",
            ),
            Hint(
                lambda got: abs(got - log10(4)) < 0.01,
                "{got:.3g} is what a single sigmoid takes",
                "{got:.3g} 是一个 sigmoid 减去的",
            ),
            Hint(
                lambda got: abs(got - 9 * np.log(4)) < 0.1,
                "{got:.4g} is by the natural logarithm; decades go by log10",
                "{got:.4g} 用的是自然对数；以 10 的幂计要用 log10",
            ),
            Hint(
                lambda got: abs(got + 9 * log10(4)) < 0.1,
                "the size is right; a loss of so many decades is a positive number",
                "大小对了；减少多少个数量级，要写成正数",
            ),
        ],
        close=0.005,
    ),
    Exercise(
        "rate that moves",
        _rate,
        [
            Hint(
                lambda got: (
                    0 < got < 0.0061 and {"update": got * _GRADIENT, "gap": float(hs.ulp(_WEIGHT, "float16")) / 2}
                ),
                "at {got} the update is {update:.2g}; half the distance from 0.12 to its neighbour is {gap:.2g}, and it is "
                "rounded away",
                "学习率为 {got} 时更新是 {update:.2g}；0.12 到相邻数的距离的一半是 {gap:.2g}，所以它被舍掉了",
            ),
            Hint(
                lambda got: 0.0061 <= got < 0.0099,
                "{got:.3g} is where it begins to move; give the first power of ten above",
                "{got:.3g} 正是开始移动的地方；写出大于它的第一个 10 的幂",
            ),
            Hint(
                lambda got: got >= 0.1 and {"tenth": got / 10},
                "at {got} it moves, but at {tenth:.2g} it does, too",
                "学习率为 {got} 时会动，但 {tenth:.2g} 时也会动",
            ),
        ],
        close=1e-9,
    ),
    Exercise(
        "fifth patient",
        _fifth,
        [
            Hint(
                lambda got: got == "clipping",
                "with {got} all steps stay broken: look at the first loss. It is NaN before there is a gradient to clip",
                "用 {got} 之后每一步仍然是坏的：看看第一个损失。还没有梯度可裁剪，它就已经是 NaN",
            ),
            Hint(
                lambda got: got == "smallerlr",
                "with it all steps stay broken: the very first loss is NaN, before any step was taken",
                "用它之后每一步仍然是坏的：还没有迈出一步，第一个损失就已经是 NaN",
            ),
            Hint(
                lambda got: got not in ("clipping", "smallerlr", "initialisation"),
                "{got} is none of the three: clipping, smaller lr, initialisation",
                "{got} 不是这三个之一：clipping、smaller lr、initialisation",
            ),
        ],
    ),
]
