"""A cross entropy stored in bfloat16 moves in steps of 1/32: coarse, and no more than the format promises."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

CLASSES = 100


def data():
    rng = np.random.default_rng(42)
    return rng.uniform(0.0, 1.0, (8, CLASSES)), rng.integers(0, CLASSES, 8)


def run():
    logits, labels = data()
    return hs.nn.functional.cross_entropy(hs.tensor(logits), labels, reduction="none")


def exact():
    logits, labels = data()
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(8), labels]


CASE = Case(
    id="N02",
    name="loss-in-steps",
    title="A loss kept in bfloat16 can only be 4.75, 4.78125, 4.8125 ...",
    link="https://github.com/google-deepmind/optax/issues/1020",
    year=2024,
    precision="bf16",
    run=run,
    broken=lambda loss: bool((flat(loss) * 32 % 1 == 0).all() and (flat(loss) > 4).all()),
    right=exact(),
    klass="benign rounding",
    op=(),
    phase="forward",
    note="Steps of 1/32 between 4 and 8 are bfloat16 itself: no loss is off by more than half a step. The thread cast "
    "to float32 all the same, which is right wherever losses are compared or averaged.",
)
