"""The product of two squared norms overflows before its root is taken, so that cos(x, x) is 0."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def inputs():
    rng = np.random.RandomState(0)
    return rng.randn(512), rng.randn(512)


def cosine(x, y, eps=1e-8):
    squares = (x * x).sum() * (y * y).sum()
    return (x * y).sum() / np.sqrt(np.maximum(squares, eps * eps))


def run():
    x, y = (hs.tensor(v) for v in inputs())
    return [cosine(x, y), cosine(x, x)]


def fixed():
    x, y = (hs.tensor(v) for v in inputs())
    with hs.precision(hs.Policy({"default": "fp16", "@mul": "fp32", "@maximum": "fp32", "@sqrt": "fp32"})):
        return [cosine(x, y), cosine(x, x)]


CASE = Case(
    id="B27",
    name="cosine-of-squares",
    title="Cosine similarity multiplies two squared norms, and the product is infinite",
    link="https://github.com/pytorch/pytorch/issues/65298",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda cosines: bool((flat(cosines) == 0).all()),
    right=[cosine(*inputs()), 1.0],
    klass="overflow",
    op="mul",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="the formula that the library had then; cosine_similarity of today normalises first; Policy keys: @mul, "
    "@maximum, @sqrt",
)
