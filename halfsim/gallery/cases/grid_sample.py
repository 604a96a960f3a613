"""A pixel coordinate in half is up to 0.07 pixels off, and the interpolation weight keeps only that error's digits.

Composed by hand, one row. In float32 the grid's own rounding to half remains.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat, off

WIDTH = 192
ROW = np.convolve(np.random.default_rng(0).normal(size=WIDTH), [0.25, 0.5, 0.25], "same")  # of an image


def run():
    row, grid = hs.tensor(ROW), hs.tensor((2 * np.arange(112) + 1) / 112 - 1)
    pixel = ((grid + 1) * WIDTH - 1) / 2  # align_corners=False
    left = np.floor(pixel)
    weight = pixel - left
    i = np.asarray(left).astype(int)
    return row[i] * (1 - weight) + row[i + 1] * weight


def pixels(half=False):
    grid = (2 * np.arange(112) + 1) / 112 - 1
    if not half:
        return ((grid + 1) * WIDTH - 1) / 2
    steps = hs.round_to(grid, "float16")
    for step in (lambda x: x + 1, lambda x: x * WIDTH, lambda x: x - 1, lambda x: x / 2):
        steps = hs.round_to(step(steps), "float16")
    return steps


CASE = Case(
    id="B59",
    name="grid-sample",
    link="https://github.com/pytorch/pytorch/issues/96429",
    year=2023,
    layer="grid_sample",
    seen="wrong numbers",
    klass="cancellation",
    op="sub",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: off(y, np.interp(pixels(), np.arange(WIDTH), ROW)) > 1e-2 and bool(np.isfinite(flat(y)).all()),
    right=lambda: np.interp(pixels(), np.arange(WIDTH), ROW),
    facts=lambda: {"miss": np.abs(pixels(half=True) - pixels()).max()},
    inferred=True,
    title="Coordinates in half miss the pixel they mean by up to a fourteenth",
    title_zh="半精度的坐标偏离所指像素多达十四分之一",
    symptom="images warped in half are blurred or jagged, most at the far edge",
    symptom_zh="半精度扭曲的图像发虚或出现锯齿，离原点越远越明显",
    message="grid_sample half precision inaccurate align_corners=False",
    why="A coordinate near the far edge has only a few bits left behind the point: it misses its pixel by up to "
    "{miss:.3f}. The weight is what is left when the whole pixel is subtracted, and that is where the lost digits "
    "were. The row is off by {off:.2g} of its norm. Coordinates belong in float32, the image may stay in half.",
    why_zh="靠近远端的坐标，小数点后只剩几位：偏离所指的像素最多 {miss:.3f}。插值权重是减去整数像素之后剩下的部分，"
    "丢掉的数位恰好在那里。这一行的误差是其范数的 {off:.2g}。坐标应当用 float32，图像本身可以留在半精度。",
)
