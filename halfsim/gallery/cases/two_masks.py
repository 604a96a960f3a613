"""Two attention masks of the most negative bfloat16 are added: -inf, and a row of them is NaN."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat

MIN = -3.3895313892515355e38  # torch.finfo(torch.bfloat16).min
CAUSAL = np.array([[False, True, True], [False, False, True], [True, True, True]])
PADDING = np.array([[False, False, True], [False, False, True], [True, True, True]])


def run():
    mask = hs.ops.where(CAUSAL, MIN, hs.tensor(0.0)) + hs.ops.where(PADDING, MIN, hs.tensor(0.0))
    scores = hs.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
    return (scores + mask).softmax(-1)


def fixed():
    mask = hs.ops.where(CAUSAL | PADDING, MIN, hs.tensor(0.0))
    scores = hs.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
    return (scores + mask).softmax(-1)


def right():
    z = np.where(CAUSAL | PADDING, MIN, [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


CASE = Case(
    id="N32",
    name="two-masks",
    link="https://github.com/NVIDIA-NeMo/Automodel/pull/2658",
    year=2026,
    layer="Attention mask",
    seen="NaN",
    klass="overflow",
    op="add",
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda p: bool(np.isnan(flat(p)).any()),
    right=right,
    fixed=fixed,
    advice="where",
    title="Two masks of the most negative number add up to minus infinity",
    title_zh="两个“最小负数”的掩码相加，成了负无穷",
    symptom="padded rows are NaN when a causal and a padding mask meet, each alone is fine",
    symptom_zh="因果掩码与填充掩码相遇时填充行是 NaN，单用一个则正常",
    message="attention mask torch.finfo(dtype).min nan; causal mask + padding mask",
    why="Each mask holds the most negative bfloat16, {lowest:.3g}, so as not to be infinite; where both hide a "
    "token their sum is. A row of nothing but that is NaN after a softmax. float32 has the same range and is no "
    "cure. Join the masks with `|` and fill once: the row is uniform, {fixed[6]:.3g} each.",
    why_zh="每个掩码都用 bfloat16 的最小负数 {lowest:.3g}，正是为了避免无穷大；两个都遮住同一个 token 时，和就是负无"
    "穷。整行都是它，softmax 之后便是 NaN。float32 的范围相同，换过去也没有用。先用 `|` 合并两个掩码，只填一次：这"
    "一行就是均匀的，每个 {fixed[6]:.3g}。",
    facts=lambda: {"lowest": MIN},
)
