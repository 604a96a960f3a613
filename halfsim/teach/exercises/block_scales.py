"""Lesson 16: blocks that share a scale."""

from __future__ import annotations

import math

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_BLOCKS = [(7.5, 448.0), (7.0, 448.0), (7.0, 6.0), (6.0, 6.0), (4.0, 6.0), (0.1, 6.0), (1000.0, 448.0)]
_FORMATS = {448.0: "mxfp8_e4m3", 6.0: "mxfp4"}
_GRADIENT = np.array([-0.3] + 27 * [0.3 / 27])


def _scale(largest_number: float, largest_element: float, rule: str = "ceil") -> float:
    """The scale of a block of one number."""
    fmt = f"{_FORMATS[largest_element]}(rule={rule})"
    return float(hs.decode(hs.encode([largest_number], fmt).scales, "float8_e8m0fnu")[0])


EXERCISES = [
    Exercise(
        "scales by hand",
        lambda: [_scale(7.5, 448.0, "floor"), _scale(7.5, 448.0)],
        [
            Hint(
                lambda got: got.tolist() == [_scale(7.5, 448.0), _scale(7.5, 448.0, "floor")],
                "the right two numbers, the other way round: floor gives the smaller one",
                "两个数都对，顺序反了：floor 给出较小的那个",
            ),
            Hint(
                lambda got: got[0] == got[1] == _scale(7.5, 448.0, "floor") and {"scale": float(got[0])},
                "with a scale of {scale} the largest element stands for 448 * {scale} = 7, and 7.5 is clipped: ceil takes "
                "the next power of two",
                "缩放因子为 {scale} 时，最大的元素代表 448 * {scale} = 7，7.5 会饱和：ceil 取下一个 2 的幂",
            ),
            Hint(
                lambda got: got[0] == 4 / 448,
                "floor divides by the largest power of two up to the largest element, 256, not by 448: a scale is a power of two",
                "floor 除以不超过最大元素的 2 的幂，即 256，而不是 448：缩放因子是 2 的幂",
            ),
            Hint(
                lambda got: np.isclose(got, 7.5 / 448, rtol=1e-3).any() and {"quotient": 7.5 / 448},
                "7.5 / 448 is {quotient:.4f}, which lies between two powers of two; a scale is one of them",
                "7.5 / 448 是 {quotient:.4f}，夹在两个 2 的幂之间；缩放因子是其中之一",
            ),
        ],
    ),
    Exercise(
        "rule of the scale",
        _scale,
        [
            Hint(
                lambda got: got == [_scale(*case, rule="floor") for case in _BLOCKS],
                "yours is the rule floor: at 7.5 it gives {got}, and 7.5 / {got} is past 448",
                "你的是规则 floor：在 7.5 处得 {got}，而 7.5 / {got} 超过了 448",
            ),
            Hint(
                lambda got: np.allclose(got, [a / b for a, b in _BLOCKS], rtol=1e-6, atol=0),
                "yours is the quotient itself, {got:.6g}: round it up to a power of two",
                "你的是商本身 {got:.6g}：还要向上取到 2 的幂",
            ),
            Hint(
                lambda got: got == [2.0 ** (math.floor(math.log2(a / b)) + 1) for a, b in _BLOCKS],
                "the largest number 6 over the largest element 6 is 1, a power of two already; yours goes on to 2",
                "最大的数 6 除以最大元素 6 等于 1，已经是 2 的幂；你的却取到了 2",
            ),
            Hint(
                lambda got: got == [2.0 ** math.floor(math.log2(a / b)) for a, b in _BLOCKS],
                "yours rounds the quotient down: at 7.5 it gives {got}, and 7.5 / {got} is past 448",
                "你把商向下取了：在 7.5 处得 {got}，而 7.5 / {got} 超过了 448",
            ),
        ],
        cases=_BLOCKS,
        close=1e-9,
    ),
    Exercise(
        "blocks clipped",
        lambda: [1 - math.log2(1.75), 1 - math.log2(1.5)],
        [
            Hint(
                lambda got: np.allclose(got, [0.25, 0.5], atol=1e-6),
                "those are the shares if t were spread evenly; it is log2(t) that is: which part of 0 to 1 lies above "
                "log2(1.75)?",
                "那是 t 均匀分布时的比例；这里均匀的是 log2(t)：0 到 1 之间，大于 log2(1.75) 的是哪一段？",
            ),
            Hint(
                lambda got: np.allclose(got, [math.log2(1.75), math.log2(1.5)], atol=1e-3),
                "those are the blocks that are not clipped",
                "那是没有饱和的块",
            ),
            Hint(
                lambda got: np.allclose(got, [100 - 100 * math.log2(1.75), 100 - 100 * math.log2(1.5)], rtol=1e-2),
                "those are percents; shares of 1 are asked for",
                "那是百分数；这里要的是以 1 为整体的比例",
            ),
        ],
        close=5e-3,
    ),
    Exercise(
        "sum of a gradient",
        lambda: float(hs.round_to(_GRADIENT, "mxfp4").sum()),
        [
            Hint(
                lambda got: abs(got) < 1e-6,
                "that is the sum before rounding; round `gradient` first, then add",
                "那是舍入之前的和；先舍入 `gradient`，再求和",
            ),
            Hint(
                lambda got: got == 0.25,
                "the right size; the right letter's part is negative",
                "大小对了；正确字母那一项是负的",
            ),
            Hint(
                lambda got: (
                    got
                    in (
                        float(hs.round_to(_GRADIENT, "mxfp8_e4m3").sum()),
                        float(hs.round_to(_GRADIENT, "float4_e2m1fn").sum()),
                    )
                ),
                "{got:.4g} comes of another format; `mxfp4` is asked for, elements of four bits with a scale",
                "{got:.4g} 来自另一种格式；要的是 `mxfp4`，四位的元素加上缩放因子",
            ),
        ],
        close=1e-9,
    ),
]
