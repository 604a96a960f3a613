"""What a comparison says is true: no number contradicts its sentence, and nothing is said twice."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.compare.cause import _apart
from halfsim.diagnose.compare.result import Comparison

X = np.random.default_rng(0).standard_normal((16, 8))


def said(found: Comparison) -> str:
    """All words of the text and of the page."""
    return " ".join((str(found) + re.sub("<[^>]*>", " ", found.page())).split())


def words(found: Comparison) -> str:
    return " ".join(str(found).split())


# NaN.


def not_a_number() -> hs.Tensor:
    x = hs.tensor([0.0, 1.0])
    return x / x


def test_nan_in_both_runs_is_no_agreement() -> None:
    found = hs.compare(not_a_number, "fp16")
    verdict = found.verdict()
    assert (verdict.klass, verdict.op) == ("NaN propagation", "div")
    assert "so it is in the reference" in verdict.message
    assert "1 of 2 numbers of result are not finite in either run" in verdict.message
    assert "nothing" not in verdict.fix
    assert verdict.where == f"test_cause.py:{not_a_number.__code__.co_firstlineno + 2}"
    row = found.results[0]
    assert (row.not_finite, row.nan, row.size) == (1, 1, 2)
    assert math.isnan(row.relative_error)
    assert "agrees" not in said(found)
    assert all(math.isnan(place.relative_error) for place in found.places if place.op == "div")
    assert json.loads(found.to_json())["results"][0]["relative_error"] == "nan"
    assert found.largest == 0, "of what can be compared"


def test_a_number_that_is_nan_in_both_runs() -> None:
    found = hs.compare(lambda: (hs.tensor(0.0) / 0.0).item(), "fp16")
    assert found.verdict().klass == "NaN propagation"
    assert "agrees" not in said(found)


def test_infinities_in_both_runs_agree_with_nothing() -> None:
    found = hs.compare(lambda: hs.tensor([1.0, 2.0]) / hs.tensor([0.0, 1.0]), "fp16")
    assert "1 of 2 numbers of result are not finite in either run" in found.verdict().message
    assert found.results[0].relative_error == 0, "of the finite ones"
    alone = hs.compare(lambda: hs.tensor([1.0]) / hs.tensor([0.0]), "fp16")
    assert math.isnan(alone.results[0].relative_error)
    assert "agrees" not in said(found) + said(alone)


def test_nan_in_the_run_alone_is_told_with_its_place() -> None:
    found = hs.compare(lambda: (x := hs.tensor([300.0]) * 300.0) - x, "fp16")
    assert (found.verdict().klass, found.verdict().op) == ("overflow", "mul")
    assert "agrees" not in said(found)


# Tolerances.


def test_a_tolerance_below_the_unit_roundoff_is_told_as_that() -> None:
    found = hs.compare(lambda: hs.ops.tanh(hs.tensor(X)).sum(), "fp16", tolerance=1e-5)
    assert found.notes == (
        "The tolerance of 1e-05 is below the unit roundoff of float16, 0.000488: one rounding may pass it.",
    )
    assert "take a tolerance above the unit roundoff, 0.000488" in found.verdict().fix
    enough = hs.compare(lambda: hs.ops.tanh(hs.tensor(X)).sum(), "fp16", tolerance=5e-4)
    assert enough.notes == ()


def test_trouble_is_told_at_any_tolerance() -> None:
    found = hs.compare(lambda: (hs.ops.tanh(hs.tensor(X)) * 300.0) * 300.0, "fp16", tolerance=1e-7)
    assert (found.verdict().klass, found.verdict().op) == ("overflow", "mul")


# Words.


@pytest.mark.parametrize(("x", "y"), [(0.1000004, 0.1), (0.1, 0.1 + 1e-12), (2.0, 1.0), (1e-9, 1.0000001e-9)])
def test_two_numbers_are_told_apart(x: float, y: float) -> None:
    a, b = _apart(x, y)
    assert (float(a) > float(b)) == (x > y)
    assert a != b


def test_numbers_too_small_for_the_format_are_told_as_that() -> None:
    found = hs.compare(lambda: hs.tensor([1e-10, 3e-10]) * 2.0, "fp16")
    message = found.verdict().message
    assert "the numbers are too small for float16, whose smallest is 5.96e-08" in message
    assert "ulp" not in message


def test_sums_that_cancel_do_not_lend_their_error_to_the_largest() -> None:
    """A difference of rounded numbers is off by its own size, and that is no divergence."""

    def run() -> hs.Tensor:
        x = hs.tensor([0.1, 0.7, 1.9])
        return x * 3.0 - x * 3.0000001

    found = hs.compare(run, "fp16")
    assert found.largest > 0.1
    for match in re.finditer(r"off by more than (\S+) of its norm(?:, with (\S+) allowed)?", said(found)):
        assert float(match[1]) <= float(match[2] or found.tolerance)


def everything() -> dict[str, Callable[[], Any]]:
    """Runs with trouble of many kinds, and healthy ones."""

    def training(lr: float, kind: str = "SGD", factor: float = 1.0) -> Callable[[], Any]:
        def run() -> list[Any]:
            hs.manual_seed(0)
            model = hs.nn.Sequential(hs.nn.Linear(8, 8), hs.nn.BatchNorm1d(8), hs.nn.ReLU(), hs.nn.Linear(8, 3))
            optimizer = getattr(hs.optim, kind)(model.parameters(), lr=lr)
            for _ in range(3):
                optimizer.zero_grad()
                loss = hs.nn.cross_entropy(model(hs.tensor(X) * factor), np.arange(16) % 3)
                loss.backward()
                optimizer.step()
            return [loss, *model.parameters()]

        return run

    return {
        "healthy": training(0.1),
        "lost": training(1e-7),
        "adam": training(1e-3, "Adam"),
        "large": training(0.1, factor=1e6),
        "nan": not_a_number,
        "small": lambda: hs.tensor([1e-10, 3e-10]) * 2.0,
        "cancelled": lambda: hs.ops.sqrt((hs.tensor([1.001]) - 1.0) * 1e3),
        "summed": lambda: hs.ops.cumsum(hs.tensor(np.ones(5000)), 0)[-1],
        "mask": lambda: hs.ops.softmax(hs.tensor(X) + hs.tensor(np.triu(np.full((16, 8), -np.inf), 1)), axis=-1),
        "exact": lambda: hs.tensor([1.0, 2.0]) + 1.0,
    }


@pytest.mark.parametrize(
    ("name", "pair"),
    list(
        itertools.product(everything(), [("fp16", "fp64"), ("pure_fp16", "fp32"), ("bf16", "fp16"), ("fp16", "bf16")])
    ),
)
def test_no_sentence_contradicts_its_numbers(name: str, pair: tuple[str, str]) -> None:
    found = hs.compare(everything()[name], *pair)
    verdict, text = found.verdict(), said(found)
    for match in re.finditer(r"(?:relative error|errors?) (?:is|of) (\S+), past ([^\s,:;]+)", text):
        assert float(match[1]) > float(match[2])
    for match in re.finditer(r"off by more than (\S+) of its norm, with (\S+) allowed", text):
        assert float(match[1]) <= float(match[2])
    for match in re.finditer(r"agrees to (\S+?)[.;]? ", text):
        assert float(match[1]) <= found.tolerance
        assert not any(row.not_finite for row in found.results)
    for match in re.finditer(r"(\d[\d,]*) of (\d[\d,]*) (?!results compared)", text):
        a, b = (int(n.replace(",", "")) for n in match.groups())
        assert a <= b
    assert words(found).count(" ".join(verdict.message.split())) == 1
    for part in verdict.message.split("; "):
        assert words(found).count(part) == 1, "nothing is told twice"
    assert verdict.fixes[0].text == verdict.fix
    assert max(map(len, str(found).splitlines())) <= 100
    facts = json.loads(found.to_json())["verdict"]
    assert facts["where"] == verdict.where
    assert [fix["text"] for fix in facts["fixes"]] == [fix.text for fix in verdict.fixes]


def test_places_in_the_code_and_policies_are_kept() -> None:
    def run() -> hs.Tensor:
        return (hs.ops.exp(hs.tensor([12.0, 1.0])).sum()).log()

    line = f"test_cause.py:{run.__code__.co_firstlineno + 1}"
    found = hs.compare(run, "fp16")
    verdict, first = found.verdict(), found.first_divergence()
    assert first is not None
    assert verdict.where == first.where == line
    assert verdict.fixes == first.fixes
    policy = verdict.fixes[0].policy
    assert policy is not None
    with hs.precision(policy):
        assert run().item() == pytest.approx(12.0, rel=1e-3)
    assert line in said(found)


def test_a_fork_has_its_line() -> None:
    def run() -> hs.Tensor:
        x = hs.tensor([2048.0]) + 1
        return hs.ops.exp(x * 1e-3) if x.item() > 2048.5 else hs.ops.sqrt(x * 1e-3)

    found = hs.compare(run, "fp16")
    assert found.verdict().klass == "structure"
    assert found.verdict().where == f"test_cause.py:{run.__code__.co_firstlineno + 2}"
