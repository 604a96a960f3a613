"""Lesson 8: lost updates."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_STEP = 0.0001


def _limit() -> float:
    """The largest power of two below which a step is more than half the distance of neighbours."""
    return max(2.0**k for k in range(-12, 5) if float(hs.ulp(0.99 * 2.0**k, "float16")) / 2 < _STEP)


def _kahan(weight: np.float16, rest: np.float16, step: np.float16, sign: int = 1, carried: bool = True) -> list[float]:
    wanted = np.float16(rest + step) if carried else step
    new = np.float16(weight + wanted)
    left = np.float16(wanted - np.float16(new - weight))
    return [float(new), float(np.float16(sign * left))]


_CASES = [
    tuple(np.float16(x) for x in case)
    for case in ((1, 0, 1e-4), (1, 4e-4, 1e-4), (2048, 0, 0.75), (2048, 0.75, 0.75), (0.5, -1e-4, 3e-3), (1, 0, 0))
]


def _like(got: list[object], **wrong: bool | int) -> bool:
    """Whether a step gives for every case what one with a known error gives."""
    return [list(np.ravel(x)) for x in got] == [_kahan(*case, **wrong) for case in _CASES]  # type: ignore[arg-type, call-overload]


EXERCISES = [
    Exercise(
        "swallowed step",
        lambda: float(hs.spacing(1.0, "float16")) / 2,
        [
            Hint(
                lambda got: got == 2.0**-10,
                "{got} is the whole distance, so it reaches the neighbour; the largest step that is lost is half as large",
                "{got} 是整个间距，正好走到相邻的数；会丢掉的最大一步只有它的一半",
            ),
            Hint(
                lambda got: got == 2.0**-12,
                "{got} is half the distance below 1; the step is added, and above 1 the distance is 2^-10",
                "{got} 是 1 以下间距的一半；这里是加上去，1 以上的间距是 2^-10",
            ),
            Hint(
                lambda got: 0 < got <= 2.0**-24,
                "{got} is about the smallest float16; compare the step with the distance at 1: hs.spacing(1.0)",
                "{got} 差不多是最小的 float16；要和 1 处的间距比：看 hs.spacing(1.0)",
            ),
            Hint(
                lambda got: {"moved": float(np.float16(1 + got))} if 2.0**-11 * 1.005 < got < 2.0**-10 else False,
                "not swallowed: 1 + {got} becomes {moved}",
                "这一步没有丢：1 + {got} 变成了 {moved}",
            ),
            Hint(
                lambda got: np.isclose(got, 2.0**-11, rtol=5e-3, atol=0),
                "{got} is a rounded figure: write it exactly, as a power of two",
                "{got} 是约数：请准确地写成 2 的幂",
            ),
            Hint(
                lambda got: 2.0**-24 < got < 2.0**-11,
                "{got} is swallowed, but a larger step is too: at a tie the neighbour whose last bit is 0 wins, and that is 1",
                "{got} 会丢，但更大的一步也会丢：正好一半时，1 的末位是 0",
            ),
        ],
    ),
    Exercise(
        "moving weights",
        _limit,
        [
            Hint(
                lambda got: got >= 2 * _limit() and {"half": float(hs.ulp(0.99 * got, "float16")) / 2},
                "just below {got} half the distance is {half:.3g}, more than the step",
                "略小于 {got} 处，间距的一半是 {half:.3g}，比这一步大",
            ),
            Hint(
                lambda got: got > 0 and np.log2(got) % 1 != 0,
                "{got} is no power of two; the distance changes only at powers of two",
                "{got} 不是 2 的幂；间距只在 2 的幂处改变",
            ),
            Hint(
                lambda got: 0 < got < _limit() and {"half": float(hs.ulp(got, "float16")) / 2, "next": 2 * got},
                "from {got} to {next} half the distance is {half:.3g}, less than the step: these weights move too",
                "从 {got} 到 {next}，间距的一半是 {half:.3g}，比这一步小：这些权重也会动",
            ),
        ],
    ),
    Exercise(
        "chance to move",
        lambda: _STEP / float(hs.spacing(1.0, "float16")),
        [
            Hint(
                lambda got: np.isclose(got, _STEP / 2.0**-11, rtol=1e-2),
                "{got:.4f} is the step over 2^-11; above 1 the distance is 2^-10",
                "{got:.4f} 是这一步除以 2^-11；1 以上的间距是 2^-10",
            ),
            Hint(
                lambda got: np.isclose(got, 1 - _STEP / 2.0**-10, rtol=1e-2),
                "{got:.4f} is the probability that it stays",
                "{got:.4f} 是它不动的概率",
            ),
            Hint(
                lambda got: np.isclose(got, 100 * _STEP / 2.0**-10, rtol=1e-2),
                "{got:.4g} is in percent; give a probability from 0 to 1",
                "{got:.4g} 是百分数；请给 0 到 1 的概率",
            ),
            Hint(
                lambda got: got in (0.0, 0.5),
                "not {got}: the probability is proportional to the way gone, the step over the distance",
                "不是 {got}：概率和走过的路成正比，即这一步除以间距",
            ),
            Hint(
                lambda got: np.isclose(got, _STEP / 2.0**-10, rtol=0.05),
                "{got:.4g} is close; give it to three digits, by dividing",
                "{got:.4g} 已经接近；请用除法算到三位数字",
            ),
        ],
        close=0.01,
    ),
    Exercise(
        "kahan step",
        _kahan,
        [
            Hint(
                lambda got: _like(got, sign=-1),
                "the rest has the wrong sign: it is what was wanted minus what the weight really moved",
                "余量的符号反了：它是想走的减去实际走的",
            ),
            Hint(
                lambda got: _like(got, carried=False),
                "the rest of earlier steps is not added: the step wanted is rest + step",
                "以前的余量没有加上：想走的一步是 rest + step",
            ),
            Hint(
                lambda got: all(np.ravel(x)[1] == 0 for x in got),
                "your rest is always 0: it is what the sum could not hold, wanted - (new - weight)",
                "你的余量总是 0：它是和装不下的部分，wanted - (new - weight)",
            ),
            Hint(
                lambda got: (
                    [list(np.ravel(x))[::-1] for x in got] == [_kahan(w, rest, step) for w, rest, step in _CASES]
                ),
                "the right two numbers, the other way round: the new weight comes first",
                "两个数都对，次序反了：先返回新的权重",
            ),
            Hint(
                lambda got: (
                    [[x[0], -x[1]] for x in got] == [_kahan(w, np.float16(-rest), step) for w, rest, step in _CASES]
                ),
                "that is Kahan's formula with a rest of the other sign, to be subtracted; here the rest is to be added",
                "这是余量符号相反的 Kahan 公式，余量要减；这里的余量要加",
            ),
        ],
        cases=_CASES,
    ),
    Exercise(
        "bytes of adam",
        lambda: hs.float16.itemsize + 3 * hs.float32.itemsize,
        [
            Hint(
                lambda got: got == 12,
                "12 are the three in float32; the float16 weights of the forward pass come on top",
                "12 是三份 float32；前向用的 float16 权重还要加上",
            ),
            Hint(
                lambda got: got == 16,
                "16 is with a float16 gradient; leave the gradients out",
                "16 里有 float16 的梯度；梯度不算",
            ),
            Hint(
                lambda got: got in (6, 8, 10),
                "{got}: count again - the weight in float16, the same in float32, and two averages of 4 bytes each",
                "{got}：再数一遍：float16 的权重、float32 的权重，还有两个各 4 字节的平均值",
            ),
            Hint(lambda got: got == 112, "112 are bits", "112 是位数，不是字节数"),
        ],
    ),
]
