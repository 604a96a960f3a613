"""bfloat16 alone can train: where 16-bit weights lose their updates, and two remedies that keep them (2010.06192).

All that is 16-bit here is a tensor of bfloat16: weights, gradients, the optimizer's state, what layers give to one
another; each operation computes in float32 and rounds its result once, as a 16-bit unit with a wide accumulator does.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import partial

import numpy as np

from halfsim import optim
from halfsim.autograd.making import tensor
from halfsim.gallery.literature.result import Claim, Paper
from halfsim.gallery.literature.tasks import FLOAT32, KAHAN, MASTER, NEAREST, STOCHASTIC, TASKS, Setting, scores
from halfsim.gallery.said import Said
from halfsim.numerics.neighbours import ulp
from halfsim.numerics.quantize import Array

PAPER = Paper(
    "bfloat16",
    Said(
        "bfloat16 alone can train, if updates are not rounded to nearest", "只用 bfloat16 也能训练，只要更新不就近舍入"
    ),
    "Revisiting BFloat16 Training",
    "Zamirai et al.",
    2020,
    "https://arxiv.org/abs/2010.06192",
    Said(
        "Can a network be trained whose weights exist in 16 bits only, as well as in float32?",
        "权重只有 16 位，能训练得和 float32 一样好吗？",
    ),
)
SEEDS = 5
SAME = 0.2  # points: what counts as equal to float32

# ---- one weight -----------------------------------------------------------------------------------------------------

UPDATE, UPDATES = 0.0008, 1000  # from 1 on, where half an ulp of bfloat16 is 0.0039


def thousand_updates(setting: Setting, seed: int = 0, copies: int = 1) -> Array:
    """Where weights of 1 are after a thousand updates by 0.0008 each, in float64."""
    w = tensor(np.ones(copies, np.float32), setting.format).requires_grad_()
    optimizer = setting.optimizer(partial(optim.SGD, lr=UPDATE, maximize=True), [w], seed)
    with setting.unit():
        for _ in range(UPDATES):
            optimizer.zero_grad()
            w.sum().backward()
            optimizer.step()
    return w.array.astype(np.float64)


def _one_weight(seeds: int, copies: int) -> list[Claim]:
    step, exact = float(ulp(1.0, "bf16")), 1 + UPDATES * Fraction(UPDATE)
    nearest, kahan = (Fraction(float(thousand_updates(setting)[0])) for setting in (NEAREST, KAHAN))
    off = []
    for seed in range(seeds):
        ends = thousand_updates(STOCHASTIC, seed, copies)
        off.append(float((ends.mean() - float(exact)) / (ends.std(ddof=1) / copies**0.5)))
    half = Said("arithmetic: half an ulp at 1 is 0.0039", "由算术：1 处的半个 ulp 是 0.0039")
    ulps = Said("arithmetic: what is kept is at most half an ulp", "由算术：留存的部分至多半个 ulp")
    fair = Said("arithmetic: unbiased", "由算术：无偏")
    return [
        Claim(
            Said("a weight of 1 after 1000 updates by 0.0008, rounded to nearest: how far it came, of 0.8", "权重 1 更新 1000 次，每次 0.0008，就近舍入：走了多远（应为 0.8）"),
            (float(nearest - 1),), 0, 0, None, half,
        ),
        Claim(
            Said("the same with Kahan's compensation: error, in ulp", "同上，Kahan 补偿：误差，以 ulp 计"),
            (float(abs(kahan - exact)) / step,), 0, 1, None, ulps,
        ),
        Claim(
            Said("the same, stochastic: error of the mean of many, in its standard errors", "同上，随机舍入：许多个权重均值的误差，以其标准误差计"),
            tuple(off), -4, 4, None, fair,
        ),
    ]  # fmt: skip


# ---- least squares --------------------------------------------------------------------------------------------------


def least_squares(setting: Setting, rate: float, steps: int, seed: int = 0) -> Array:
    """How far weights are from the best ones in the end, in ulp: least squares whose every number but them is exact.

    Weights start at the bfloat16 below 2, the best ones are between 1 and 1.25: a difference of two of them, and
    ``rate``, a power of two, times it, is in bfloat16. So only the update itself is rounded.
    """
    start, step = 2 - 2.0**-7, float(ulp(1.0, "bf16"))
    best = 1 + np.arange(33, dtype=np.float32) * step
    w = tensor(np.full(best.shape, start, np.float32), setting.format).requires_grad_()
    target = tensor(best, setting.format)
    optimizer = setting.optimizer(partial(optim.SGD, lr=rate), [w], seed)
    with setting.unit():
        for _ in range(steps):
            optimizer.zero_grad()
            apart = w - target
            (apart * apart / 2).sum().backward()
            optimizer.step()
    return (w.array.astype(np.float64) - best) / step


def _least_squares(seeds: int, rate: float, steps: int) -> list[Claim]:
    nearest, slower = (np.abs(least_squares(NEAREST, r, steps)).mean() for r in (rate, rate / 2))
    chance = [float(np.abs(least_squares(STOCHASTIC, rate, steps, seed)).max()) for seed in range(seeds)]
    kahan = float(np.abs(least_squares(KAHAN, rate, steps)).max())
    bound = Said(
        "arithmetic: nearer than half an ulp / rate all updates are lost; the last step was one ulp",
        "由算术：距离小于半个 ulp 除以学习率时，更新全部丢失；最后一步是一个 ulp",
    )
    zero = Said(
        "arithmetic: only where the gradient is zero is nothing left to move", "由算术：只有梯度为零处才不再移动"
    )
    return [
        Claim(
            Said("least squares, nearest: the distance at which weights stop, times the rate, in half ulps", "最小二乘，就近舍入：权重停下时的距离乘以学习率，以半个 ulp 计"),
            (float(nearest * rate * 2),), 1 - 2 * rate, 1, None, bound,
        ),
        Claim(
            Said("the same: how many times as far at half the rate", "同上：学习率减半，距离变为几倍"),
            (float(slower / nearest),), 1.8, 2.2, None, Said("arithmetic: 2, the distance goes as 1 / rate", "由算术：2，距离与学习率成反比"),
        ),
        Claim(
            Said("the same, stochastic: the largest distance in the end, in ulp", "同上，随机舍入：最后的最大距离，以 ulp 计"),
            tuple(chance), 0, 0, None, zero,
        ),
        Claim(
            Said("the same, Kahan: the largest distance in the end, in ulp", "同上，Kahan：最后的最大距离，以 ulp 计"),
            (kahan,), 0, 0, None, Said("arithmetic: nothing is lost", "由算术：什么也没有丢"),
        ),
    ]  # fmt: skip


# ---- what is claimed ------------------------------------------------------------------------------------------------

_WAYS = (
    (Said("to nearest", "就近舍入"), NEAREST, (-100.0, -SAME)),
    (Said("stochastic", "随机舍入"), STOCHASTIC, (-SAME, SAME)),
    (Said("Kahan", "Kahan 补偿"), KAHAN, (-SAME, SAME)),
)
_MASTERED = 5  # the task where weights are kept in float32 too, all else in bfloat16


def _above(words: Said, name: Said, range_: tuple[float, float], values: Iterable[float]) -> Claim:
    """By how many points a score is above that of float32, run by run, to 2^-10: then differences cancel exactly."""
    said = Said(f"{words.en}: {name.en}, points above float32", f"{words.zh}：{name.zh}，比 float32 高的百分点")
    lost = range_[1] < 0
    where = Said("loses updates", "丢失更新") if lost else Said("like float32", "与 float32 相当")
    return Claim(said, tuple(round(float(x) * 1024) / 1024 for x in values), *range_, None, where)


def _extremes(means: Array) -> list[Claim]:
    """The paper's numbers: the task that is worst, and best, and the one that gains most; ``means`` by task and way."""
    both = Said("abstract, of both remedies", "摘要，两种办法")
    worst, best = float(means[:, 2].min()), float(means[:, 2].max())
    gain = float((means[:, 1:].max(1) - means[:, 0]).max())
    return [
        Claim(
            Said("the lowest of the seven with Kahan: points above float32", "七项中 Kahan 最低的一项：比 float32 高的百分点"),
            (worst,), -SAME, SAME, -0.1, both,
        ),
        Claim(
            Said("the highest of the seven with Kahan: points above float32", "七项中 Kahan 最高的一项：比 float32 高的百分点"),
            (best,), -SAME, SAME, 0.2, both,
        ),
        Claim(
            Said("the most that the better remedy gains over rounding to nearest: points", "两种办法中较好的一种，比就近舍入最多多得：百分点"),
            (gain,), 7, 100, None, Said("abstract: up to 7, in large networks", "摘要：在大网络中最多 7"),
        ),
    ]  # fmt: skip


