"""Positions made in half: of 4,096 only 3,073 differ, and a causal mask made of them shows the future."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def counted(p):
    visible = np.asarray(p[None, :] <= p[:, None])  # a causal mask
    leaks = int(visible.sum()) - 4096 * 4097 // 2
    return [np.unique(np.asarray(p)).size, leaks]


def run():
    return counted(hs.tensor(np.arange(4096)))


def fixed():
    return counted(np.arange(4096))


CASE = Case(
    id="B23",
    name="position-ids",
    link="https://github.com/pytorch/pytorch/issues/81926",
    year=2022,
    layer="Position ids, causal mask",
    seen="wrong numbers",
    klass="integer rounding",
    op="tensor",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda value: list(flat(value)) == [3073, 1534],
    right=[4096.0, 0.0],
    fixed=fixed,
    advice="integers",
    facts=lambda: {"edge": 2.0 ** (hs.float16.nmant + 1)},
    title="Position ids in half collide, and a causal mask leaks",
    title_zh="半精度的位置编号相撞，因果掩码泄漏未来",
    symptom="long sequences get worse from position two thousand on; a language model sees the future",
    symptom_zh="序列从两千多的位置起变差；语言模型看到了未来",
    message="torch.arange half precision wrong values; position_ids fp16",
    why="Above {edge:,.0f} float16 has no odd numbers. Of {reference[0]:,.0f} positions {observed[0]:,.0f} are "
    "different, and where two are equal a mask that compares them with `<=` lets a token see a later one: "
    "{observed[1]:,.0f} times. Positions are integers and stay integers; only what is computed from them is rounded.",
    why_zh="大于 {edge:,.0f} 的 float16 没有奇数。{reference[0]:,.0f} 个位置里只有 {observed[0]:,.0f} 个不同，凡是两个"
    "编号相等的地方，用 `<=` 比较的掩码就会让一个 token 看到后面的 token，一共 {observed[1]:,.0f} 处。位置是整数，应当"
    "一直是整数；只有由它算出来的东西才可以舍入。",
)
