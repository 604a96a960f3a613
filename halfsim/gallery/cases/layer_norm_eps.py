"""LayerNorm's eps of 1e-12 is zero in half, and a padded row of zeros is 0/0."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = np.random.default_rng(5).normal(size=(3, 10))
    x[1] = 0  # padding
    return hs.nn.LayerNorm(10, eps=1e-12)(hs.tensor(x))


def right():
    x = np.random.default_rng(5).normal(size=(3, 10))
    y = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    y[1] = 0
    return y


CASE = Case(
    id="B05",
    name="layer-norm-eps",
    link="https://github.com/pytorch/pytorch/issues/41527",
    year=2020,
    layer="LayerNorm",
    seen="NaN",
    klass="eps lost",
    op="layer_norm",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[10:20]).all()),
    right=right,
    title="LayerNorm's eps of 1e-12 is zero in half, and padded rows become NaN",
    title_zh="LayerNorm 的 eps 1e-12 在半精度里是零，填充的行成了 NaN",
    symptom="rows of padding come out of LayerNorm as NaN, all others are right",
    symptom_zh="填充的行经过 LayerNorm 后成了 NaN，其他行正常",
    message="layer_norm returns nan for fp16 all 0 tensor",
    why="The smallest positive float16 is {fp16.smallest_subnormal:.2g}, so an eps of `1e-12` is rounded to "
    "{v[became]:g}. A row of zeros has variance zero, and zero divided by the root of zero is NaN. With the "
    "statistics in float32, or an eps that the format holds, the row comes out as zeros.",
    why_zh="float16 最小的正数是 {fp16.smallest_subnormal:.2g}，`1e-12` 这样的 eps 舍入成 {v[became]:g}。全零的行方差"
    "为零，用零去除以零的平方根，得 NaN。统计量用 float32，或者换一个格式装得下的 eps，这一行就是零。",
)
