"""Logits in bfloat16 on the way forward, in float32 on the way back: exp makes a wrong gradient of what is between.

Written out by hand, for the two passes of one function cannot run in two precisions here. Peak logit 160: the thread
measured 38.6 % there, and 1.2 to 85.8 % for peaks from 5 to 640.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def peaks(forward):
    rng = np.random.default_rng(4)
    x, head = hs.round_to(rng.standard_normal((4, 64)), "bfloat16"), rng.standard_normal((64, 500))
    x, head = hs.tensor(x, "bf16"), hs.tensor(head * 160 / np.abs(x @ head).max(), "bf16")
    with hs.precision(forward):
        logits = x @ head
    with hs.precision("fp32"):  # the backward pass makes the logits anew
        again = x.float() @ head.float()
        return (again - logits.logsumexp(-1, keepdims=True)).exp().amax(-1)


def run():
    return peaks("bf16")


def fixed():
    return peaks("fp32")


def right():
    rng = np.random.default_rng(4)
    x, head = hs.round_to(rng.standard_normal((4, 64)), "bfloat16"), rng.standard_normal((64, 500))
    logits = x @ hs.round_to(head * 160 / np.abs(x @ head).max(), "bfloat16")
    return 1 / np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)


def worst():
    with hs.precision("bf16"):
        return flat(run()) / right()


CASE = Case(
    id="N03",
    name="two-passes",
    link="https://github.com/marin-community/marin/pull/8217",
    year=2026,
    layer="Fused cross entropy",
    seen="wrong numbers",
    klass="cancellation",
    op=("sub", "matmul"),
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda peaks: bool(np.abs(flat(peaks) / right() - 1).max() > 0.2),
    right=right,
    fixed=fixed,
    advice="float32",
    facts=lambda: {"worst": float(np.abs(worst() - 1).max()), "gap": float(hs.spacing(160.0, "bfloat16"))},
    title="Forward and backward passes do not agree on the logits, and the gradient's peak is off",
    title_zh="前向与反向用的 logits 不一致，梯度的峰值有偏差",
    symptom="a fused cross entropy has gradients that do not fit its loss, worse for large logits",
    symptom_zh="融合的交叉熵，梯度与损失对不上，logits 越大越明显",
    message="fused cross entropy bf16 gradient mismatch; softmax probability greater than 1",
    why="The forward pass stores its logits in bfloat16, whose numbers lie {gap:g} apart near the largest; the "
    "backward pass computes them anew in float32. Probabilities are exponentials of the difference, and an "
    "exponential makes a factor of it: a peak is off by {worst:.0%}. Each pass alone is as right as its format, so "
    "the tool calls it benign. Let both passes use the same numbers.",
    why_zh="前向把 logits 存成 bfloat16，最大值附近的间隔是 {gap:g}；反向则用 float32 重新算一遍。概率是两者之差的指"
    "数，指数把差变成倍数：有一个峰值偏了 {worst:.0%}。单看每一遍，误差都与格式相称，所以工具判为无害。应当让两遍用"
    "同样的数。",
)
