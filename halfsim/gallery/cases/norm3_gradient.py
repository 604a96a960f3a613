"""The 3-norm of numbers near 1e-4: their cubes are zero in half, and the gradient of the root is 0 times infinity.

Composed by hand, for halfsim's own norm has a gradient of 0 where the norm is 0. In the thread the forward was right
and the square in its gradient vanished; here the cube of the forward does too.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def norm(x, p=3):
    return (np.abs(x) ** p).sum() ** (1 / p)


def run():
    x = hs.tensor([1e-4, 1.5e-4], requires_grad=True)
    norm(x).backward()
    return x.grad


CASE = Case(
    id="B29",
    name="norm3-gradient",
    link="https://github.com/pytorch/pytorch/issues/43211",
    year=2020,
    layer="norm",
    seen="NaN",
    klass="underflow",
    op="pow",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda g: bool(np.isnan(flat(g)).all()),
    right=np.array([1.0, 2.25]) / (1 + 1.5**3) ** (2 / 3),
    facts=lambda: {"cube": 1e-4**3},
    title="The gradient of a norm of small numbers is NaN: their third powers are zero",
    title_zh="小数的范数梯度是 NaN：它们的三次方为零",
    symptom="the gradient of a p-norm is NaN where the values are small but not zero",
    symptom_zh="数值很小但不为零时，p 范数的梯度是 NaN",
    message="norm backward nan fp16; torch.norm p=3 gradient nan half",
    why="The third power of `1e-4` is {cube:.0e}, and the smallest positive float16 {fp16.smallest_subnormal:.2g}: "
    "it is stored as zero. The sum is zero, the slope of its root infinite, and zero times infinity is NaN. The "
    "right gradient, {reference[0]:.3g}, does not depend on the size of the numbers at all: scale them first, or "
    "keep the powers in float32.",
    why_zh="`1e-4` 的三次方是 {cube:.0e}，而 float16 最小的正数是 {fp16.smallest_subnormal:.2g}：存下来就是零。和为"
    "零，开方的斜率是无穷大，零乘以无穷大得 NaN。正确的梯度 {reference[0]:.3g} 与数的大小根本无关：先缩放，或者把幂"
    "留在 float32。",
)
