"""A loop that counts in half never ends: 2048 + 1 is 2048. The cap of 1200 is ours, it stands for a hang."""

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x, n = hs.tensor(2040.0), 0
    while float(x) < 3000 and n < 1200:
        x, n = x + 1, n + 1
    return [n, x]


CASE = Case(
    id="B24",
    name="arange-loop",
    link="https://github.com/pytorch/xla/issues/6089",
    year=2023,
    layer="arange",
    seen="no change",
    klass="swamping",
    op="add",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda value: list(flat(value)) == [1200, 2048],
    right=[960.0, 3000.0],
    facts=lambda: {"gap": float(hs.spacing(2048.0, "float16"))},
    title="A loop that counts in half never ends",
    title_zh="用半精度计数的循环永远不结束",
    symptom="arange in half hangs, or a loop over a float counter never ends",
    symptom_zh="半精度的 arange 卡死，用浮点数计数的循环不结束",
    message="torch.arange hangs on half; infinite loop float16 x += 1",
    why="At {observed[1]:,.0f} the numbers of float16 lie {gap:g} apart. One more is half of that, the tie goes to "
    "the even neighbour, and x stays where it is for ever: the cap ended the loop after {observed[0]:,.0f} rounds, "
    "where {reference[0]:.0f} are enough. Count in integers.",
    why_zh="到 {observed[1]:,.0f} 时 float16 的数间隔是 {gap:g}。加一正好是一半，平局舍入到偶数，x 永远停在原处：是"
    "上限让循环在 {observed[0]:,.0f} 次后结束的，本来 {reference[0]:.0f} 次就够了。计数要用整数。",
)
