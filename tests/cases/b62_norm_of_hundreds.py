"""The norm of nine hundreds is 300, but its square does not fit into half: infinite norm, zero gradient."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    x = hs.tensor(np.full((3, 3), 100.0), requires_grad=True)
    norm = np.linalg.norm(x)
    norm.backward()
    return [norm, x.grad]


def fixed():
    with hs.precision(hs.Policy({"default": "pure_fp16", "@norm": "fp32"})):
        return run()


CASE = Case(
    id="B62",
    name="norm-of-hundreds",
    title="A norm whose square is past the largest half is infinite, and its gradient silently zero",
    link="https://github.com/jax-ml/jax/pull/40819",
    year=2026,
    precision="pure_fp16",
    run=run,
    broken=lambda value: np.isinf(flat(value)[0]) and bool((flat(value)[1:] == 0).all()),
    right=[300.0, *[1 / 3] * 9],
    klass="overflow",
    op="norm",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="Policy key: @norm",
)
