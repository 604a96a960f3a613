"""A probability of exactly 1 biases attention in blocks (Qiu and Yao 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.gallery.literature.result import Claim, Paper
from halfsim.gallery.said import Said
from halfsim.numerics.quantize import Array

PAPER = Paper(
    "flash",
    Said("A probability of exactly 1 biases attention in blocks", "恰好为 1 的概率使分块注意力产生偏差"),
    "Why Low-Precision Transformer Training Fails: An Analysis on Flash Attention",
    "Qiu and Yao",
    2025,
    "https://arxiv.org/abs/2510.04212",
    Said(
        "Why does the loss of a transformer explode after thousands of good steps when flash attention runs in bfloat16?",
        "为什么用 bfloat16 运行 flash attention 时，Transformer 在数千步正常训练之后损失会爆炸？",
    ),
)
SEEDS = 3

# Code made of tensors of 16 bits, whose products have accumulators in float32; and a kernel, which rounds once.
TENSORS = "storage={0}, compute={0}, accumulate=fp32:sequential"
KERNEL = "storage={0}, accumulate={1}"
_BETA, _BLOCK = 2.0, 512  # what the authors' code multiplies the maximum by, and its keys in a block


def error(
    seed: int,
    *,
    fmt: str = "bf16",
    rule: str = TENSORS,
    ones: int = 2,
    others: int = 62,
    depth: float = 14.0,
    top: float = 4.0,
    sign: float = -1.0,
    raise_ties: float | None = None,
    columns: int = 4000,
) -> float:
    """The mean error of one query's output, in ulp of the exact one: -0.25 where it is a quarter too negative.

    ``ones`` keys have the largest score ``top``, ``others`` have ``depth`` less; the values are ``sign`` times numbers
    drawn evenly from 1 to 2, so that all sums of two lie in one binade. Exact is softmax in float64 of the same bits.
    """
    draw = np.random.default_rng(seed)
    values = sign * hs.round_to(draw.uniform(1, 2, (ones + others, columns)), fmt)
    scores = hs.round_to(np.where(np.arange(ones + others) < ones, top, top - depth), fmt)[:, None]
    with hs.precision(rule.format(fmt)):
        found = hs.ops.flash_attention([[1.0]], scores, values, scale=1.0, block=_BLOCK, raise_ties=raise_ties)
    weights = np.exp(scores - scores.max())
    exact = (weights.T @ values / weights.sum())[0]
    return float(((found.numpy()[0] - exact) / hs.ulp(exact, fmt)).mean())


def remedied(seed: int, fmt: str = "bf16", several: int = 100, columns: int = 1000) -> float:
    """The mean of `error` with the remedy, over rows whose largest scores are drawn evenly from 1 to 8."""
    tops = np.random.default_rng(seed).uniform(1, 8, several)
    made: list[dict[str, Any]] = [
        {"top": float(hs.round_to(top, fmt)), "raise_ties": _BETA, "fmt": fmt} for top in tops
    ]
    return fmean(error(several * seed + i, columns=columns, **one) for i, one in enumerate(made))


@dataclass(frozen=True)
class Arm:
    """How attention is computed in a run; the rest of the layer is in float32."""

    rule: str
    raise_ties: float | None = None

    def attention(self, q: Any, k: Any, v: Any) -> hs.Tensor:
        """The output, in float32."""
        with hs.precision(self.rule):
            return hs.ops.flash_attention(q, k, v, raise_ties=self.raise_ties).to("fp32")


ARMS = {
    "float32": Arm("storage=fp32, accumulate=fp32:sequential"),
    "blocks": Arm(TENSORS.format("bf16")),
    "remedy": Arm(TENSORS.format("bf16"), _BETA),
    "kernel": Arm(KERNEL.format("bf16", "fp32:sequential")),
}


def _norm(weight: Any) -> float:
    """The largest singular value."""
    return float(np.linalg.svd(weight.numpy().astype(np.float64), compute_uv=False)[0])


def pulled(arm: Arm, seed: int, steps: int) -> float:
    """By how many percent the spectral norm of the queries' weights grows where all errors pull one way.

    Sixteen keys, each of which stands in a row of sixteen twice, so that two scores tie; values from -2 to -1, drawn
    anew each step; and a loss that asks the output for four fifths of what it can only be, so that its gradient has
    one sign. In exact arithmetic a tie gives the scores no gradient, and the weights stay.
    """
    draw = np.random.default_rng(seed)
    size = float((14 * 4) ** 0.5)  # squared and divided by sqrt(16) it is a score of 14, above others near 0
    weights = [
        hs.nn.Parameter(hs.tensor(size * (np.eye(16) + 0.0125 * draw.standard_normal((16, 16))), "fp32"))
        for _ in range(2)
    ]
    start, optimizer = _norm(weights[0]), hs.optim.SGD(weights, lr=1.0, momentum=0.9)
    for _ in range(steps):
        keys = np.tile(np.stack([draw.permutation(16)[:8] for _ in range(8)]), 2)
        values = -draw.uniform(1, 2, (8, 16, 32))
        goal = 0.4 * (values + np.roll(values, 8, 1))
        optimizer.zero_grad()
        found = arm.attention(weights[0][keys], weights[1][keys], hs.tensor(values, "fp32"))
        (0.5 * ((found - hs.tensor(goal, "fp32")) ** 2).sum(-1).mean()).backward()
        optimizer.step()
    return 100 * (_norm(weights[0]) / start - 1)


class Recall(hs.nn.Module):
    """One layer of attention: where a key stands twice, say the sum of the two digits that stand with it."""

    def __init__(self, keys: int = 32, digits: int = 5, width: int = 32) -> None:
        super().__init__()
        self.keys, self.digits = hs.nn.Embedding(keys, width), hs.nn.Embedding(digits, width)
        self.q, self.k, self.v = (hs.nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = hs.nn.Linear(width, 2 * digits - 1)

    def forward(self, keys: Array, digits: Array, arm: Arm) -> hs.Tensor:
        x, v = self.keys(keys), self.v(self.digits(digits))
        return self.out(arm.attention(self.q(x), self.k(x), -1 - hs.ops.sigmoid(v)))


def trained(arm: Arm, seed: int, steps: int) -> float:
    """The spectral norm of the queries' weights after training `Recall` by Adam; NaN if the loss became NaN."""
    hs.manual_seed(seed)
    draw, model = np.random.default_rng(seed), Recall()
    optimizer = hs.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        keys = np.tile(np.stack([draw.permutation(32)[:8] for _ in range(8)]), 2)
        digits = draw.integers(0, 5, (8, 16))
        optimizer.zero_grad()
        scores = model(keys, digits, arm)
        loss = hs.nn.functional.cross_entropy(scores.reshape(-1, 9), (digits + np.roll(digits, 8, 1)).reshape(-1))
        if not isfinite(loss.item()):
            return float("nan")
        loss.backward()
        optimizer.step()
    return _norm(model.q.weight)


