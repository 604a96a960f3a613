"""A mask of -1e8 is minus infinity in half, and a row that is all padding becomes NaN."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    q = hs.tensor([[0.3, 1.1], [0.7, -0.2]])
    k = hs.tensor([[1.0, 0.1], [0.2, 0.9], [0.4, 0.4], [-1.1, 0.6]])
    padding = np.array([[False, False, True, True], [True, True, True, True]])
    return (q @ k.T).masked_fill(padding, -1e8).softmax(-1)


s = np.array([[0.3, 1.1], [0.7, -0.2]]) @ np.array([[1.0, 0.1], [0.2, 0.9]]).T
e = np.exp(s)[0] / np.exp(s)[0].sum()

CASE = Case(
    id="B08",
    name="mask-minus-1e8",
    link="https://github.com/facebookresearch/fairseq/issues/3575",
    year=2021,
    layer="Attention mask",
    seen="NaN",
    klass="constant changed",
    op="masked_fill",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[4:]).all()),
    right=[*e, 0.0, 0.0, 0.25, 0.25, 0.25, 0.25],
    title="A mask of -1e8 makes fully padded rows NaN",
    title_zh="掩码 -1e8 让全是填充的行变成 NaN",
    symptom="rows in which everything is masked are NaN; in float32 they are uniform",
    symptom_zh="被全部遮住的行是 NaN；在 float32 里它们是均匀分布",
    message="value cannot be converted to type at::Half without overflow: -1e+08",
    why="In float16 `-1e8` is {v[became]:g}. A row that is masked altogether is then minus infinity throughout; the "
    "softmax subtracts its maximum, and infinity less infinity is NaN. With a number that the format holds, "
    "{fp16.max:,.0f} with a minus sign, the row becomes uniform, {fixed[4]:g} each.",
    why_zh="在 float16 里 `-1e8` 变成 {v[became]:g}。整行都被遮住时，全行都是负无穷；softmax 减去最大值，无穷大减无"
    "穷大得 NaN。换成格式装得下的数，即负的 {fp16.max:,.0f}，这一行就是均匀的，每个 {fixed[4]:g}。",
)
