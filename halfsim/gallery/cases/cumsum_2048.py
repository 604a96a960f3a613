"""A running sum of numbers below 1 stops at 2048, where halves lie 2 apart; 20,000 instead of the thread's 100,000."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = np.random.RandomState(1).uniform(0, 1, 20000)
    return np.cumsum(hs.tensor(x))


CASE = Case(
    id="B17",
    name="cumsum-2048",
    link="https://github.com/numpy/numpy/issues/24443",
    year=2023,
    layer="cumsum",
    seen="no change",
    klass="swamping",
    op="cumsum",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda total: flat(total)[-1] == 2048,
    right=lambda: np.cumsum(np.random.RandomState(1).uniform(0, 1, 20000)),
    facts=lambda: {"gap": float(hs.spacing(2048.0, "float16"))},
    title="A cumulative sum stops at 2048",
    title_zh="累加和停在 2048",
    symptom="np.cumsum of float16 grows, and then repeats one number for ever",
    symptom_zh="float16 的 np.cumsum 涨到一个数后就再也不动",
    message="Cumsum for float16 gives the wrong result",
    why="From {observed[19999]:,.0f} on, float16 has only every second integer: they lie {gap:g} apart, and half of "
    "that is one. All numbers to be added are below one, so each sum is rounded back to where it was. The right "
    "total is {reference[19999]:,.0f}. A sum in float32, `dtype=np.float32`, goes on.",
    why_zh="从 {observed[19999]:,.0f} 起，float16 只剩隔一个的整数：相邻的数相差 {gap:g}，一半就是一。要加的数都小于一"
    "，每次的和都舍入回原处。正确的总和是 {reference[19999]:,.0f}。用 float32 求和（`dtype=np.float32`）就能继续。",
)
