"""Binary cross entropy clips probabilities to 1 - 1e-7, which is 1 in half: log(1 - 1) is minus infinity."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    t, logits = hs.tensor([0.0, 1.0, 1.0, 0.0]), hs.tensor([10.0, 10.0, 0.3, -0.7])
    p = hs.ops.sigmoid(logits).clip(1e-7, 1 - 1e-7)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


CASE = Case(
    id="B13",
    name="bce-clip",
    link="https://github.com/keras-team/keras-core/issues/196",
    year=2023,
    layer="Binary cross entropy",
    seen="NaN",
    klass="constant changed",
    op="clamp",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isinf(flat(loss)[0]) and np.isnan(flat(loss)[1])),
    right=np.log1p(np.exp([10.0, -10.0, -0.3, -0.7])),
    facts=lambda: {"step": hs.float16.eps / 2},
    title="The clip bound 1 - 1e-7 of a cross entropy is 1 in half",
    title_zh="交叉熵的截断上界 1 - 1e-7 在半精度里就是 1",
    symptom="the loss is inf or NaN as soon as the classifier is sure of something",
    symptom_zh="分类器一旦十分确信，损失就成了 inf 或 NaN",
    message="binary_crossentropy nan fp16; loss: nan after a few epochs",
    why="Below one the numbers of float16 lie {step:.2g} apart, so the bound `1 - 1e-7` is rounded to {v[became]:g} "
    "and clips nothing. The sigmoid of `10` is one as well, the logarithm of zero minus infinity, and where its "
    "factor is zero the product is NaN. Computed from logits, the losses are {reference[0]:.4g} and "
    "{reference[1]:.2g}.",
    why_zh="一以下的 float16 数间隔 {step:.2g}，上界 `1 - 1e-7` 舍入成 {v[became]:g}，什么也截不住。`10` 的 sigmoid "
    "也是一，零的对数是负无穷，再乘以零就是 NaN。直接从 logits 计算，这两个损失是 {reference[0]:.4g} 和 "
    "{reference[1]:.2g}。",
)
