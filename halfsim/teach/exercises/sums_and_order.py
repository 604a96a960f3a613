"""Lesson 3: sums and their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.teach.exercise import Exercise, Hint

_STEPS = [(1.0,), (0.5,), (0.1,), (0.3,), (3.0,)]
_LISTS = [
    ([1.0, 2.0],),
    ([1.0] * 4096,),
    (hs.round_to(np.random.default_rng(19).lognormal(0, 1, 1024), "float16").tolist(),),
]


def _ceiling(step: float) -> float:
    """Where the running sum stands after many steps, added up."""
    with hs.precision("pure_fp16"):
        return float(hs.tensor(np.full(2**14, step), "fp16").sum())


def _rule(step: float, share: float = 0.5) -> float:
    p = 1.0
    while float(hs.ulp(p, "float16")) * share < step:
        p *= 2
    return p


def _summed(numbers: Sequence[float], order: str) -> float:
    with hs.precision(f"storage=fp16, compute=fp16, accumulate={order}"):
        return float(hs.tensor(numbers, "fp16").sum())


def _like(order: str) -> Any:
    """The results of a way of adding for every list."""
    return [_summed(*case, order) for case in _LISTS]


@cache
def _first_without_effect(format: str = "float16") -> int:
    total, n = 1.0, 2
    while (new := float(hs.round_to(total + float(hs.round_to(1 / n, format)), format))) > total:
        total, n = new, n + 1
    return n


EXERCISES = [
    Exercise(
        "by hand",
        lambda: [_summed([2048.0, 1.0, 1.0], "fp16:sequential"), _summed([1.0, 1.0, 2048.0], "fp16:sequential")],
        [
            Hint(
                lambda got: got.tolist() == [2050, 2050] and {"stop": 2048, "ulp": float(hs.ulp(2048.0, "float16"))},
                "your first sum moves on from {stop}: look at hs.ulp({stop}, 'float16') = {ulp}, so that + 1 is a tie",
                "你的第一个和越过了 {stop}：看 hs.ulp({stop}, 'float16') = {ulp}，所以 + 1 正好是一半",
            ),
            Hint(
                lambda got: got.tolist() == [2048, 2048],
                "1 + 1 = 2 comes first in the second sum, and 2 is a whole step at 2048",
                "第二个和里先算 1 + 1 = 2，而 2 在 2048 处是完整的一步",
            ),
            Hint(
                lambda got: got.tolist() == [2050, 2048],
                "the right two numbers, the other way round: from the left, 2048 + 1 comes first",
                "两个数都对，顺序反了：从左加起，先算 2048 + 1",
            ),
        ],
    ),
    Exercise(
        "ceiling",
        _ceiling,
        [
            Hint(
                lambda got: (
                    got == [_rule(*case, share=1.0) for case in _STEPS]
                    and {"stop": got[0], "ulp": float(hs.ulp(got[0], "float16"))}
                ),
                "for steps of 1 yours stops at {stop}, where hs.ulp({stop}, 'float16') = {ulp} and the step still moves the "
                "sum: half an ulp has to be as large as the step",
                "步长为 1 时你的停在 {stop}，可那里 hs.ulp({stop}, 'float16') = {ulp}，还推得动：要半个 ulp 与步长一样大才行",
            ),
            Hint(
                lambda got: got[:2] == [4096, 2048] and got[2:] == [_rule(*case) for case in _STEPS[2:]],
                "for steps of 1 yours stops at {got}; at 2048 the step is exactly half an ulp, a tie, and that stops it already",
                "步长为 1 时你的停在 {got}；在 2048 处步长正好是半个 ulp，打平，这就已经停下了",
            ),
            Hint(
                lambda got: len({*got}) == 1,
                "yours is {got} for every step; each step has a ceiling of its own",
                "你对每种步长都给出 {got}；每种步长有各自的上限",
            ),
        ],
        cases=_STEPS,
    ),
    Exercise(
        "in pairs",
        lambda numbers: _summed(numbers, "fp16:pairwise"),
        [
            Hint(
                lambda got: got == _like("fp16:sequential") and {"stop": got[1]},
                "your sum of 4096 ones stops at {stop}: look at hs.ulp({stop}, 'float16'); yours adds one after the other",
                "你对 4096 个 1 求和停在了 {stop}：看 hs.ulp({stop}, 'float16')；你是一个接一个加的",
            ),
            Hint(
                lambda got: np.allclose(got, [math.fsum(*case) for case in _LISTS], rtol=1e-12, atol=0),
                "yours is the exact sum, {got:.10g}: each addition of two halves has to be rounded to float16",
                "你的是精确的和 {got:.10g}：每次把两半相加都要舍入到 float16",
            ),
            Hint(
                lambda got: got == _like("exact"),
                "yours is rounded once, at the end, to {got}; each addition of two halves has to be rounded",
                "你的只在最后舍入了一次，得 {got}；每次把两半相加都要舍入",
            ),
        ],
        cases=_LISTS,
    ),
    Exercise(
        "a series that stops",
        _first_without_effect,
        [
            Hint(
                lambda got: got == _first_without_effect() - 1,
                "1/{got} still moves the sum; the next term is the first that does not",
                "1/{got} 还推得动；下一项才是第一个推不动的",
            ),
            Hint(
                lambda got: got == _first_without_effect("bfloat16"),
                "{got} is where bfloat16 stops; float16 has three bits more",
                "{got} 是 bfloat16 停下的地方；float16 多三位",
            ),
            Hint(
                lambda got: got > 1e5,
                "{got:.0f} terms: are the terms and the sums rounded to float16? In float32 it takes about two million",
                "{got:.0f} 项：各项与和都舍入到 float16 了吗？在 float32 里大约要两百万项",
            ),
            Hint(
                lambda got: got == 2048 and {"half": float(hs.ulp(7.0, "float16")) / 2},
                "2048 is where steps of 1 stop; here the steps get smaller, and the sum is near 7: half of "
                "hs.ulp(7, 'float16') is {half:.4g}",
                "2048 是步长为 1 时停下的地方；这里步长越来越小，和在 7 附近：hs.ulp(7, 'float16') 的一半是 {half:.4g}",
            ),
        ],
    ),
]
