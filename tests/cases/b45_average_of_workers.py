"""Gradients of 1024 workers summed in half and then divided: the sum passes 65504 though the average is 100."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

WORKERS = 1024


def train(all_reduce):
    w = hs.nn.Parameter(hs.tensor([1.0, 1.0]))
    w.register_hook(all_reduce)
    (w * hs.tensor([100.0, 3e-5])).sum().backward()  # every worker has the same gradient here
    return w.grad


def run():
    return train(lambda g: hs.ops.expand(g, (WORKERS, 2)).sum(0) / WORKERS)


def fixed():
    return train(lambda g: hs.ops.expand(g / 32, (WORKERS, 2)).sum(0) / (WORKERS / 32))


CASE = Case(
    id="B45",
    name="average-of-workers",
    title="The sum of a thousand workers' gradients is infinite, their average is not",
    link="https://github.com/horovod/horovod/issues/1699",
    year=2020,
    precision="fp16",
    run=run,
    broken=lambda g: bool(np.isinf(flat(g)[0])),
    right=[100.0, 3e-5],
    klass="overflow",
    op="sum",
    phase="backward",
    advice="scale",
    fixed=fixed,
    note="one process plays all workers, in a hook on the gradient; Policy keys: @sum, @div; dividing first "
    "instead flushes the small gradient to zero, dividing by 32 before and 32 after keeps both",
)
