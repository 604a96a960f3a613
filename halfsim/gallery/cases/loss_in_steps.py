"""A cross entropy stored in bfloat16 moves in steps of 1/32: coarse, and no more than the format promises."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def losses(format=None):
    rng = np.random.default_rng(42)
    logits, labels = hs.tensor(rng.uniform(size=(8, 100)), format), rng.integers(0, 100, 8)
    return hs.nn.functional.cross_entropy(logits, labels, reduction="none")


def run():
    return losses()


def fixed():
    with hs.precision("fp32"):
        return losses()


def right():
    rng = np.random.default_rng(42)
    logits, labels = rng.uniform(size=(8, 100)), rng.integers(0, 100, 8)
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(8), labels]


CASE = Case(
    id="N02",
    name="loss-in-steps",
    link="https://github.com/google-deepmind/optax/issues/1020",
    year=2024,
    layer="Cross entropy",
    seen="wrong numbers",
    klass="benign rounding",
    op=(),
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda loss: bool((flat(loss) * 32 % 1 == 0).all() and (flat(loss) > 4).all()),
    right=right,
    fixed=fixed,
    facts=lambda: {"step": float(hs.spacing(4.5, "bfloat16"))},
    title="A loss kept in bfloat16 moves in steps",
    title_zh="bfloat16 的损失一级一级地变",
    symptom="the logged loss jumps between a few values, as if it were quantised",
    symptom_zh="记录的损失在几个值之间跳，像被量化过",
    message="softmax_cross_entropy bfloat16 loss quantized; loss curve staircase bf16",
    why="Between four and eight the numbers of bfloat16 lie {step:g} apart, so a loss near {reference[0]:.4f} can "
    "only be {observed[0]:g} or a neighbour. No loss is off by more than half a step: this is the format, not a "
    "bug, and training does not mind. Where losses are compared or averaged, compute them in float32.",
    why_zh="四与八之间的 bfloat16 数间隔是 {step:g}，{reference[0]:.4f} 附近的损失只能取 {observed[0]:g} 或它的邻居"
    "。每个损失的误差都不超过半级：这是格式本身，不是缺陷，对训练也没有影响。要比较或平均损失时，用 float32 计算。",
)
