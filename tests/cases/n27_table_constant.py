"""A table of twiddle factors holds cos(pi/2) as 6.1e-17: half makes a zero of it, and that is all right."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

ANGLES = 2 * np.pi * np.arange(16) / 64
TABLE = np.stack([np.cos(2 * ANGLES[:12]), np.sin(2 * ANGLES[:12])], axis=1)


def run():
    return hs.tensor(TABLE)


CASE = Case(
    id="N27",
    name="table-constant",
    title="A compiler refuses a table of halves for its 6.1e-17, which is only the rounding error of a zero",
    link="https://github.com/ARM-software/CMSIS_5/issues/1285",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda table: bool(flat(table)[16] == 0.0 and TABLE[8, 0] != 0.0),
    right=TABLE,
    klass="benign rounding",
    op=(),
    phase="forward",
    note="The lines that the compiler names (59, 112, 122, 279, 319, 329) are those of 0.00000000000000006123. A "
    "constant past 65,519 would be another matter; Arm's alternative format holds up to 131,008.",
)
