"""`hs.mend` on every rebuilt case: what a machine can apply mends it, and a policy gives the mended run's bits."""

from __future__ import annotations

from typing import Any

import pytest

import halfsim as hs
from halfsim.gallery.case import flat, off
from tests.cases.catalogue import cases

# Cases that no policy and no option mends, and why.
BY_HAND = {
    "B32": "a call to unscale_() is missing before the clipping",
    "B33": "0/0 in any format: the divisor needs a floor",
    "B53": "the eps is lost in float32 too: it must be added elsewhere",
    "N07": "what is past the largest number of eight bits must be clipped to it",
    "N07b": "a scale of zero divides by zero in any format: a quantiser needs a floor",
    "N17": "the slope of a root at zero is infinite in any format: the argument needs a floor",
    "N18": "an exception's words, no number",
    "N19": "a call to unscale_() is before the last backward()",
    "N20": "a schedule that counts skipped steps",
    "N23": "a row that is masked altogether divides 0 by 0 in any format",
    "N32": "two masks add up to minus infinity in float32 too: join them first",
}


# The longest runs: under `slow`; last on 2026-11-29, all were mended.
LONG = ("B39", "B41")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.run(f"case {n}"), *[pytest.mark.slow] * (n in LONG)]) for n in cases()]
)
def test_what_can_be_applied_mends_and_a_policy_gives_its_bits(name: str) -> None:
    case = cases()[name]
    accepted: set[bytes] = set()

    def accept(value: Any) -> bool:
        right = off(value, case.reference) <= case.tolerance
        if right:
            accepted.add(flat(value).tobytes())
        return right

    hs.manual_seed(0)
    found = hs.mend(case.run, case.precision, accept=accept)
    if name in BY_HAND:
        assert found.best is None, f"{name} is mended by {found.best}: strike it from the list"
        return
    if found.healthy:  # its value is right, and what is reported of it something else
        return
    assert max(map(len, str(found).splitlines())) <= 100
    assert found.finding is not None
    applicable = [fix for fix in found.finding.fixes if fix.policy is not None or fix.option]
    if found.best is None:
        assert not applicable, found
        return
    assert not applicable or applicable[0].text in [one.fix.text for one in found.tried]
    if found.best.policy is not None and not found.best.option:
        hs.manual_seed(0)
        with hs.precision(found.best.policy, override=found.override):
            assert flat(case.run()).tobytes() in accepted


def test_those_mended_by_hand_are_cases() -> None:
    assert BY_HAND.keys() <= cases().keys()
