"""Functions that NumPy lacks, against MPFR."""

import gmpy2
import numpy as np

from halfsim.numerics.erf import erf


def test_erf_is_within_three_units_of_mpfr(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.uniform(-6.5, 6.5, 20_000), 10 ** rng.uniform(-300, 0, 5_000), np.arange(-512, 512) / 512])
    with gmpy2.context(precision=100):
        exact = [gmpy2.erf(gmpy2.mpfr(float(v))) for v in x]
        errors = [abs(float(gmpy2.mpfr(float(y)) - e)) for y, e in zip(erf(x), exact, strict=True)]
    assert np.max(errors / np.spacing(np.abs([float(e) for e in exact]))) < 3


def test_edges_of_erf() -> None:
    x = np.array([[np.inf, -np.inf, np.nan], [0.0, -0.0, 5e-324]])
    y = erf(x)
    assert y[0, :2].tolist() == [1, -1]
    assert np.isnan(y[0, 2])
    assert np.signbit(y[1]).tolist() == [False, True, False]
    assert y[1, 2] == 5e-324
    assert erf(np.float64(2.0)).shape == ()
    assert erf(np.empty((0, 3))).shape == (0, 3)
