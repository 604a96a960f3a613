"""Where halfsim differs from PyTorch's CPU results on purpose: each name and suite with its reason and its limits.

Of two kinds. ``cuda``: PyTorch's CPU kernel takes other steps or branches than its CUDA kernel; each result and
gradient of ours is the CPU's, or the one that `opmath` gives (to the bit in half), where every kernel computes in
float32, element by element, and stores once, as on a GPU. Else PyTorch contradicts calculus, or its functions are off
by some units in the last place: then the elements that differ are few, ``most`` in a sample, and ``allowed`` says
which ones may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import halfsim as hs
from tests.torch_suites.judging import Case, Judged, Pairs, judge
from tests.torch_suites.opmath import opmath
from tests.torch_suites.values import alike

HALVES = ("float16", "bfloat16")
EVERY = ("float64", *HALVES)

Allowed = Callable[[Any, Any, str], Any]  # of ours and theirs where they differ, and the suite: whether each may


def _units(count: int) -> Allowed:
    """Apart by at most so many units in the last place of the suite's format."""
    return lambda a, b, suite: np.abs(a - b) <= count * hs.ulp(b, suite)


_NEIGHBOURS = _units(1)


def _pole(a: Any, b: Any, suite: str) -> Any:
    """Infinite, where PyTorch's is finite and of the same sign."""
    return np.isinf(a) & np.isfinite(b) & (np.sign(a) == np.sign(b))


def _limit(a: Any, b: Any, suite: str) -> Any:
    """The one is NaN, the other a limit at infinity."""
    return np.isnan(a) != np.isnan(b)


def _nearly(part: float) -> Allowed:
    """Relatively, of the largest: products are added up."""
    return lambda a, b, suite: np.abs(a - b) <= part * np.abs(b).max()


def _any(*ways: Allowed) -> Allowed:
    return lambda a, b, suite: np.any([way(a, b, suite) for way in ways], axis=0)


@dataclass(frozen=True)
class Excuse:
    """``name`` of PyTorch's list differs in ``suites``, for the reason ``why``."""

    name: str
    suites: tuple[str, ...]
    why: str
    cuda: bool = True
    most: int = 0
    allowed: Allowed = _NEIGHBOURS


_NAN = "at NaN the gradient is g here and on CUDA; the CPU's vectors take another branch"
_ADDED = "the CPU rounds a number that is added, or multiplies what is added, to half; CUDA does not"
_REST = "the CPU computes rsqrt of what fills no vector as 1 / sqrt(x), both stored; its vectors and CUDA in one step"
_STORED = "the CPU keeps steps in half that CUDA has in float32"
_BUFFER = "the CPU keeps exp(-abs(x)) in half for the gradient; CUDA forms it anew"
_DELTA = "the CPU takes delta unrounded for what fills no vector; its vectors and CUDA as stored"
_SIGN = "the CPU gives x * 0, thus -0 too, for what fills no vector; its vectors and CUDA give 0"
_SINGLE = "the gradient takes 1 / alpha from a float32, the value from a float64"
_OWN = "the product with value is rounded to the operand's own format before it meets a wider one; here in the widest"
_ACCURATE = "the float32 function is off by an ulp, and the exact value close to the middle of two halves"
_TWICE = "a gradient of float64 becomes half by way of float32, two roundings; here one"
_POLES = "trigamma has poles at 0, -1, -2 ...; PyTorch's is finite there, for sin(pi * x) is no zero in floats"
_LIMITS = "at infinity the function has a limit, of which PyTorch's formula makes NaN; at -infinity polygamma has none"
_SLOPE = (
    "the CPU multiplies by a slope as it was drawn, and stores it for the gradient; CUDA multiplies by the stored one"
)


