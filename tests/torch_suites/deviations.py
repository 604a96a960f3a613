"""Where ours may differ from PyTorch, name by name: the suites, the kind of difference, why, and how often at most.

A difference that no row allows fails `test_ops.py` or `test_modules.py`, and so does a row that nothing needs any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One reason to differ. ``most`` bounds the samples of each name in each suite; several rows of one name add up."""

    names: str  # of PyTorch's lists, with spaces: "celu nn.functional.elu", "nn.GRU"
    suites: str  # with spaces: float64 int64 bool float16 bfloat16 error method; of layers train eval error
    kind: str  # an outcome of judging.OUTCOMES: "wrong value", "wrong gradient", "wrong dtype", "unclear error",
    # "accepted", "not a tensor", "refused"
    reason: str  # one line, for docs/pytorch_suites.md too: what PyTorch does, what we do, why
    most: int = 1
    varies: bool = False  # not on every machine, so that it is not missed where it does not occur

    def covers(self, name: str, suite: str, kind: str) -> bool:
        return name in self.names.split() and suite in self.suites.split() and kind == self.kind


# Rows by subject; each keeps to its block.

FLOAT64: tuple[Deviation, ...] = (
    Deviation(
        "signal.windows.kaiser",
        "float64",
        "wrong value",
        "a window of float32 is NaN in PyTorch where i0(beta) overflows float32; here it is computed in float64",
        most=2,
    ),
)

HALVES: tuple[Deviation, ...] = ()

INTEGERS: tuple[Deviation, ...] = (
    Deviation(
        "argsort kthvalue mode sort topk",
        "int64 bool",
        "wrong value",
        "which of equal values a place is of: PyTorch takes any, here sorting is stable and mode takes the last",
        most=8,
        varies=True,
    ),
    Deviation(
        "as_strided",
        "float64 int64 bool",
        "wrong value",
        "the sample is a part of a larger tensor, of which our copy knows nothing",
    ),
)

ERRORS: tuple[Deviation, ...] = (
    Deviation(
        "__radd__ __rand__ __rmul__ __ror__ __rxor__ atan2 clamp_max clamp_min copysign eq fmax fmin fmod gcd ge gt"
        " heaviside hypot isclose lcm ldexp le logaddexp logical_and logical_or logical_xor lt max maximum min minimum"
        " ne nextafter rsub",
        "error",
        "accepted",
        "a number in the place of a tensor, which PyTorch takes of some functions alone, is an operand of all here",
        most=2,
    ),
    Deviation(
        "mean",
        "error",
        "accepted",
        "the mean of integers is a float, as NumPy's is",
        most=2,
    ),
    Deviation(
        "nn.functional.conv1d nn.functional.conv2d nn.functional.conv3d scatter scatter_add",
        "error",
        "accepted",
        "tensors of several formats go together: they are cast to the one that the operation computes in",
    ),
)

REFUSED: tuple[Deviation, ...] = (
    Deviation(
        "addcdiv addcmul",
        "float64 int64 float16 bfloat16",
        "refused",
        "there are no complex numbers",
        most=6,
    ),
    Deviation("where", "int64 bool", "refused", "there are no complex numbers", most=2),
    Deviation(
        "as_strided",
        "float64 int64 bool",
        "refused",
        "the sample is a part of a larger tensor, of which our copy knows nothing",
    ),
    Deviation(
        "nn.functional.batch_norm",
        "float64",
        "refused",
        "an input of one dimension has no axis of channels; PyTorch takes an empty one",
        most=2,
    ),
)

LAYERS: tuple[Deviation, ...] = (
    Deviation(
        "nn.GRU nn.LSTM nn.NLLLoss nn.RNN",
        "error",
        "accepted",
        "tensors of several formats go together: they are cast to the one that the operation computes in",
    ),
)

DEVIATIONS = (*FLOAT64, *HALVES, *INTEGERS, *ERRORS, *REFUSED, *LAYERS)


def allowed(name: str, suite: str, kind: str) -> int:
    """How many samples of a name in a suite may come out so."""
    return sum(row.most for row in DEVIATIONS if row.covers(name, suite, kind))


def needless(name: str, found: Iterable[tuple[str, str]]) -> Iterator[Deviation]:
    """Rows that none of the (suite, kind) found of a name needs."""
    seen = list(found)
    for row in DEVIATIONS:
        if name in row.names.split() and not row.varies and not any(row.covers(name, *pair) for pair in seen):
            yield row
