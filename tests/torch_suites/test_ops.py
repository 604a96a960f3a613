"""PyTorch's samples of its operations: recorded ones everywhere, all of them where PyTorch is installed.

python -m pytest -m torch_suites tests/torch_suites -k "test_no_sample_differs and [softmax]"
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.torch_suites import ops, page, record
from tests.torch_suites.deviations import DEVIATIONS
from tests.torch_suites.holding import NO_TORCH, troubles, unheld
from tests.torch_suites.judging import OUTCOMES

NAMES: dict[str, Any] = record.read(record.OPS)["names"]
HERE = [name for name, line in NAMES.items() if line["place"]]


@pytest.mark.parametrize("suite", record.WANTED)
def test_recorded_samples_hold(suite: str) -> None:
    lines = [(NAMES[name]["place"], line) for name in HERE for line in NAMES[name]["samples"] if line["suite"] == suite]
    assert len(lines) > {"float64": 700, "int64": 250, "float16": 100, "error": 60}[suite]
    judged = [(line["call"], record.judged_op(place, line)) for place, line in lines]
    assert [(call, outcome) for call, outcome in judged if outcome[0] != "right"] == []


def test_nearly_every_name_has_a_recorded_sample() -> None:
    assert sum(bool(NAMES[name]["samples"]) for name in HERE) > 0.97 * len(HERE)


def test_the_record_is_small() -> None:
    assert record.OPS.stat().st_size + record.MODULES.stat().st_size < 1_500_000


def test_the_page_is_that_of_the_record() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.text(), "run python -m tests.torch_suites --page"


def test_rows_of_deviations_are_well_formed() -> None:
    layers = record.read(record.MODULES)["names"]
    for row in DEVIATIONS:
        assert set(row.names.split()) <= NAMES.keys() | layers.keys(), row
        assert set(row.suites.split()) <= {*ops.SUITES, "train", "eval"}, row
        assert row.kind in OUTCOMES[:-2], row
        assert row.reason, row
        assert row.most > 0, row


@pytest.mark.torch_suites
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HERE)
def test_no_sample_differs(name: str) -> None:
    """Nor is a result of another dtype, an error unclear, or accepted what PyTorch refuses; `deviations` apart."""
    pytest.importorskip("torch", reason=NO_TORCH)
    pytest.importorskip("expecttest", reason="PyTorch's own tests need it")
    entry = ops.run((name,))[name]
    assert entry.place == NAMES[name]["place"]
    found = [*troubles(entry), *unheld(entry, NAMES[name])]
    assert not found, "\n".join(found)


@pytest.mark.torch_suites
@pytest.mark.filterwarnings("ignore")
def test_the_record_has_every_name_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    pytest.importorskip("expecttest", reason="PyTorch's own tests need it")
    if torch.__version__.split("+")[0] != record.read(record.OPS)["torch"]:
        pytest.skip("another version of PyTorch was recorded")
    found = {info.name: ops.find(info.name)[1] for info in ops.infos()}
    assert found == {name: line["place"] for name, line in NAMES.items()}, "run python -m tests.torch_suites --write"
