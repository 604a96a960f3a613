"""A case with its fix applied: as the finding prints it where a machine can do that, else as its file has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from halfsim.autograd.overrides import overriding
from halfsim.autograd.policy import Policy
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import precision
from halfsim.diagnose.finding import Finding
from halfsim.gallery.case import Case, off


def valued(case: Case, rule: object = None, override: bool = False) -> Any:
    """The value of a case in its own precision or under another rule, from the same random numbers each time."""
    manual_seed(0)
    with precision(case.precision if rule is None else rule, override=override):
        return case.run()


def by_policy(case: Case, policy: Policy) -> Any:
    """The value under a policy; where that does not mend it, with the policy over what the run sets itself."""
    value = valued(case, policy)
    return value if off(value, case.reference) <= case.tolerance else valued(case, policy, override=True)


def by_option(case: Case, finding: Finding, option: Mapping[str, Any]) -> Any:
    """The value under an option, None where nothing in the run takes it."""
    meant = (finding.op, finding.values.get("constant"), finding.phase == "optimizer")
    with overriding(option, *meant) as found:
        value = valued(case)
    return value if found.used else None


def by_hand(case: Case) -> Any:
    """The value with the fix typed in, None where the case has none."""
    if case.fixed is None:
        return None
    manual_seed(0)
    with precision(case.precision):
        return case.fixed()


def mended(case: Case, finding: Finding) -> tuple[Any, str]:
    """The value of the mended case, and who mended it: "policy", "option" (of the first fix), or "by hand"."""
    fix = finding.fixes[0]
    ways: dict[str, Callable[[], Any]] = {
        "policy": lambda: None if fix.policy is None else by_policy(case, fix.policy),
        "option": lambda: None if fix.option is None else by_option(case, finding, fix.option),
        "by hand": lambda: by_hand(case),
    }
    for how, way in ways.items():
        value = way()
        if value is not None and off(value, case.reference) <= case.tolerance:
            return value, how
    raise AssertionError(f"{case.name}: no fix mends it")  # which a test of every case rules out