_TIES = Said(
    "a quarter: half of the sums of two numbers of one format and binade are ties, and each goes half an ulp away from 0",
    "四分之一：同一格式、同一二进区间内两个数之和有一半是平局，每个平局都朝远离 0 的方向移动半个 ulp",
)
_BOTH_WAYS = Said(
    "hardly any ties, so rounding to nearest has hardly any direction", "几乎没有平局，就近舍入也就几乎没有方向"
)
_EXPLODES = Said("the paper's runs explode", "论文中的训练会爆炸")
_STAYS = Said("the paper's runs are stable", "论文中的训练保持稳定")


def _errors(seeds: int, small: bool) -> list[Claim]:
    """What one output is off by."""
    columns = 500 if small else 4000

    def mean(**options: Any) -> tuple[float, ...]:
        return tuple(error(seed, columns=columns, **options) for seed in range(seeds))

    many = [mean(depth=10.0, others=others) for others in (30, 62, 126, 254)]
    off = "mean error of the output, two probabilities of 1, the others e^-14, values from -2 to -1"
    aus = "输出的平均误差：两个概率恰为 1，其余为 e^-14，值在 -2 到 -1 之间"
    several, width = (4, 200) if small else (100, 1000)
    return [
        Claim(Said(f"{off}, bfloat16", f"{aus}，bfloat16"), mean(), -0.26, -0.22, -0.25, _TIES, "ulp"),
        Claim(
            Said("the same with values from 1 to 2", "同上，值在 1 到 2 之间"),
            mean(sign=1.0), 0.22, 0.26, 0.25, _TIES, "ulp",
        ),
        Claim(
            Said("the same in float16, values from -2 to -1", "同上，float16，值在 -2 到 -1 之间"),
            mean(fmt="fp16"), -0.26, -0.22, -0.25, _TIES, "ulp",
        ),
        Claim(
            Said("the same in bfloat16 with the remedy, over maxima from 1 to 8", "同上，bfloat16，采用补救办法，最大分数取 1 到 8"),
            tuple(remedied(seed, several=several, columns=width) for seed in range(seeds)),
            -0.013, 0.013, 0.0, _BOTH_WAYS, "ulp", 2,
        ),
        Claim(
            Said("the same with a single probability of 1", "同上，只有一个概率为 1"),
            mean(ones=1), -0.01, 0.01, 0.0,
            Said("the value itself is a number of the format", "这个值本身就是格式中的数"), "ulp", 2,
        ),
        Claim(
            Said("the same, two of 1, the others e^-18", "同上，两个为 1，其余为 e^-18"),
            mean(depth=18.0), -0.02, 0.02, 0.0,
            Said("the float32 accumulator loses them, and ties go to even", "float32 累加器丢掉了它们，平局舍入到偶数"), "ulp", 2,
        ),
        Claim(
            Said("two of 1, from 30 to 254 others of e^-10: the lowest mean error", "两个为 1，另有 30 到 254 个 e^-10：最低的平均误差"),
            tuple(map(min, zip(*many, strict=True))), -1.0, -0.26, None,
            Said("expected: errors of either sign, for the sum of the probabilities is rounded to 16 bits too", "预期：误差有正有负，因为概率之和也舍入到 16 位"), "ulp",
        ),
        Claim(
            Said("the highest of these", "其中最高的"),
            tuple(map(max, zip(*many, strict=True))), 0.1, 1.0, None,
            Said("expected: of either sign", "预期：有正有负"), "ulp",
        ),
        Claim(
            Said(
                "the first line again, in a kernel that keeps output and sum in float32, divides, and rounds once, its sums exact",
                "重复第一行，但算子把输出与概率之和留在 float32 中，先除，只舍入一次，求和精确",
            ),
            mean(rule=KERNEL.format("{0}", "exact")), -0.02, 0.02, None,
            Said("expected: 0, for the division comes before the rounding", "预期为 0，因为先除后舍入"), "ulp", 2,
        ),
    ]  # fmt: skip


