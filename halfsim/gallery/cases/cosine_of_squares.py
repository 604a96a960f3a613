"""The product of two squared norms overflows before its root is taken, so that cos(x, x) is 0.

The formula that the library had then; cosine_similarity of today normalises first.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def cosine(x, y, eps=1e-8):
    squares = (x * x).sum() * (y * y).sum()
    return (x * y).sum() / np.sqrt(np.maximum(squares, eps * eps))


def run():
    x, y = hs.tensor(np.random.RandomState(0).randn(2, 512))
    return [cosine(x, y), cosine(x, x)]


CASE = Case(
    id="B27",
    name="cosine-of-squares",
    link="https://github.com/pytorch/pytorch/issues/65298",
    year=2021,
    layer="CosineSimilarity",
    seen="zeros",
    klass="overflow",
    op="mul",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda cosines: bool((flat(cosines) == 0).all()),
    right=lambda: [cosine(*np.random.RandomState(0).randn(2, 512)), 1.0],
    facts=lambda: {"square": (np.random.RandomState(0).randn(2, 512)[0] ** 2).sum()},
    inferred=True,
    title="Cosine similarity multiplies two squared norms, and the product is infinite",
    title_zh="余弦相似度把两个范数的平方相乘，积是无穷大",
    symptom="the cosine of a vector with itself is 0 instead of 1",
    symptom_zh="向量与自身的余弦是 0，而不是 1",
    message="cosine_similarity returns 0 fp16",
    why="Each squared norm is near {square:.0f}, which is harmless; their product is past {fp16.max:,.0f}. The root "
    "of infinity is infinite, and anything finite divided by it is zero: {observed[1]:g} for the cosine of a "
    "vector with itself. Divide by one norm after the other, or keep the product in float32.",
    why_zh="每个范数的平方约为 {square:.0f}，并不大；两者的积却超过了 {fp16.max:,.0f}。无穷大的平方根还是无穷大，有"
    "限的数除以它得零：向量与自身的余弦成了 {observed[1]:g}。应当先后除以两个范数，或者把积留在 float32。",
)
