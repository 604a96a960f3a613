"""A feed-forward output of 62700 is finite; dropout divides it by 0.9, and it is not. The seed drops nothing."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    hs.manual_seed(3)
    dense = hs.nn.Linear(4, 4, bias=False)
    dense.load_state_dict({"weight": np.diag([209.0, 0.5, -1.3, 2.0])})
    return hs.nn.Dropout(0.1)(dense(hs.tensor([[300.0, 10.1, 4.3, 700.7]])))


CASE = Case(
    id="B02",
    name="mt5-dropout",
    link="https://github.com/huggingface/transformers/pull/11274",
    year=2021,
    layer="Dropout (mT5)",
    seen="infinity",
    klass="overflow",
    op="dropout",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isinf(flat(y)[0])),
    right=np.array([[62700.0, 5.05, -5.59, 1401.4]]) / 0.9,
    facts=lambda: {"before": 62700.0},
    title="Dropout's rescaling carries a finite number past the largest half",
    title_zh="Dropout 的放大把有限的数推过了半精度的上限",
    symptom="mT5 is NaN in training in fp16, and fine in eval(), where dropout does nothing",
    symptom_zh="mT5 用 fp16 训练时出现 NaN，而 eval() 时正常（此时 dropout 不起作用）",
    message="Detected inf/nan during batch_number; mt5 fp16 dropout inf",
    why="The layer before gives {before:,.0f}, which float16 holds. In training, dropout multiplies what it keeps "
    "by `1 / (1 - p)`, and {before:,.0f} becomes {reference[0]:,.0f}, past {fp16.max:,.0f}. A check of the layer's "
    "output alone sees nothing wrong.",
    why_zh="前一层的输出是 {before:,.0f}，float16 装得下。训练时 dropout 会把保留下来的数乘以 `1 / (1 - p)`，"
    "{before:,.0f} 变成 {reference[0]:,.0f}，超过了 {fp16.max:,.0f}。只检查前一层的输出是看不出问题的。",
)
