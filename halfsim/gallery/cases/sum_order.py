"""One column of ones, two answers: added up one after another it stops at 2048, pairwise it is 3000.

NumPy adds rows one by one and a contiguous column pairwise. Swamping is true as well: from 2048 on each 1 is lost.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    a = hs.tensor(np.ones((3000, 4)))
    down = a.sum(axis=0)[0]
    with hs.precision("storage=fp16, compute=fp16, accumulate=fp16:pairwise"):
        return [down, a[:, 0].sum()]


CASE = Case(
    id="B19",
    name="sum-order",
    link="https://github.com/numpy/numpy/issues/15785",
    year=2020,
    layer="sum",
    seen="wrong numbers",
    klass="accumulation order",
    op="sum",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda sums: list(flat(sums)) == [2048, 3000],
    right=[3000.0, 3000.0],
    facts=lambda: {"gap": float(hs.spacing(2048.0, "float16"))},
    title="The order of a sum decides between 2048 and 3000",
    title_zh="求和的次序决定是 2048 还是 3000",
    symptom="the same float16 column has two sums, along axis 0 and by itself",
    symptom_zh="同一列 float16 数有两个和：沿 axis 0 求和与单独求和不同",
    message="float16 sum axis=0 wrong; np.sum float16 different results",
    why="Along axis `0` NumPy adds row after row. At {observed[0]:,.0f} the numbers of float16 lie {gap:g} apart, "
    "and one more is rounded away: the sum stops there. The contiguous column is added pairwise, with sums "
    "kept in float32 on the way, and comes to {observed[1]:,.0f}, which is right. Addition of floats is not associative.",
    why_zh="沿 axis `0`，NumPy 一行一行地加。到 {observed[0]:,.0f} 时 float16 的数间隔是 {gap:g}，再加一就被舍掉，和"
    "停在那里。连续存放的一列则是两两相加，中途的和存成 float32，得到正确的 {observed[1]:,.0f}。浮点加法不满足结合律。",
)
