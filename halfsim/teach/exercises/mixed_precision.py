"""Lesson 7: mixed precision."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_LARGEST = 0.041


def _highest() -> int:
    """The largest power of two by which the largest gradient may be multiplied."""
    return max(int(2**k) for k in range(40) if _LARGEST * 2**k <= hs.float16.max)


def _step(
    master: Any,
    gradient: Any,
    scale: float,
    lr: float,
    sign: int = -1,
    unscaled: bool = True,
    divided_in: Any = np.float32,
    kept_in: Any = np.float32,
    copied: str = "new",
) -> list[float]:
    wide = np.float32(divided_in(gradient) / divided_in(scale)) if unscaled else np.float32(gradient)
    new = np.float32(kept_in(np.float32(master) + np.float32(sign) * np.float32(lr) * wide))
    return [float(new), float(np.float16(new if copied == "new" else master))]


_STEPS = [
    (np.float32(m), np.float16(g), s, lr)
    for m, g, s, lr in (
        (1.0, 2.0, 1024.0, 0.125),
        (1.0001, 0.5, 16384.0, 0.25),
        (-0.3, 0.001, 2.0**15, 8.0),
        (0.1, 1000.0, 1.0, 0.0005),
    )
]


def _steps_like(got: Any, **wrong: Any) -> bool:
    """Whether a step gives for every case what one with a known error gives."""
    wanted = [_step(*case, **wrong) for case in _STEPS]
    return bool(np.allclose(np.array(got, np.float64).reshape(-1, 2), wanted, rtol=1e-7, atol=0.0))


def _next(
    scale: float,
    good: int,
    overflow: bool,
    interval: int,
    late: int = 0,
    fresh: bool = True,
    grown: bool = True,
    turned: bool = False,
) -> tuple[float, int]:
    up, down = (0.5, 2.0) if turned else (2.0, 0.5)
    if overflow:
        return scale * down, 0 if fresh else good
    if good + 1 == interval + late:
        return scale * up, 0 if grown else good + 1
    return scale, good + 1


_SCALES = [
    (1024.0, 3, False, 10),
    (1024.0, 9, False, 10),
    (1024.0, 5, True, 10),
    (1024.0, 10, True, 20),
    (8.0, 0, True, 2),
]


def _scales_like(got: Any, **wrong: Any) -> bool:
    return [tuple(np.ravel(x)) for x in got] == [_next(*case, **wrong) for case in _SCALES]


EXERCISES = [
    Exercise(
        "highest scale",
        _highest,
        [
            Hint(
                lambda got: got == 2 * _highest() and {"product": _LARGEST * got},
                "0.041 x {got} is {product:.0f}, past 65504",
                "0.041 x {got} 等于 {product:.0f}，超过 65504",
            ),
            Hint(
                lambda got: 0 < got < _highest() and np.log2(got) % 1 == 0 and {"product": _LARGEST * 2 * got},
                "{got} works, but twice that does too: the gradient is then {product:.6g}",
                "{got} 可以，但再大一倍也可以：梯度那时是 {product:.6g}",
            ),
            Hint(
                lambda got: got == np.log2(_highest()),
                "{got} is the exponent; give the power of two itself, as 2**{got}",
                "{got} 是指数；请写出这个 2 的幂本身，例如 2**{got}",
            ),
            Hint(
                lambda got: got > 0 and np.log2(got) % 1 != 0,
                "{got:.7g} is no power of two; other scales would change digits of the gradients",
                "{got:.7g} 不是 2 的幂；别的倍数会改变梯度的各位",
            ),
        ],
    ),
    Exercise(
        "skipped steps",
        lambda: 24 - 15,
        [
            Hint(
                lambda got: got == 2**9,
                "{got} is by how much the scale is too large; each skipped step halves it",
                "{got} 是缩放系数偏大的倍数；而每跳过一步减半一次",
            ),
            Hint(
                lambda got: got == 8,
                "after 8 halvings the scale is 2^16, and that still overflows",
                "减半 8 次之后缩放系数是 2^16，还会溢出",
            ),
            Hint(
                lambda got: got == 10,
                "the tenth step has the scale 2^15, and is taken",
                "第十步的缩放系数已经是 2^15，这一步不跳过",
            ),
            Hint(
                lambda got: got == 1,
                "one skipped step only halves the scale, to 2^23",
                "跳过一步只减半一次，到 2^23",
            ),
        ],
    ),
    Exercise(
        "clip after unscaling",
        lambda: 1.0,
        [
            Hint(
                lambda got: got == 1 / 512,
                "1/512 clips the scaled gradients: 512 is not their true norm. Divide by the scale first",
                "1/512 裁剪的是缩放过的梯度：512 不是真正的范数，要先除以缩放系数",
            ),
            Hint(
                lambda got: got == 2,
                "the true norm is 0.5, but 2 would make the gradient longer; clipping only shortens",
                "真正的范数是 0.5，但乘 2 会把梯度变长；裁剪只会缩短",
            ),
            Hint(
                lambda got: got in (1 / 1024, 512 / 1024),
                "{got} belongs to the scaling; the question is about what clipping does to the gradient that is already "
                "divided by 1024",
                "{got} 是缩放那一步的；这里问的是：已经除以 1024 的梯度，裁剪时再乘多少",
            ),
        ],
    ),
    Exercise(
        "master step",
        _step,
        [
            Hint(
                lambda got: _steps_like(got, sign=1),
                "you go uphill: the step is taken off the master",
                "方向反了，走成了上坡：更新要从 master 里减去",
            ),
            Hint(
                lambda got: _steps_like(got, unscaled=False),
                "the gradient is still multiplied by the loss scale: divide it by scale",
                "梯度还带着缩放系数：要除以 scale",
            ),
            Hint(
                lambda got: _steps_like(got, divided_in=np.float16),
                "you divide in half: 0.001 / 32768 is 3e-8, and half has only 6e-8 there. Widen first: np.float32(gradient)",
                "你在半精度里做了除法：0.001 / 32768 约为 3e-8，半精度在那里只有 6e-8。先转成 float32：np.float32(gradient)",
            ),
            Hint(
                lambda got: _steps_like(got, kept_in=np.float16),
                "your master is rounded to half; it must keep its float32 digits, only the copy is rounded",
                "你把 master 也舍入成了半精度；它要保留 float32 的各位，只有副本才舍入",
            ),
            Hint(
                lambda got: _steps_like(got, copied="old"),
                "your copy is made of the old master; make it after the step",
                "你的副本取自旧的 master；要在更新之后再取",
            ),
        ],
        close=1e-7,
        cases=_STEPS,
    ),
    Exercise(
        "next scale",
        _next,
        [
            Hint(
                lambda got: _scales_like(got, turned=True),
                "the wrong way round: after an overflow the scale must become smaller",
                "方向反了：溢出之后缩放系数应当变小",
            ),
            Hint(
                lambda got: _scales_like(got, late=1),
                "one step late: with good = 9 this good step is the tenth, and interval is 10",
                "晚了一步：good = 9 时，这一步是第十个顺利的步，而 interval 是 10",
            ),
            Hint(
                lambda got: _scales_like(got, fresh=False),
                "after an overflow the count begins anew: good must be 0",
                "溢出之后要重新数：good 应当是 0",
            ),
            Hint(
                lambda got: _scales_like(got, grown=False),
                "after doubling the count begins anew, or the scale would never double again",
                "加倍之后也要重新数，否则缩放系数再也不会加倍",
            ),
        ],
        cases=_SCALES,
    ),
]