def measure(seeds: int, small: bool = False) -> tuple[list[Claim], list[Said]]:
    """The claims with our values, one per seed, and what does not reproduce or is not shown."""
    steps, longer = (3, 3) if small else (120, 200)
    grown = {name: tuple(pulled(arm, seed, steps) for seed in range(seeds)) for name, arm in ARMS.items()}
    norms = {name: [trained(ARMS[name], seed, longer) for seed in range(seeds)] for name in list(ARMS)[:3]}
    ratio = tuple(a / b for a, b in zip(norms["blocks"], norms["float32"], strict=True))
    alive = tuple(float(isfinite(norm)) for norm in norms["remedy"])
    in_turn = fmean(error(seed, rule=KERNEL.format("{0}", "fp32:sequential")) for seed in range(2))
    grows = Said(
        "growth of the spectral norm of the queries' weights in {n} steps of SGD, errors all of one sign: blocks in bfloat16",
        "误差同号时，{n} 步 SGD 后查询权重谱范数的增长：bfloat16 分块",
    )
    claims = [
        *_errors(seeds, small),
        Claim(Said(*(words.format(n=steps) for words in grows)), grown["blocks"], 5.0, 100.0, None, _EXPLODES, "%"),
        Claim(
            Said("the same with the remedy", "同上，采用补救办法"), grown["remedy"], -2.0, 2.0, None, _STAYS, "%", 2
        ),
        Claim(
            Said("the same, attention in float32", "同上，float32 注意力"), grown["float32"], -0.5, 0.5, None,
            Said("expected: 0, a tie has no gradient", "预期为 0：平局没有梯度"), "%", 2,
        ),
        Claim(
            Said(
                f"a layer that learns to recall, {longer} steps of Adam: the norm in blocks over that in float32",
                f"学习回忆的一层，{longer} 步 Adam：分块时的范数与 float32 时之比",
            ),
            ratio, 1.05, 10.0, None, _EXPLODES,
        ),
        Claim(
            Said("the same with the remedy: share of runs without NaN", "同上，采用补救办法：没有出现 NaN 的运行比例"),
            alive, 1.0, 1.0, 1.0, _STAYS, digits=2,
        ),
    ]  # fmt: skip
    return claims, _not_shown(fmean(grown["kernel"]), in_turn)


