from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import halfsim as hs
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Constant, Event
from halfsim.autograd.trace.kinds import KINDS, kind_of
from halfsim.demo.advice import Facts, advise
from halfsim.text import share

EPS = Constant("eps =", 1e-8, hs.float16, 0.0)


def event(phase: str = "backward", lost: Constant | None = None, tensor: str = "weight", **counts: int) -> Event:
    return Event(3, phase, "0", "linear", tensor, (4,), Counts(**counts), lost)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (event(size=9, nonzero=8, flushed=6), "6 of 8 nonzero gradients became zero in float32"),
        (event("forward", size=9, nonzero=8, flushed=6), "6 of 8 nonzero values became zero in float32"),
        (event(size=9, overflow=2, invalid=1), "1 of 9 values became NaN and 2 of 9 values became infinite"),
        (event(size=9, divide_by_zero=2), "2 of 9 results are infinite by a division by zero"),
        (event(addends=2000, swamped=1500, stalled=1), "1,500 of 2,000 nonzero addends changed nothing"),
        (event(lost=EPS), "eps = 1e-08 is zero in float16 (smallest subnormal 5.96e-08)"),
    ],
)
def test_events_are_told_by_their_gravest_class(given: Event, text: str) -> None:
    assert KINDS[kind_of(given)].words(given).startswith(text)


HEALTHY = Facts(
    accuracy=0.95, reference=0.95, learned=True, finite=True, broken=False, flushed=0.0, lost=0.0, overflows=0,
    skipped=0, scaled=False, master_weights=False, first=None, constant=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "Nothing to mend."),
        ({"broken": True, "constant": event(lost=EPS, tensor="eps")}, "divides by zero in 0 at step 3"),
        (
            {"broken": True, "constant": event(lost=Constant("lr =", 1e6, hs.float16, float("inf")))},
            "after lr = 1e+06 is infinite",
        ),
        ({"broken": True, "first": event(overflow=1)}, "first seen in linear in 0 (weight) at step 3"),
        ({"broken": True}, "The weights ended infinite or NaN; lower"),
        ({"finite": False, "learned": False}, "The loss ended infinite or NaN; lower"),
        ({"lost": 0.4}, "accuracy has not suffered here (95.0% against 95.0% in fp32)"),
        ({"lost": 0.4, "accuracy": 0.5}, "accuracy fell to 50.0% against 95.0% in fp32"),
        ({"lost": 0.4, "accuracy": 0.93}, "has not suffered"),
        ({"lost": 0.4, "reference": None}, "compare with recipe fp32"),
        ({"lost": 0.4, "master_weights": True}, "Nothing to mend."),
        ({"lost": 0.9, "learned": False, "accuracy": 0.1, "reference": 0.1}, "no better than guessing"),
        ({"lost": 0.9, "learned": False, "accuracy": 0.1}, "accuracy fell to 10.0%"),
        ({"learned": False, "reference": None}, "no better than guessing"),
        ({"skipped": 1, "master_weights": True}, "skipped 1 step while"),
        ({"skipped": 5, "master_weights": True}, "skipped 5 steps"),
        ({"flushed": 0.2}, "scale the loss (recipe amp)"),
        ({"flushed": 0.2, "scaled": True, "master_weights": True}, "the scale has room"),
        ({"overflows": 3}, "65504"),
        ({"first": event(size=9, nonzero=8, flushed=6)}, "Nothing to mend: accuracy has not suffered"),
    ],
)
def test_each_ailment_gets_its_sentence(change: dict[str, Any], text: str) -> None:
    sentence = advise(replace(HEALTHY, **change))
    assert text in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_shares() -> None:
    assert (share(1, 4), share(0, 0), share(5, 4)) == (0.25, 0.0, 1.0)
