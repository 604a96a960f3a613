"""PyTorch's OptimizerInfo inputs: the record everywhere, and its parts anew where PyTorch is installed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.torch_suites import optimizers as suite

LINES = suite.recorded()
STEPPED = [line for line in LINES if "weights" in line]


def test_nothing_is_wrong_or_unclear() -> None:
    counts = suite.counts()
    assert all(tally["wrong"] == tally["unclear error"] == 0 for tally in counts.values())
    assert {name for name, tally in counts.items() if tally["refused clearly"] > 1} == {"SparseAdam"}
    assert sum(tally["right"] for tally in counts.values()) > 400


def test_every_optimizer_of_pytorch_is_recorded() -> None:
    assert len({line["optimizer"] for line in LINES}) == 15
    assert all(len(line["outcome"]) == (1 if line["optimizer"] in suite.SUMMING else 3) for line in STEPPED)


def _id(line: dict[str, Any]) -> str:
    return f"{line['optimizer']}-{line['about']}"


@pytest.mark.parametrize("line", STEPPED[::4], ids=_id)
def test_our_weights_are_the_recorded_ones(line: dict[str, Any]) -> None:
    options = suite.options_of(line)
    for fmt, expected in line["weights"].items():
        got = suite.ours(line["optimizer"], options, fmt)
        near = suite.agrees(options, fmt)
        assert all(near(x.reshape(-1)[: suite.SHOWN], want) for x, want in zip(got, expected, strict=True))


def test_the_record_is_of_this_pytorch_and_of_these_optimizers() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("expecttest", reason="PyTorch's own tests need it")
    given = suite.inputs()
    keys = ("optimizer", "about", "options")
    assert [{key: line[key] for key in keys} for line in LINES if "options" in line] == given
    for line in [line for line in LINES if "options" in line][::16]:
        assert suite.compared({key: line[key] for key in keys})["outcome"] == line["outcome"]


def test_what_pytorch_refuses_is_refused() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("expecttest", reason="PyTorch's own tests need it")
    assert suite.refused() == [line for line in LINES if "error" in line]
