"""Distances by |a|^2 + |b|^2 - 2ab: 1360 + 1360 - 2720 in half leaves 0, or the root of a negative number."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def cdist(a, b):
    squares = (a * a).sum(-1, keepdims=True) + (b * b).sum(-1) - 2 * (a @ b.T)
    return np.sqrt(squares)


def run():
    rng = np.random.RandomState(0)
    a = rng.rand(32, 4096)
    b = a + 0.01 * rng.randn(32, 4096)
    return np.diagonal(cdist(hs.tensor(a), hs.tensor(b)))


def right():
    rng = np.random.RandomState(0)
    rng.rand(32, 4096)
    return np.sqrt(((0.01 * rng.randn(32, 4096)) ** 2).sum(-1))


CASE = Case(
    id="B47",
    name="cdist",
    link="https://github.com/pytorch/pytorch/issues/136748",
    year=2024,
    layer="cdist",
    seen="NaN",
    klass="cancellation",
    op="sub",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda d: int((np.isnan(flat(d)) | (flat(d) == 0)).sum()) >= 16,
    right=right,
    facts=lambda: {
        "square": (np.random.RandomState(0).rand(32, 4096)[0] ** 2).sum(),
        "gap": float(hs.spacing(1360.0, "float16")),
        "wanted": right()[0] ** 2,
    },
    title="The distance of near points, from a difference of large squares, is 0 or NaN",
    title_zh="相近两点的距离由大平方数之差得来，结果是 0 或 NaN",
    symptom="distances of close points are 0 or NaN, distances of far ones are right",
    symptom_zh="相近的点距离是 0 或 NaN，相距远的正确",
    message="torch.cdist returns nan / 0 half precision; use_mm_for_euclid_dist",
    why="The squares of the lengths are near {square:,.0f}, where the numbers of float16 lie {gap:g} apart. The "
    "square of the distance is {wanted:.2f}: less than the rounding of the two numbers whose difference it is. What "
    "is left is zero, or a negative number whose root is NaN. Subtract the points first, or keep all of it in "
    "float32.",
    why_zh="长度的平方约为 {square:,.0f}，那里 float16 的数间隔是 {gap:g}。距离的平方是 {wanted:.2f}：比相减的两数自"
    "身的舍入还小。剩下的是零，或者负数，开方就是 NaN。应当先把两点相减，或者全部留在 float32。",
)
