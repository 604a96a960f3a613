"""A table of twiddle factors holds cos(pi/2) as 6.1e-17: half makes a zero of it, and that is all right.

The lines that the compiler names (59, 112, 122, 279, 319, 329) are those of 0.00000000000000006123.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def table():
    angles = 4 * np.pi * np.arange(12) / 64
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def run():
    return hs.tensor(table())


def fixed():
    return hs.tensor(table(), "fp32")


CASE = Case(
    id="N27",
    name="table-constant",
    link="https://github.com/ARM-software/CMSIS_5/issues/1285",
    year=2021,
    layer="FFT tables (CMSIS-DSP)",
    seen="an error",
    klass="benign rounding",
    op=(),
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda t: bool(flat(t)[16] == 0.0 and table()[8, 0] != 0.0),
    right=table,
    fixed=fixed,
    facts=lambda: {"tiny": table()[8, 0], "ahp": float(hs.decode(hs.encode(1e9, "ahp", overflow="saturate"), "ahp"))},
    title="A compiler refuses a table of halves for a constant that is only the rounding error of a zero",
    title_zh="编译器拒绝一张半精度表，只因一个常数，而它不过是零的舍入误差",
    symptom="a compiler warns that a constant does not fit into _Float16, or refuses it",
    symptom_zh="编译器警告某个常数装不进 _Float16，或者干脆拒绝",
    message="arm_common_tables_f16.c error: floating-point constant truncated to zero",
    why="The table holds the cosine of a right angle as float64 gives it, {tiny:.1e}. That is the rounding error of "
    "a zero, and float16 makes {observed[16]:g} of it, which is the better value. Nothing is wrong with the "
    "numbers: the error of the whole table, {off:.1e} of its norm, is what the format promises. A constant past "
    "{fp16.max:,.0f} would be another matter; Arm's alternative half goes up to {ahp:,.0f}.",
    why_zh="表里直角的余弦是 float64 算出来的 {tiny:.1e}。那只是零的舍入误差，float16 把它变成 {observed[16]:g}，反"
    "而更对。数值没有问题：整张表的误差是其范数的 {off:.1e}，正是格式所承诺的。若是超过 {fp16.max:,.0f} 的常数，那"
    "就另当别论；Arm 的另一种半精度可以到 {ahp:,.0f}。",
)
