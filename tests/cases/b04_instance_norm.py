"""The variance of a finite checkerboard of 512 and -512 is infinite, and the channel collapses to zeros."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    board = np.tile([[512.0, -512.0], [-512.0, 512.0]], (4, 4))
    return hs.nn.InstanceNorm2d(2)(hs.tensor(np.stack([board, board / 300])[None]))


def fixed():
    with hs.precision(hs.Policy({"default": "pure_fp16", "@instance_norm": "fp32"})):
        return run()


board = np.tile([[512.0, -512.0], [-512.0, 512.0]], (4, 4))

CASE = Case(
    id="B04",
    name="instance-norm",
    title="InstanceNorm's variance overflows and the channel becomes zeros",
    link="https://github.com/ml-explore/mlx/issues/4228",
    year=2026,
    precision="pure_fp16",
    run=run,
    broken=lambda y: bool((flat(y)[:64] == 0).all()),
    right=np.stack([np.sign(board)] * 2)[None],
    klass="overflow",
    op="instance_norm",
    phase="forward",
    advice="float32",
    fixed=fixed,
)
