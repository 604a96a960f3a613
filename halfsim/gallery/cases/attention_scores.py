"""Attention scores overflow before they are divided by the root of the head's size; the largest q and k are the thread's."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    q, k, v = np.random.default_rng(6).normal(size=(3, 1, 5, 64))
    q[0, 0, 7], k[0, 3, 7] = 576.0, 382.75  # the largest of the thread
    q, k, v = hs.tensor(q), hs.tensor(k), hs.tensor(v)
    scores = q @ k.transpose(-2, -1) * 0.125
    return scores.softmax(-1) @ v


def right():
    q, k, v = np.random.default_rng(6).normal(size=(3, 1, 5, 64))
    q[0, 0, 7], k[0, 3, 7] = 576.0, 382.75
    s = q @ k.swapaxes(-2, -1) / 8
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


CASE = Case(
    id="B06",
    name="attention-scores",
    link="https://github.com/pytorch/pytorch/issues/119131",
    year=2024,
    layer="Attention, softmax",
    seen="NaN",
    klass="overflow",
    op="matmul",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[:64]).all()),
    right=right,
    facts=lambda: {"product": 576 * 382.75, "scaled": 576 * 382.75 / 8},
    title="Attention scores overflow before they are scaled",
    title_zh="注意力分数在缩放之前就上溢了",
    symptom="attention gives NaN for a few queries, in the composed (math) path only",
    symptom_zh="注意力对少数 query 输出 NaN，而且只在逐步计算（math）的实现里",
    message="scaled_dot_product_attention produces NaNs; attention scores inf fp16",
    why="One product of a query and a key is {product:,.0f}, past {fp16.max:,.0f}, and is stored as infinity before "
    "`* 0.125` can bring it down to {scaled:,.0f}, which would fit. The softmax subtracts the maximum, infinity "
    "from infinity, and the row is NaN. Scale a factor first, `(q * 0.125) @ k`, or keep the scores in float32.",
    why_zh="有一对 query 和 key 的乘积是 {product:,.0f}，超过 {fp16.max:,.0f}，在 `* 0.125` 把它降到装得下的 "
    "{scaled:,.0f} 之前，就已经存成了无穷大。softmax 要减去最大值，无穷大减无穷大，整行成了 NaN。先缩放一个因子，"
    "`(q * 0.125) @ k`，或者把分数留在 float32。",
)
