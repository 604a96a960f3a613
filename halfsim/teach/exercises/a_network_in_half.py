"""Lesson 5: a network in half."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_SMALL = 2.0 ** np.array([-30.0, -26.0, -25.0, -24.0, -20.0, -15.0, -10.0, -3.0])
_GRADIENTS = [
    (_SMALL,),
    (np.concatenate([np.zeros(4), _SMALL, -_SMALL]),),
    (np.array([1.0, 0.0, 0.0]),),
]
_MOVES = [
    (1.0, 2.0**-9),
    (0.25, 5.0008296966552734e-05),
    (0.25, 0.00010001659393310547),
    (1.0, -(2.0**-11)),
    (1.5, 2.0**-11),
    (0.0, 2.0**-24),
    (100.0, 2.0**-5),
    (1.5, 1.5 * 2.0**-11),
    (0.0010004043579101562, 1.0132789611816406e-06),
]


def _zero(x: float, times: int = 0, factor: float = 0.25) -> float:
    """A number in half, after so many sigmoids."""
    x = float(hs.round_to(x, "float16"))
    return x if times == 0 else _zero(x * factor, times - 1, factor)


def _sigmoids(factor: float = 0.25) -> int:
    return next(n for n in range(99) if _zero(2.0**-9, n, factor) == 0)


def _share(g: Any, bottom: float = 2.0**-25, kept: bool = False, of_all: bool = False) -> float:
    """The share of gradients up to ``bottom``; with zeros that were there before, if ``kept``; of all, if ``of_all``."""
    small = np.abs(g) <= bottom
    return float(np.sum(small & (kept | (g != 0))) / (g.size if of_all or kept else np.count_nonzero(g)))


def _shares(got: list[float], bottom: float = 2.0**-25, kept: bool = False, of_all: bool = False) -> bool:
    return bool(np.allclose(got, [_share(*case, bottom, kept, of_all) for case in _GRADIENTS]))


def _moves(weight: float, update: float) -> bool:
    return bool(hs.round_to(weight - update, "float16") != weight)


@cache
def _sick(name: str, steps: int = 3) -> str:
    """The module where a run that explodes begins to, or what the verdict names where it does not."""
    digits = hs.data.digits()
    hs.manual_seed(0)
    sizes, modules = [64, *[32] * 6, 10], []
    for inputs, outputs in pairwise(sizes):
        layer = hs.nn.Linear(inputs, outputs)
        for p in layer.parameters():
            hs.nn.init.normal_(p, std=5.0 / inputs**0.5) if p.ndim == 2 else hs.nn.init.zeros_(p)
        modules += [layer, hs.nn.ReLU()]
    model = hs.nn.Sequential(*modules[:-1]).to(name)
    optimizer, draw = hs.optim.SGD(model.parameters(), lr=0.05), np.random.default_rng(0)
    with hs.precision(name), hs.trace() as t:
        for _ in range(steps):
            some = draw.choice(len(digits.x_train), 64, replace=False)
            loss = hs.nn.cross_entropy(model(hs.tensor(digits.x_train[some])), digits.y_train[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    verdict = t.verdict()
    return verdict.path if verdict else ""


EXERCISES = [
    Exercise(
        "gradient gone",
        lambda: 2.0 ** next(k for k in range(0, -99, -1) if _zero(2.0**k) == 0),
        [
            Hint(
                lambda got: got == 2.0**-14,
                "{got:.3g} is the smallest normal number; below come subnormal ones, which are not zero yet",
                "{got:.3g} 是最小的正规数；再往下是次正规数，还不是零",
            ),
            Hint(
                lambda got: got == 2.0**-24,
                "{got:.3g} is on the list: it is the smallest number above zero",
                "{got:.3g} 在表上：它是零以上最小的数",
            ),
            Hint(
                lambda got: 0 < got < 2.0**-25 and {"twice": 2 * got},
                "{got:.3g} becomes zero, but so does its double, {twice:.3g}: a tie goes to the even neighbour",
                "{got:.3g} 变成零，但它的两倍 {twice:.3g} 也变成零：正好在中间时取偶数",
            ),
            Hint(
                lambda got: got > 2.0**-24 and {"kept": _zero(got)},
                "{got:.3g} becomes {kept:.3g}, which is not zero",
                "{got:.3g} 变成 {kept:.3g}，不是零",
            ),
            Hint(
                lambda got: got < 0,
                "yours is {got}: the exponent alone, or a minus too many; type 2.0**-20 and the like",
                "你写的是 {got}：只写了指数，或者多了一个负号；应当写成 2.0**-20 的样子",
            ),
        ],
    ),
    Exercise(
        "sigmoids to zero",
        _sigmoids,
        [
            Hint(
                lambda got: got == 7 and {"left": _zero(2.0**-9, 7)},
                "after {got} it is {left:.3g}, which half still has: 2^-23",
                "过 {got} 个之后是 {left:.3g}，即 2^-23，半精度里还有这个数",
            ),
            Hint(
                lambda got: got == _sigmoids(0.5),
                "{got} is for a factor of a half; each sigmoid takes two powers of two, a quarter",
                "{got} 是每次乘以二分之一的结果；每个 sigmoid 要乘四分之一，即两个 2 的幂",
            ),
            Hint(
                lambda got: got == 3 and {"left": _zero(2.0**-9, 3)},
                "after {got} it is {left:.3g}, below the smallest normal number but not zero: subnormal numbers follow",
                "过 {got} 个之后是 {left:.3g}，小于最小的正规数，但还不是零：接下来是次正规数",
            ),
            Hint(
                lambda got: got > 8 and {"before": got - 1},
                "after {before} it is zero already",
                "过 {before} 个之后就已经是零了",
            ),
            Hint(
                lambda got: 0 <= got < 7 and {"left": _zero(2.0**-9, int(got))},
                "after {got} it is {left:.3g}, which is not zero",
                "过 {got} 个之后是 {left:.3g}，不是零",
            ),
        ],
    ),
    Exercise(
        "share gone",
        _share,
        [
            Hint(
                lambda got: _shares(got, of_all=True) and {"second": got[1], "wanted": _share(*_GRADIENTS[1])},
                "{second:.2g} of the second array, and not {wanted:.2g}: you divide by all gradients, those that were "
                "zero before among them",
                "第二个数组你得到 {second:.2g}，应当是 {wanted:.2g}：你除以了全部梯度的个数，连原来就是零的也在内",
            ),
            Hint(
                lambda got: _shares(got, kept=True) and {"second": got[1]},
                "{second:.2g} of the second array: four of its numbers were zero before, and you count them as gone",
                "第二个数组你得到 {second:.2g}：其中四个数原来就是零，你也当成消失的了",
            ),
            Hint(
                lambda got: _shares(got, bottom=np.nextafter(2.0**-14, 0)) and {"first": got[0]},
                "{first:.2g} of the first array: you count subnormal numbers too, which are not zero",
                "第一个数组你得到 {first:.2g}：你把次正规数也算进去了，它们并不是零",
            ),
            Hint(
                lambda got: np.allclose(got, [100 * _share(*case) for case in _GRADIENTS]),
                "right in percent; a share from 0 to 1 is asked for",
                "按百分数是对的；这里要的是 0 到 1 之间的比例",
            ),
        ],
        close=1e-6,
        cases=_GRADIENTS,
    ),
    Exercise(
        "weight moves",
        _moves,
        [
            Hint(
                lambda got: got == [w - u != w for w, u in _MOVES],
                "yours says True always: in Python's float64 nearly every update moves the weight; round the difference "
                "to float16",
                "你的总是 True：在 Python 的 float64 里，几乎每次更新都会移动权重；要把差舍入到 float16",
            ),
            Hint(
                lambda got: (
                    got == [abs(u) >= float(hs.ulp(w, "float16")) for w, u in _MOVES]
                    and {"ulp": float(hs.ulp(0.25, "float16"))}
                ),
                "0.25 does move by 0.0001, though its ulp is {ulp:.2g}: the result is rounded to the nearest number, so "
                "that less than an ulp can be enough",
                "0.25 会移动 0.0001，尽管它的 ulp 是 {ulp:.2g}：结果舍入到最近的数，所以不到一个 ulp 也可能够",
            ),
            Hint(
                lambda got: (
                    got == [abs(u) > float(hs.ulp(w, "float16")) / 2 for w, u in _MOVES]
                    and {"half": float(hs.ulp(0.25, "float16")) / 2}
                ),
                "0.25 does move down by 0.0001, which is below {half:.2g}, half its ulp: below a power of two numbers "
                "stand twice as close. Let hs.round_to do it",
                "0.25 会向下移动 0.0001，尽管那小于 ulp 的一半 {half:.2g}：在 2 的幂以下，数的间距小一半。交给 hs.round_to 吧",
            ),
            Hint(
                lambda got: got == [not _moves(*case) for case in _MOVES],
                "True and False are the wrong way round: True is for a weight that moves",
                "True 和 False 写反了：权重移动时应当是 True",
            ),
        ],
        cases=_MOVES,
    ),
    Exercise(
        "sick module",
        lambda: _sick("fp16"),
        [
            Hint(
                lambda got: got == "12",
                "{got} is the last layer, where NaN arrives; the infinity that made it is older",
                "{got} 是最后一层，NaN 到了那里；造成它的无穷大出现得更早",
            ),
            Hint(
                lambda got: got in (_sick("fp32"), _sick("fp32", 5)),
                "{got} is where the run in float32 fails; trace the one in fp16",
                "{got} 是 float32 那次运行出事的地方；要追踪的是 fp16 那次",
            ),
            Hint(
                lambda got: got in ("7", "9", "10", "11"),
                "not {got}: look where it began, at the path of t.verdict()",
                "不是 {got}：看它从哪里开始，即 t.verdict() 的 path",
            ),
            Hint(
                lambda got: got in ("linear", "forward", "overflow") or not got.isdigit(),
                "{got} is not the name of a module: these are called 0 to 12",
                "{got} 不是模块的名字：模块叫 0 到 12",
            ),
        ],
    ),
]
