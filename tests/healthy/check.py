"""Whether healthy runs are told as healthy."""

from __future__ import annotations

import halfsim as hs
from tests.healthy.catalogue import RUNS


def calm(found: hs.Finding | None) -> bool:
    """Whether a verdict is no alarm."""
    return found is None or found.klass == "benign rounding"


def alarms() -> dict[str, str]:
    """The runs that raise an alarm, without or with a reference, and what it says."""
    found: dict[str, str] = {}
    for name, run in RUNS.items():
        for reference in (None, "fp64"):
            with hs.trace(reference=reference) as t:
                run.run()
            verdict = t.verdict()
            if verdict is not None and not calm(verdict):
                found[name] = f"{verdict.klass} in {verdict.place}, {verdict.phase}"
    return found
