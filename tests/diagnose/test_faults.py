"""Faults planted in working models: the verdict names class, phase, path and operation of each."""

from __future__ import annotations

import pytest

import halfsim as hs
from tests.diagnose.faults.catalogue import FAULTS


@pytest.mark.parametrize("name", FAULTS)
def test_the_verdict_names_the_fault(name: str) -> None:
    known = FAULTS[name]
    t = known.run()
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.phase, found.path, found.op) == known[1:5], f"{found}"
    assert found.message
    assert found.fix
    assert len(max(str(found).splitlines(), key=len)) <= 100
    first = t.first(known.klass)
    assert first is not None
    assert first.klass == known.klass
    if found.klass not in ("accumulation order", "eps lost"):
        assert t.first() is not None
        assert first.event.serial >= found.event.serial or first.event.klass == found.event.klass


def test_there_are_faults_enough() -> None:
    assert len(FAULTS) >= 36
    assert {known.klass for known in FAULTS.values()} == set(hs.diagnose.finding.CLASSES) - {"benign rounding"}
    assert {known.phase for known in FAULTS.values()} == {"forward", "backward", "optimizer"}