def _rows() -> Iterator[Excuse]:
    yield Excuse("nn.functional.hardtanh", ("float64",), _NAN)
    for name in ("elu", "selu", "hardshrink", "relu6"):
        yield Excuse(f"nn.functional.{name}", EVERY, _NAN)
    yield Excuse("nn.functional.celu", ("float64",), f"{_NAN}; {_SINGLE}", True, 16384, _nearly(1e-7))
    yield Excuse("nn.functional.celu", HALVES, _NAN)
    yield Excuse("nn.functional.softshrink", EVERY, f"{_NAN}; {_SIGN}")
    for name in ("add", "sub", "rsub", "nn.functional.gaussian_nll_loss"):
        yield Excuse(name, HALVES, _ADDED)
    yield Excuse("mvlgamma", HALVES, f"{_ADDED}; {_ACCURATE}", True, 2)
    for name in ("rsqrt", "acos", "acosh", "asin", "asinh"):
        yield Excuse(name, HALVES, _REST)
    yield Excuse("logit", HALVES, _STORED)
    yield Excuse("nn.functional.logsigmoid", HALVES, _BUFFER)
    yield Excuse("nn.functional.huber_loss", HALVES, _DELTA)
    yield Excuse("nn.functional.gelu", ("float16",), "the erf of the CPU's vectors has fewer digits")
    yield Excuse("nn.functional.mish", ("float16",), _ACCURATE, False, 1)
    yield Excuse("lgamma", ("float16",), _ACCURATE, False, 2)
    yield Excuse("float_power", HALVES, _TWICE, False, 2)
    yield Excuse("addcmul", EVERY, _OWN, False, 25, _nearly(2**-7))
    yield Excuse("addcdiv", EVERY, _OWN, False, 25, _nearly(2**-7))
    yield Excuse("i0", EVERY, f"{_LIMITS}; {_ACCURATE}", False, 6, _any(_limit, _units(1)))
    yield Excuse("digamma", EVERY, f"{_POLES}; {_ACCURATE}", False, 150, _any(_pole, _units(2)))
    ways = _any(_limit, _pole, _units(2))
    yield Excuse("polygamma", ("float64",), _LIMITS, False, 6, ways)
    for name in ("polygamma", "special.polygamma"):
        yield Excuse(name, HALVES, f"{_STORED}; {_POLES}; {_LIMITS}; {_ACCURATE}", True, 150, ways)
    yield Excuse("special.i0e", HALVES, _STORED)
    yield Excuse("special.i1", EVERY, f"{_LIMITS}; {_ACCURATE}", False, 8, _any(_limit, _units(1)))
    yield Excuse("special.zeta", ("float64",), _LIMITS, False, 6, _limit)
    yield Excuse("nn.functional.rrelu", ("bfloat16",), _SLOPE, False, 150)


EXCUSES = {(row.name, suite): row for row in _rows() for suite in row.suites}
CUDA, OTHER = "as CUDA's kernels", "deviating as listed"


def excused(case: Case, suite: str, judged: Judged) -> Judged:
    """``judged``, or right with a reason, if the list excuses what is wrong."""
    row = EXCUSES.get((case.name, suite))
    if row is None or judged.outcome not in ("wrong value", "wrong gradient"):
        return judged
    why = reason(row, case, suite)
    return judged if why is None else Judged("right", why, judged.call, judged.size)


def reason(row: Excuse, case: Case, suite: str) -> str | None:
    """Whether each result and each gradient are the CPU's or CUDA's, or within the limits of the row; None if not."""
    cpu: Pairs = []
    cuda: Pairs = []
    judge(case, None, cpu)
    if row.cuda:
        with opmath(scalar=True):
            judge(case, None, cuda)
    known_as = OTHER if not row.cuda else CUDA
    for i, (a, b) in enumerate(cpu):
        known = _alike(a, b, suite)
        if not known.all() and len(cuda) == len(cpu):
            b = cuda[i][1]
            known = _alike(a, b, suite)
        if known.all():
            continue
        with np.errstate(all="ignore"):
            may = row.allowed(a[~known].astype(np.float64), b[~known].astype(np.float64), suite)
        if may.size > row.most or not may.all():
            return None
        known_as = OTHER
    return known_as


def _alike(a: Any, b: Any, suite: str) -> Any:
    """The same halves, to the bit; wider numbers nearly."""
    wide = suite == "float64" or b.dtype == np.float64
    return np.isclose(a, b, rtol=1e-8, atol=1e-9, equal_nan=True) if wide else alike(a, b)
