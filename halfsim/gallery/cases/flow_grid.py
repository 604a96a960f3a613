"""Frames warped by a grid from -1 to 1 in half: 3840 pixels wide, the right half is off by whole pixels.

A tolerance in the result's own units would tell it from benign rounding.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def missed(format=None):
    width, flow = 3840, 0.6  # everything moves by 0.6 of a pixel
    grid = hs.tensor(np.linspace(-1.0, 1.0, width), format)
    grid = grid + hs.tensor(np.full(width, flow / ((width - 1) / 2)), format)
    place = (grid + 1) * ((width - 1) / 2)  # what grid_sample makes of it
    error = np.abs(place.numpy().astype(float) - np.arange(width) - flow)
    return [error[:1000].max(), error[2000:].max()]


def run():
    return missed()


def fixed():
    with hs.precision("fp32"):
        return missed("fp32")


CASE = Case(
    id="N29",
    name="flow-grid",
    link="https://github.com/hzwer/ECCV2022-RIFE/issues/188",
    year=2021,
    layer="grid_sample (optical flow)",
    seen="wrong numbers",
    klass="benign rounding",
    op=(),
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda pixels: bool(flat(pixels)[1] >= 1.0 and flat(pixels)[1] > flat(pixels)[0]),
    right=[0.0, 0.0],
    fixed=fixed,
    facts=lambda: {"gap": float(hs.spacing(3000.0, "float16")), "edge": 2**11},
    title="A wide video frame is warped wrongly in its right half",
    title_zh="宽幅视频帧的右半边扭曲错位",
    symptom="interpolated 4K frames tremble in their right half, and are fine at HD",
    symptom_zh="4K 插帧的右半边抖动，高清分辨率则正常",
    message="RIFE fp16 artifacts right side 4K; grid_sample half large image",
    why="From {edge:,} pixels on the numbers of float16 lie {gap:g} apart, so that a place is off by up to "
    "{observed[1]:.2g} pixels there, and by {observed[0]:.2g} at the left. That is what the format promises, and "
    "the tool calls it benign; but the task is one of tenths of a pixel. Positions belong in float32, where the "
    "error is {fixed[1]:.1g}.",
    why_zh="从 {edge:,} 像素起 float16 的数间隔是 {gap:g}，那里的位置最多偏 {observed[1]:.2g} 像素，左边则是 "
    "{observed[0]:.2g}。格式承诺的就是这样，工具判为无害；但这个任务要求的是十分之几像素。位置应当用 float32，误差"
    "只有 {fixed[1]:.1g}。",
)
