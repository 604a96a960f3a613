"""Every healthy run is proven healthy, raises no alarm, and is the same to the bit whether or not it is watched."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pytest

import halfsim as hs
from tests.healthy.catalogue import RUNS, Healthy, listing
from tests.healthy.registry import Array

KNOWN: dict[str, str] = {}
KNOWN_WITH_REFERENCE: dict[str, str] = {}


class Watched:
    """A healthy run, run once in each way, when first asked for."""

    def __init__(self, run: Healthy) -> None:
        self.run = run

    @cached_property
    def plain(self) -> dict[str, Array]:
        return self.run.run()

    @cached_property
    def traced(self) -> tuple[dict[str, Array], hs.Finding | None]:
        with hs.trace() as t:
            result = self.run.run()
        return result, t.verdict()

    @cached_property
    def compared(self) -> tuple[dict[str, Array], hs.Finding | None]:
        with hs.trace(reference="fp64") as t:
            result = self.run.run()
        return result, t.verdict()


@pytest.fixture(scope="module", params=RUNS)
def watched(request: pytest.FixtureRequest) -> Watched:
    return Watched(RUNS[request.param])


def test_its_results_are_right(watched: Watched) -> None:
    assert watched.run.wrong() == {}


def test_no_alarm(watched: Watched, request: pytest.FixtureRequest) -> None:
    if watched.run.name in KNOWN:
        request.applymarker(pytest.mark.xfail(reason=KNOWN[watched.run.name], strict=False))
    assert calm(watched.traced[1]), f"{watched.traced[1]}"


def test_no_alarm_with_a_reference(watched: Watched, request: pytest.FixtureRequest) -> None:
    if watched.run.name in KNOWN_WITH_REFERENCE:
        request.applymarker(pytest.mark.xfail(reason=KNOWN_WITH_REFERENCE[watched.run.name], strict=False))
    assert calm(watched.compared[1]), f"{watched.compared[1]}"


def test_watching_changes_no_bit(watched: Watched, request: pytest.FixtureRequest) -> None:
    if "raises" in KNOWN_WITH_REFERENCE.get(watched.run.name, ""):
        request.applymarker(pytest.mark.xfail(reason=KNOWN_WITH_REFERENCE[watched.run.name], strict=False))
    for seen in (watched.traced[0], watched.compared[0]):
        assert seen.keys() == watched.plain.keys()
        for name, right in watched.plain.items():
            assert seen[name].tobytes() == right.tobytes(), name


def calm(found: hs.Finding | None) -> bool:
    return found is None or found.klass == "benign rounding"


def test_the_list_has_every_run_once() -> None:
    lines = [line for line in listing().splitlines() if line.startswith("- ")]
    assert sum(line.rpartition("(")[2].count(",") + 1 for line in lines) == len(RUNS)
    assert {*KNOWN, *KNOWN_WITH_REFERENCE} <= RUNS.keys()


def test_a_result_that_is_wrong_is_no_proof() -> None:
    from tests.healthy.registry import distance

    assert distance(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == np.inf
    assert distance(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == 0.1
    assert distance(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])) == 0
