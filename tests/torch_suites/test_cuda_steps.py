"""What differs from PyTorch's CPU results on purpose: still needed, no further off than listed, nothing beside it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from tests.torch_suites.cuda_steps import CUDA, DEVIATIONS, OTHER, excused

torch = pytest.importorskip("torch", reason="PyTorch's samples ship with it")
pytestmark = pytest.mark.filterwarnings("ignore")

from tests.torch_suites import ops  # noqa: E402
from tests.torch_suites.judging import Case, judge  # noqa: E402


@functools.cache
def _infos() -> dict[str, list[Any]]:
    torch.set_num_threads(1)
    found: dict[str, list[Any]] = {}
    for info in ops.infos():
        found.setdefault(info.name, []).append(info)
    return found


def outcomes(name: str, suite: str) -> set[tuple[str, str]]:
    """What comes of the samples of a name: outcomes and reasons."""
    function, _ = ops.find(name)
    found = set()
    for info in _infos()[name][:2]:  # further variants differ in an argument
        ops.seed()
        for case in ops._cases(info, function, suite):
            judged = excused(case, suite, judge(case))
            found.add((judged.outcome, judged.why if judged.outcome == "right" else ""))
    return found


@pytest.mark.parametrize(("name", "suite"), DEVIATIONS)
def test_a_deviation_is_needed_and_nothing_else_is_wrong(name: str, suite: str) -> None:
    found = outcomes(name, suite)
    assert not {outcome for outcome, _ in found} & {"wrong value", "wrong gradient"}
    assert {why for _, why in found} & {CUDA, OTHER}, "a deviation that is none any more"


def _case(theirs: Any, ours: Any, *args: Any) -> Case:
    return Case("rsqrt", theirs, ours, args, {}, "", 1, exact=True)


def test_a_kernel_that_is_neither_the_cpus_nor_cudas_stays_wrong() -> None:
    import halfsim as hs

    x = torch.full((64,), 0.3, dtype=torch.float16)
    for slip in (1.0, 1.001):
        case = _case(torch.rsqrt, lambda t, slip=slip: hs.ops.rsqrt(t) * slip, x)
        judged = excused(case, "float16", judge(case))
        assert judged.outcome == ("right" if slip == 1 else "wrong value")


def test_limits_of_a_deviation_are_kept() -> None:
    row = DEVIATIONS["digamma", "float16"]
    ours, theirs = np.array([np.inf, 355.5, 355.5, np.inf]), np.array([1e9, 356.0, 357.0, -1e9])
    assert row.allowed(ours, theirs, "float16").tolist() == [True, True, False, False]
