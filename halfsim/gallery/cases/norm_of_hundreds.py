"""The norm of nine hundreds is 300, but its square does not fit into half: infinite norm, zero gradient."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor(np.full((3, 3), 100.0), requires_grad=True)
    norm = np.linalg.norm(x)
    norm.backward()
    return [norm, x.grad]


CASE = Case(
    id="B62",
    name="norm-of-hundreds",
    link="https://github.com/jax-ml/jax/pull/40819",
    year=2026,
    layer="norm",
    seen="infinity",
    klass="overflow",
    op="norm",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda value: np.isinf(flat(value)[0]) and bool((flat(value)[1:] == 0).all()),
    right=[300.0, *[1 / 3] * 9],
    facts=lambda: {"square": 300.0**2},
    title="A norm whose square is past the largest half is infinite, and its gradient silently zero",
    title_zh="平方超出半精度上限的范数是无穷大，梯度却悄悄为零",
    symptom="a norm is inf though each number is small, and its gradient is exactly 0",
    symptom_zh="每个数都不大，范数却是 inf，梯度恰好是 0",
    message="jnp.linalg.norm float16 inf gradient zero; clip_by_global_norm inf",
    why="The norm is {reference[0]:g}, which float16 holds, but its square, {square:,.0f}, is rounded to half before "
    "the root: infinite. The gradient is x divided by the norm, and anything divided by infinity is zero, where "
    "{reference[1]:.3g} is right. Take the root first, then round.",
    why_zh="范数是 {reference[0]:g}，float16 装得下；但它的平方 {square:,.0f} 在开方之前就舍入到半精度，成了无穷大。"
    "梯度是 x 除以范数，除以无穷大得零，正确的是 {reference[1]:.3g}。应当先开方，再舍入。",
)
