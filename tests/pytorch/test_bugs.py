"""The catalogue's bugs in their original form: the symptom shows, and class, operation and phase are named."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import halfsim as hs  # noqa: E402
from halfsim.pytorch import Mapped, simulate  # noqa: E402
from tests.pytorch.bugs import BUGS, Bug  # noqa: E402


def run(bug: Bug) -> Any:
    torch.manual_seed(0)
    with simulate(bug.precision, depth=bug.depth):
        return bug.run()


@pytest.mark.parametrize("bug", BUGS.values(), ids=list(BUGS))
def test_a_bug_is_found_in_its_original_form(bug: Bug) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Mapped)
        alone = run(bug)
        with hs.trace() as t:
            value = run(bug)
    assert bug.broken(value)
    assert torch.equal(*(torch.nan_to_num(torch.as_tensor(x).float()) for x in (alone, value)))
    found = t.verdict()
    assert found is not None
    assert found.klass in ((bug.klass,) if isinstance(bug.klass, str) else bug.klass)
    assert found.op in ((bug.op,) if isinstance(bug.op, str) else bug.op)
    assert found.phase == bug.phase
    assert found.where.startswith("bugs.py:")
    assert found.fix


@pytest.mark.parametrize("bug", [b for b in BUGS.values() if not b.id.startswith("B3") and b.precision == "fp16"],
                         ids=lambda b: b.id)  # fmt: skip
def test_float32_tells_nothing(bug: Bug) -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Mapped)
        with simulate("fp32"), hs.trace() as t:
            value = bug.run()
    found = t.verdict()
    if bug.id not in ("B53", "N25", "B23"):  # lost in float32 too; and halves that the program itself asks for
        assert not bug.broken(value)
        assert found is None or found.klass in ("benign rounding", "underflow", "cancellation", "swamping", "eps lost")


def test_there_are_enough_of_them() -> None:
    assert len(BUGS) >= 30
