"""Scores scaled to 0 .. 1 by (s - min) / (max - min + 1e-8): four equal scores divide zero by zero.

Fine in bfloat16, which has 1e-8. An epsilon of 1e-6 mends the loss and not the gradient; with 1e-5 both are finite.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    query = hs.nn.Parameter(hs.tensor(np.linspace(-0.3, 0.4, 8)))
    documents = hs.tensor(np.tile(np.linspace(0.1, 0.9, 8), (4, 1)))  # four copies of one document
    scores = documents @ query
    low, high = scores.min(), scores.max()
    scores = (scores - low) / (high - low + 1e-8)
    teacher = hs.tensor([0.4, 0.3, 0.2, 0.1])
    loss = hs.nn.functional.kl_div(scores.log_softmax(-1), teacher, reduction="sum")
    loss.backward()
    return loss


TEACHER = np.array([0.4, 0.3, 0.2, 0.1])

CASE = Case(
    id="N21",
    name="equal-scores",
    link="https://github.com/lightonai/pylate/issues/239",
    year=2026,
    layer="Distillation loss, min-max scaling",
    seen="NaN",
    klass="eps lost",
    op="add",
    phase="forward",
    precision="amp",
    run=run,
    broken=lambda out: bool(np.isnan(flat(out)).all()),
    right=float(np.sum(TEACHER * np.log(4 * TEACHER))),
    facts=lambda: {"low": float(hs.round_to(1e-8, "bfloat16"))},
    title="Distillation loses all parameters to NaN as soon as a query's documents score the same",
    title_zh="一个查询的文档得分全都相同时，蒸馏训练的参数全部变成 NaN",
    symptom="training is fine for hours, then one batch makes every parameter NaN; bf16 is fine",
    symptom_zh="训练几小时都正常，某一批之后所有参数变成 NaN；bf16 没有问题",
    message="Distillation loss nan fp16 normalize_scores eps 1e-8",
    why="Scores are scaled to the range from zero to one by `(s - min) / (max - min + 1e-8)`. In float16 `1e-8` is "
    "{v[became]:g}, and where all scores are equal it is zero divided by zero. bfloat16 holds it, as {low:.3g}, so "
    "the same code is fine there. With an eps of `1e-4` the loss is {fixed[0]:.3g}.",
    why_zh="得分用 `(s - min) / (max - min + 1e-8)` 缩放到零与一之间。`1e-8` 在 float16 里是 {v[became]:g}，得分全相"
    "同时就是零除以零。bfloat16 里它是 {low:.3g}，所以同样的代码没有问题。eps 取 `1e-4`，损失是 {fixed[0]:.3g}。",
)
