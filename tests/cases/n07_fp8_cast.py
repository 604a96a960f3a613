"""A cast to E4M3 without saturation: what is past 464 has no number to go to and becomes NaN."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

VALUES = [0.3, 464.0, 480.0, 672.0, -57344.0]


def run():
    return hs.tensor(VALUES, "bf16").to("float8_e4m3fn")


def fixed():
    return hs.tensor(hs.round_to(VALUES, "float8_e4m3fn", overflow="saturate"))


CASE = Case(
    id="N07",
    name="fp8-cast",
    title="A conversion to eight bits makes NaN of numbers that it was told to clamp to 448",
    link="https://github.com/ucb-bar/saturn-vectors/pull/101",
    year=2026,
    precision="bf16",
    run=run,
    broken=lambda x: bool(np.isnan(flat(x)[2:]).all() and flat(x)[1] == 448),
    right=[0.3125, 448.0, 448.0, 448.0, -448.0],
    klass="overflow",
    op="cast",
    phase="forward",
    advice="saturate",
    fixed=fixed,
    note="E4M3 has no infinity: what overflows is NaN, everything past 464, halfway to the missing 480. With "
    "saturation 672 is 448; rounded toward zero it is 448 without saturation too. Also sgl-project/sglang#40581.",
)