def _not_shown(kernel: float, in_turn: float) -> list[Said]:
    return [
        Said(
            "The paper trains GPT-2 on text until its loss explodes. Here no loss explodes: where values and gradients "
            "have one sign by construction, the weights grow, until the other probabilities fall below what the "
            "accumulator holds beside the sum; then the error ends, and so does the growth. How much is growth, and how "
            "much is none, was settled after a first look at such runs, as were the ranges of some errors.",
            "论文在文本上训练 GPT-2，直到损失爆炸。这里没有损失爆炸：在人为使值与梯度同号的设置下，权重会增长，"
            "直到其余概率小到累加器在和旁边保留不住；此后误差消失，增长也随之停止。多大算增长、多大算没有，"
            "是先看过几次这样的运行之后定下的，部分误差的范围也是如此。",
        ),
        Said(
            "In the layer that learns to recall, with values and gradients as they come, bfloat16 makes the weights "
            "wander, but they do not grow in every run. The remedy makes it worse: a raised maximum gives both "
            "probabilities of a tie the same rounding error, and doubles a number that the backward pass rounds. The "
            "true gradient of a tie is 0, so Adam takes whole steps along the error; where the maximum passes 92 every "
            "probability is 0, and the result of that query NaN.",
            "在学习回忆的那一层里，值与梯度任其自然，bfloat16 使权重游走，但并非每次运行都增长。补救办法反而更糟："
            "抬高最大值使平局的两个概率带有相同的舍入误差，并使反向传播要舍入的一个数加倍。平局的真实梯度为 0，"
            "于是 Adam 沿着误差迈出完整的步子；一旦最大值超过 92，概率全为 0，这个查询的结果就成为 NaN。",
        ),
        Said(
            "The bias belongs to code that rounds the output before dividing it, as the authors' does. A kernel that "
            "divides first has none if its sums are exact; adding the probabilities one by one in float32, the ones first, "
            f"it loses part of the others, and has {in_turn:.2f} ulp. In the run with one sign its weights shrink, by "
            f"{-kernel:.1f} %: its ties go towards the mean of the other values, which is a direction too.",
            "这种偏差属于先舍入输出、后做除法的代码，作者的代码正是如此。先做除法的算子在求和精确时没有偏差；"
            f"若在 float32 中逐个累加概率且两个 1 在前，其余概率会丢失一部分，偏差为 {in_turn:.2f} ulp。在误差同号的训练中"
            f"它的权重缩小了 {-kernel:.1f} %：平局偏向其他值的平均，这也是一个方向。",
        ),
    ]
