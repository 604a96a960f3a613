"""A running mean kept in bfloat16, (mean * n + x) / (n + 1), drifts to a fraction of its value."""

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    mean = hs.tensor(0.0)
    for n in range(2000):
        x = hs.tensor(3.7)
        mean = (mean * n + x) / (n + 1)
    return mean


def fixed():
    with hs.precision(hs.Policy({"default": "bf16", "@mul": "fp32", "@add": "fp32", "@div": "fp32"})):
        return run()


CASE = Case(
    id="B41",
    name="running-mean",
    title="A running mean kept in bfloat16 shrinks with every batch",
    link="https://github.com/NVIDIA/Model-Optimizer/pull/738",
    year=2026,
    precision="bf16",
    run=run,
    broken=lambda mean: bool(flat(mean)[0] < 3.0),
    right=[3.7],
    klass="swamping",
    op="add",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="from 3.7 * n = 1024 on adding 3.7 changes nothing, while n + 1 grows on; Policy keys: @mul, @add, @div",
)
