"""The variance of a finite checkerboard of 512 and -512 is infinite, and the channel collapses to zeros."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    board = np.tile([[512.0, -512.0], [-512.0, 512.0]], (4, 4))
    return hs.nn.InstanceNorm2d(2)(hs.tensor(np.stack([board, board / 300])[None]))


CASE = Case(
    id="B04",
    name="instance-norm",
    link="https://github.com/ml-explore/mlx/issues/4228",
    year=2026,
    layer="InstanceNorm, GroupNorm",
    seen="zeros",
    klass="overflow",
    op="instance_norm",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda y: bool((flat(y)[:64] == 0).all()),
    right=lambda: np.stack([np.tile([[1.0, -1.0], [-1.0, 1.0]], (4, 4))] * 2)[None],
    facts=lambda: {"variance": 512.0**2},
    title="InstanceNorm's variance overflows and the channel becomes zeros",
    title_zh="InstanceNorm 的方差上溢，整个通道变成零",
    symptom="a finite feature map collapses to zeros (some of them -0)",
    symptom_zh="有限的特征图塌缩为零（其中一些是 -0）",
    message="InstanceNorm fp16 variance overflow; GroupNorm half zeros",
    why="The channel is a checkerboard of `512` and `-512`. Its variance, {variance:,.0f}, is past {fp16.max:,.0f}, "
    "so it is infinite where the kernel keeps its statistics in half, and every number divided by its root is "
    "zero. The second channel, of the same pattern and smaller, is normalised rightly.",
    why_zh="这个通道是 `512` 和 `-512` 组成的棋盘。方差 {variance:,.0f} 超过 {fp16.max:,.0f}；内核若用半精度存统计量"
    "，方差就是无穷大，任何数除以它的平方根都是零。第二个通道花样相同、数值较小，归一化是对的。",
)
