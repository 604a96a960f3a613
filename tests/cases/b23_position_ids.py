"""Positions made in half: of 4,096 only 3,073 differ, and a causal mask made of them shows the future."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run(positions=hs.tensor):
    p = positions(np.arange(4096))
    visible = np.asarray(p[None, :] <= p[:, None])
    return [np.unique(np.asarray(p)).size, int(visible.sum()) - 4096 * 4097 // 2]  # distinct, pairs that leak


CASE = Case(
    id="B23",
    name="position-ids",
    title="Position ids in half collide, and a causal mask leaks",
    link="https://github.com/pytorch/pytorch/issues/81926",
    year=2022,
    precision="fp16",
    run=run,
    broken=lambda value: list(flat(value)) == [3073, 1534],
    right=[4096.0, 0.0],
    klass="integer rounding",
    op="tensor",
    phase="forward",
    advice="integers",
    fixed=lambda: run(np.asarray),
    note="hs.tensor follows a policy's default, not @tensor, so a policy of operations cannot mend it.",
)
