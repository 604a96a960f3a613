"""One output of a feed-forward layer passes 65504, and the norm after it makes the row NaN; 66246 is the thread's."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    wi, wo = hs.nn.Linear(2, 8, bias=False), hs.nn.Linear(8, 3, bias=False)
    wi.load_state_dict({"weight": np.outer([1.0] * 6 + [-1.0] * 2, [120.0, 61.0])})
    wo.load_state_dict({"weight": np.outer([61.0, 0.53, -7.9], np.ones(8))})
    model = hs.nn.Sequential(wi, hs.nn.ReLU(), wo, hs.nn.RMSNorm(3, eps=1e-6))
    return model(hs.tensor([[1.0, 1.0], [0.1, 0.2]]))  # two tokens


hidden = 6 * np.array([[181.0], [24.2]]) * [61.0, 0.53, -7.9]

CASE = Case(
    id="B01",
    name="t5-ffn",
    link="https://github.com/huggingface/transformers/issues/5651",
    year=2020,
    layer="Linear, feed-forward (T5)",
    seen="NaN",
    klass="overflow",
    op="linear",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)).any()),
    right=hidden / np.sqrt((hidden**2).mean(1, keepdims=True)),
    facts=lambda: {"peak": hidden.max()},
    title="A T5 feed-forward layer passes the largest half",
    title_zh="T5 的前馈层超出了半精度的最大值",
    symptom="T5 gives NaN in fp16 for some inputs; in bfloat16 and float32 it is fine",
    symptom_zh="T5 在 fp16 下对某些输入输出 NaN，bfloat16 和 float32 正常",
    message="T5 fp16 nan loss; T5DenseReluDense inf",
    why="One output of the second linear layer is {peak:,.0f}, and the largest float16 is {fp16.max:,.0f}: it is "
    "stored as infinity. The norm behind it divides infinity by infinity, so the whole row of that token becomes "
    "NaN, while the other token, whose numbers are small, is right. The model was trained in bfloat16, whose range "
    "is that of float32; what overflows must stay there or in float32.",
    why_zh="第二个线性层有一个输出是 {peak:,.0f}，而 float16 最大只有 {fp16.max:,.0f}，存下来就成了无穷大。后面的归"
    "一化用无穷大除以无穷大，这个 token 的整行都变成 NaN；另一个 token 数值小，结果正常。模型是用 bfloat16 训练的，"
    "它的范围与 float32 相同；会上溢的层要留在 bfloat16 或 float32。",
)
