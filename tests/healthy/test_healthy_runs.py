"""Every healthy run is proven healthy, raises no alarm, and is the same to the bit whether or not it is watched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.healthy.catalogue import RUNS, Healthy, listing
from tests.healthy.check import Watched, calm, watched
from tests.healthy.registry import Use, distance
from tests.healthy.training_loops import fit

# Runs that are healthy and told as sick: defects of the diagnosis, and what it says today.
KNOWN: dict[str, str] = {
    "ray_spheres, fp16": "cancellation, sub",
    "ray_spheres, fp32": "NaN propagation, sqrt: NaN that where() does not take",
    "mandelbrot, fp16": "overflow, add: infinities that a comparison ends",
    "converged, bf16": "swamping, update of a model that has learnt all there is",
}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.run(f"healthy {name}")) for name in RUNS])
def run(request: pytest.FixtureRequest) -> Watched:
    return watched(request.param)


def test_its_results_are_right_and_watching_changes_no_bit(run: Watched) -> None:
    assert run.run.wrong(run.plain) == {}
    for seen in (run.traced[0], run.compared[0]):
        assert seen.keys() == run.plain.keys()
        for name, right in run.plain.items():
            assert seen[name].tobytes() == right.tobytes(), name


def test_no_alarm_with_and_without_a_reference(run: Watched) -> None:
    """A false alarm that is known must come both ways; one that no longer comes is to be taken off the list."""
    found = [watched[1].verdict() for watched in (run.traced, run.compared)]
    assert [calm(one) for one in found] == [run.run.name not in KNOWN] * 2, "\n".join(map(str, found))


def test_the_list_has_every_run_once() -> None:
    lines = [line for line in listing().splitlines() if line.startswith("- ")]
    assert sum(line.rpartition("(")[2].count(",") + 1 for line in lines) == len(RUNS)
    assert KNOWN.keys() <= RUNS.keys()


def test_a_result_that_is_wrong_is_no_proof() -> None:
    assert distance(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == np.inf
    assert distance(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == 0.1
    assert distance(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])) == 0


@pytest.mark.parametrize(
    ("precision", "make"),
    [
        ("fp16", lambda p: hs.optim.Adam(p, lr=1e-2, eps=1e-4)),  # squares of gradients become zero
        ("bf16", lambda p: hs.optim.SGD(p, lr=1e-3)),  # updates are below half an ulp
    ],
)
def test_a_sick_run_is_not_proven_healthy(precision: str, make: Any) -> None:
    def body(use: Use) -> Any:
        return fit(use, make)

    sick = Healthy("sick", "", "", precision, body, 4)
    assert "moved" in sick.wrong(sick.run())
    with hs.trace() as t:
        sick.run()
    assert not calm(t.verdict())
