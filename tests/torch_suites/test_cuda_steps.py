"""What the steps of PyTorch's kernels excuse is no further off than listed; that it is needed, `test_ops.py` asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.torch_suites.cuda_steps import EXCUSES, excused

torch = pytest.importorskip("torch", reason="PyTorch's samples ship with it")
pytestmark = pytest.mark.filterwarnings("ignore")

from tests.torch_suites.judging import Case, judge  # noqa: E402


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
    row = EXCUSES["digamma", "float16"]
    ours, theirs = np.array([np.inf, 355.5, 355.5, np.inf]), np.array([1e9, 356.0, 357.0, -1e9])
    assert row.allowed(ours, theirs, "float16").tolist() == [True, True, False, False]
