"""A loop that counts in half never ends: 2048 + 1 is 2048."""

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    x, n = hs.tensor(2040.0), 0
    while float(x) < 3000 and n < 1200:  # the cap is ours: upstream hung
        x, n = x + 1, n + 1
    return [n, x]


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@add": "fp32"})):
        return run()


CASE = Case(
    id="B24",
    name="arange-loop",
    title="A loop that counts in half never ends",
    link="https://github.com/pytorch/xla/issues/6089",
    year=2023,
    precision="fp16",
    run=run,
    broken=lambda value: list(flat(value)) == [1200, 2048],
    right=[960.0, 3000.0],
    klass="swamping",
    op="add",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="The cap stands for a hang. Upstream counts in integers; float32 for @add is enough here.",
)