def _learned(seeds: int, small: bool) -> list[Claim]:
    """The seven tasks: first over all, then each."""
    each, above, own = [], [], []
    for i, task in enumerate(TASKS):
        settings = [FLOAT32, *(setting for _, setting, _ in _WAYS), *([MASTER] if i == _MASTERED else [])]
        table = np.array([scores(task, settings, seed, small) for seed in range(seeds)])
        wide, off = table[:, 0], table[:, 1:] - table[:, :1]
        level = f"{wide.mean():.1f}"
        words = Said(f"{task.words.en} (float32: {level})", f"{task.words.zh}（float32：{level}）")
        each += [_above(words, name, span, off[:, k]) for k, (name, _, span) in enumerate(_WAYS)]
        if i == _MASTERED:
            name = Said("float32 weights, all else bfloat16", "权重为 float32，其余为 bfloat16")
            own.append(_above(words, name, (-SAME, SAME), off[:, 3]))
        above.append(off[:, :3])
    stacked = np.array(above)  # by task, seed and way
    words = Said("mean of seven tasks", "七项任务的均值")
    whole = [_above(words, name, span, stacked[:, :, k].mean(0)) for k, (name, _, span) in enumerate(_WAYS)]
    return [*whole, *_extremes(stacked.mean(1)), *each, *own]


