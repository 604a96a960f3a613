"""Label smoothing sums -log p over a vocabulary of 50,265 words, past 65504. The thread's sum is 863637."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    logits = np.random.default_rng(14).normal(scale=3.6, size=(2, 50265))
    labels = np.array([[17], [4242]])
    losses = -hs.tensor(logits).log_softmax(-1)
    nll = losses.gather(-1, labels).sum() / labels.size
    smooth = losses.sum(-1, keepdim=True).sum() / losses.size
    return 0.9 * nll + 0.1 * smooth


def losses():
    logits = np.random.default_rng(14).normal(scale=3.6, size=(2, 50265))
    return np.log(np.exp(logits).sum(1, keepdims=True)) - logits


def right():
    return 0.9 * np.take_along_axis(losses(), np.array([[17], [4242]]), 1).mean() + 0.1 * losses().mean()


CASE = Case(
    id="B14",
    name="label-smoothing",
    link="https://github.com/huggingface/transformers/issues/10674",
    year=2021,
    layer="Cross entropy with label smoothing",
    seen="infinity",
    klass="overflow",
    op="sum",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isinf(flat(loss)[0])),
    right=right,
    facts=lambda: {"sum": losses()[0].sum(), "words": losses().shape[1]},
    title="Label smoothing sums over the whole vocabulary",
    title_zh="标签平滑对整个词表求和",
    symptom="the evaluation loss is NaN or inf with label smoothing, and fine without",
    symptom_zh="用标签平滑时评估损失是 NaN 或 inf，不用就正常",
    message="eval_loss = nan with label_smoothing and full-fp16 eval",
    why="The smoothing term adds up the losses of all {words:,} words, {sum:,.0f} for the first row, and divides "
    "afterwards. The sum is past {fp16.max:,.0f} and is stored as infinity, though the mean would be "
    "{reference[0]:.3g}. Take the mean over the vocabulary, or keep the sum in float32.",
    why_zh="平滑项先把全部 {words:,} 个词的损失加起来，第一行是 {sum:,.0f}，然后才相除。和超过了 {fp16.max:,.0f}，存"
    "成无穷大，而最后的损失不过是 {reference[0]:.3g}。应当对词表取均值，或者把求和留在 float32。",
)
