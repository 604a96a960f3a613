"""Whether healthy runs are told as healthy."""

from __future__ import annotations

from functools import cache, cached_property

import halfsim as hs
from tests.healthy.catalogue import RUNS, Healthy
from tests.healthy.registry import Array


class Watched:
    """A healthy run, run once in each way, when first asked for: its results, and its trace where it is watched."""

    def __init__(self, run: Healthy) -> None:
        self.run = run

    @cached_property
    def plain(self) -> dict[str, Array]:
        return self.run.run()

    @cached_property
    def traced(self) -> tuple[dict[str, Array], hs.Trace]:
        return self._under(None)

    @cached_property
    def compared(self) -> tuple[dict[str, Array], hs.Trace]:
        return self._under("fp64")

    def _under(self, reference: str | None) -> tuple[dict[str, Array], hs.Trace]:
        with hs.trace(reference=reference) as t:
            return self.run.run(), t


@cache
def watched(name: str) -> Watched:
    """The run of this name, which all tests share."""
    return Watched(RUNS[name])


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