def _outside(claim: Claim) -> Said:
    """That a claim is not reproduced, and how far it is from zero by its own spread."""
    told = f"{claim.value:.2f}"
    if claim.spread:
        errors = abs(claim.value) / claim.spread * len(claim.values) ** 0.5
        return Said(
            f"Outside of its range: {claim.words.en}; {told}, {errors:.1f} standard errors from zero.",
            f"不在范围内：{claim.words.zh}；{told}，与零相差 {errors:.1f} 个标准误差。",
        )
    return Said(f"Outside of its range: {claim.words.en}; {told}.", f"不在范围内：{claim.words.zh}；{told}。")


def measure(seeds: int, small: bool = False) -> tuple[list[Claim], list[Said]]:
    """The claims with our values, one per seed, and sentences on what does not reproduce or is not shown."""
    learned = _learned(seeds, small)
    theory = [*_one_weight(seeds, 50 if small else 1000), *_least_squares(seeds, 2.0**-4, 300 if small else 500)]
    each = len(_WAYS) * len(TASKS)
    chance, kahan = (max(2 * c.spread / seeds**0.5 for c in learned[6 + k : 6 + each : 3]) for k in (1, 2))
    return [*learned, *theory], [
        *(_outside(claim) for claim in learned if not claim.reproduced),
        Said(
            f"So few runs hardly resolve 0.2 points: twice the standard error of a task is up to {kahan:.2f} with Kahan, "
            f"and up to {chance:.2f} with stochastic rounding, which is right on average, not in each run.",
            f"这么少的运行勉强能分辨 0.2 个百分点：单项任务的两倍标准误差，Kahan 至多 {kahan:.2f}；"
            f"随机舍入只在平均意义上正确，单次运行不然，至多 {chance:.2f}。",
        ),
        Said(
            "The paper trains large models to the end. These tasks are small, and cut short at small rates on purpose, "
            "so that updates are lost: what nearest rounding costs here is no forecast for other networks.",
            "论文把大模型训练到底。这里的任务小，而且有意用小的学习率、提前停止，好让更新丢失：就近舍入在这里的代价，"
            "不能用来预言别的网络。",
        ),
    ]  # fmt: skip
