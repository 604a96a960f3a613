"""A softmax without the subtraction of the maximum: exp(12) is past 65504. In float32 the same comes at 88."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    e = np.exp(hs.tensor([[12.0, 11.0, 10.0], [0.3, 0.1, -0.2]]))
    return e / e.sum(-1, keepdim=True)


e = np.exp([[12.0, 11.0, 10.0], [0.3, 0.1, -0.2]])

CASE = Case(
    id="B10",
    name="softmax-by-hand",
    link="https://github.com/NVIDIA/DeepLearningExamples/issues/169",
    year=2019,
    layer="Softmax",
    seen="NaN",
    klass="overflow",
    op="exp",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[0])),
    right=e / e.sum(1, keepdims=True),
    facts=lambda: {"power": np.exp(12.0), "half": np.log(hs.float16.max), "single": np.log(hs.float32.max)},
    title="A softmax that does not subtract the maximum",
    title_zh="没有减去最大值的 softmax",
    symptom="a hand-written softmax kernel gives NaN and zeros for logits that are not even large",
    symptom_zh="手写的 softmax 内核对并不大的 logits 给出 NaN 和零",
    message="fastertransformer nan error; softmax fp16 nan",
    why="The exponential of `12` is {power:,.0f}, past {fp16.max:,.0f}: infinite, and infinity divided by infinity "
    "is NaN. In float16 this begins with logits from {half:.2f} on, in float32 from {single:.1f} on. A softmax does "
    "not change when the maximum is subtracted from all logits first, and then no exponential is above one.",
    why_zh="`12` 的指数是 {power:,.0f}，超过 {fp16.max:,.0f}，成了无穷大，无穷大除以无穷大是 NaN。float16 里 logits "
    "从 {half:.2f} 起就会这样，float32 里从 {single:.1f} 起。先把所有 logits 减去最大值，softmax 的结果不变，而指数"
    "都不会超过一。",
)
