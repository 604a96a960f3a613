"""Binary cross entropy clips probabilities to 1 - 1e-7, which is 1 in half: log(1 - 1) is minus infinity."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    t, logits = hs.tensor([0.0, 1.0, 1.0, 0.0]), hs.tensor([10.0, 10.0, 0.3, -0.7])
    p = hs.ops.sigmoid(logits).clip(1e-7, 1 - 1e-7)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def fixed():
    ops = ("@sigmoid", "@clamp", "@sub", "@log")
    with hs.precision(hs.Policy({"default": "fp16"} | dict.fromkeys(ops, "fp32"))):
        return run()


CASE = Case(
    id="B13",
    name="bce-clip",
    title="The clip bound 1 - 1e-7 of a cross entropy is 1 in half",
    link="https://github.com/keras-team/keras-core/issues/196",
    year=2023,
    precision="fp16",
    run=run,
    broken=lambda loss: bool(np.isinf(flat(loss)[0]) and np.isnan(flat(loss)[1])),
    right=np.log1p(np.exp([10.0, -10.0, -0.3, -0.7])),
    klass="constant changed",
    op="clamp",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="@sigmoid, @clamp and @sub are enough for 1e-2, @log gives the second loss too. Upstream's remedy, "
    "binary_cross_entropy_with_logits, needs neither bound nor float32.",
)
