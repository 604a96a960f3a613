"""Label smoothing sums -log p over a vocabulary of 50,265 words, past 65504."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def inputs():
    rng = np.random.default_rng(14)
    return rng.normal(scale=3.6, size=(2, 50265)), np.array([[17], [4242]])


def run():
    logits, labels = inputs()
    log_probs = -hs.tensor(logits).log_softmax(-1)
    nll = log_probs.gather(-1, labels).sum() / labels.size
    smooth = log_probs.sum(-1, keepdim=True).sum() / log_probs.size
    return 0.9 * nll + 0.1 * smooth


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@sum": "fp32", "@div": "fp32"})):
        return run()


def right():
    logits, labels = inputs()
    losses = np.log(np.exp(logits).sum(1, keepdims=True)) - logits
    return 0.9 * np.take_along_axis(losses, labels, 1).mean() + 0.1 * losses.mean()


CASE = Case(
    id="B14",
    name="label-smoothing",
    title="Label smoothing sums over the whole vocabulary",
    link="https://github.com/huggingface/transformers/issues/10674",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isinf(flat(loss)[0])),
    right=right(),
    klass="overflow",
    op="sum",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="The thread's sum is 863637. A mean over the vocabulary instead of the sum mends it too.",
)
