"""Rotary angles are a matrix product, which autocast computes in bfloat16: of 8,192 positions 897 are left."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    inv_freq = hs.tensor(10000.0 ** (-np.arange(0, 8, 2) / 8))
    positions = hs.tensor(np.arange(8192))  # float32, as under autocast
    freqs = inv_freq[:, None] @ positions[None, :]
    return freqs.cos()


def right():
    return np.cos(10000.0 ** (-np.arange(0, 8, 2)[:, None] / 8) * np.arange(8192))


CASE = Case(
    id="B26",
    name="rope-positions",
    link="https://github.com/huggingface/transformers/pull/29285",
    year=2024,
    layer="Rotary embedding (RoPE)",
    seen="wrong numbers",
    klass="integer rounding",
    op="matmul",
    phase="forward",
    precision="amp_bf16",
    run=run,
    broken=lambda cos: bool(np.unique(flat(cos)[:8192]).size <= 897 and abs(flat(cos) - right().ravel()).max() > 1.9),
    right=right,
    facts=lambda: {"all": 8192, "left_over": np.unique(hs.round_to(np.arange(8192.0), "bfloat16")).size},
    title="Rotary positions collapse under a bfloat16 autocast",
    title_zh="在 bfloat16 的 autocast 下，旋转位置编码坍缩",
    symptom="long contexts get worse under autocast, although the positions are float32",
    symptom_zh="用 autocast 时长上下文变差，尽管位置是 float32",
    message="RoPE loses precision bfloat16 autocast inv_freq @ position_ids",
    why="The angles are written as a matrix product, and autocast casts the operands of matrix products to "
    "bfloat16, the positions too. Of {all:,} positions {left_over:,} are left. The angle is off by whole turns, so "
    "the cosines are not a little wrong but arbitrary: the error is {off:.2g} of their norm.",
    why_zh="角度写成了矩阵乘法，而 autocast 会把矩阵乘法的操作数转成 bfloat16，位置也不例外。{all:,} 个位置只剩下 "
    "{left_over:,} 个。角度差出了整圈，余弦不是略有偏差，而是任意的：误差是其范数的 {off:.2g}。",
)
