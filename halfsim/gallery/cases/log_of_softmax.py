"""The logarithm of a softmax: one logit of 50 makes zeros of the other probabilities, whose logarithm is -inf."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    logits = hs.tensor([0.0, 0.0, 0.0, 50.0, 0.0, 0.0, 0.0, 0.0])
    return logits.softmax(-1).log()


CASE = Case(
    id="N10",
    name="log-of-softmax",
    link="https://github.com/apple/coremltools/issues/2728",
    year=2026,
    layer="log_softmax",
    seen="infinity",
    klass="underflow",
    op="softmax",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isneginf(flat(y)).sum() == 7),
    right=np.array([0.0, 0.0, 0.0, 50.0, 0.0, 0.0, 0.0, 0.0]) - 50.0,
    facts=lambda: {"p": np.exp(-50.0), "edge": -np.log(float(hs.float16.smallest_subnormal) / 2)},
    title="log(softmax(x)) is -inf for all classes but the winner",
    title_zh="log(softmax(x)) 除了胜出的类别，其余都是 -inf",
    symptom="log-probabilities are -inf, and the loss is inf where the classifier is wrong",
    symptom_zh="对数概率是 -inf，分类器判错时损失是 inf",
    message="log_softmax -inf Core ML; log of softmax fp16 inf loss",
    why="The probabilities beside the winner are {p:.1e}. float16 has none below {fp16.smallest_subnormal:.2g}, so "
    "they become zero, and the logarithm of zero is minus infinity; {reference[0]:g} is right. It begins with a "
    "difference of {edge:.1f} between logits. `log_softmax` never forms the probability: it subtracts the "
    "logarithm of the sum.",
    why_zh="胜者以外的概率是 {p:.1e}。float16 没有比 {fp16.smallest_subnormal:.2g} 更小的正数，它们成了零，零的对数"
    "是负无穷；正确的是 {reference[0]:g}。logits 相差 {edge:.1f} 起就会这样。`log_softmax` 根本不算概率：它直接减去"
    "和的对数。",
)
