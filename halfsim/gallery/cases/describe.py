"""describe() of a table: mean and standard deviation of a thousand harmless numbers are infinite.

The mean alone needs @sum and @div in float32; the squares pass 65,504 too, which shows only once the mean is right, so
the deviation needs @pow and @sqrt besides.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor(1.2345678 * np.arange(1000))
    mean = x.sum() / 1000
    return [mean, (((mean - x) ** 2).sum() / 999).sqrt()]


x = 1.2345678 * np.arange(1000)

CASE = Case(
    id="N14",
    name="describe",
    link="https://github.com/pandas-dev/pandas/issues/48757",
    year=2022,
    layer="mean, std of a table (pandas)",
    seen="infinity",
    klass="overflow",
    op="sum",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda v: bool(np.isposinf(flat(v)).all()),
    right=[x.mean(), x.std(ddof=1)],
    facts=lambda: {"sum": x.sum(), "square": ((x - x.mean()) ** 2).max()},
    title="describe() says inf for the mean of a thousand harmless numbers",
    title_zh="一千个普通的数，describe() 说均值是 inf",
    symptom="describe() of a float16 table shows inf for mean and std",
    symptom_zh="float16 表格的 describe() 显示均值和标准差为 inf",
    message="pandas describe float16 inf mean std",
    why="The sum is {sum:,.0f}, past {fp16.max:,.0f}, though the mean is {reference[0]:.1f}. Behind it a second "
    "overflow waits, which shows only once the mean is right: the largest square is {square:,.0f}. To mend the mean "
    "alone is not enough; sum, division, squares and root belong in float32 together, and then the deviation is "
    "{fixed[1]:.1f}.",
    why_zh="和是 {sum:,.0f}，超过 {fp16.max:,.0f}，而均值不过 {reference[0]:.1f}。它后面还藏着第二处上溢，均值对了才会"
    "显现：最大的平方是 {square:,.0f}。只救均值还不够；求和、除法、平方、开方要一起放进 float32，标准差才是 "
    "{fixed[1]:.1f}。",
)
