"""PyTorch's samples of its layers: recorded ones everywhere, all of them where PyTorch is installed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.torch_suites import modules, record
from tests.torch_suites.holding import NO_TORCH, troubles, unheld

NAMES: dict[str, Any] = record.read(record.MODULES)["names"]
HERE = [name for name, line in NAMES.items() if line["place"]]


def test_recorded_samples_hold() -> None:
    lines = [(name, line) for name in HERE for line in NAMES[name]["samples"]]
    assert len(lines) > 150
    judged = [(line["call"], record.judged_layer(name, line)) for name, line in lines]
    assert [(call, outcome) for call, outcome in judged if outcome[0] != "right"] == []


@pytest.mark.torch_suites
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HERE)
def test_no_sample_differs(name: str) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    pytest.importorskip("expecttest", reason="PyTorch's own tests need it")
    entry = modules.run((name,))[name]
    found = [*troubles(entry), *unheld(entry, NAMES[name])]
    assert not found, "\n".join(found)


@pytest.mark.torch_suites
@pytest.mark.filterwarnings("ignore")
def test_the_record_has_every_layer_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    pytest.importorskip("expecttest", reason="PyTorch's own tests need it")
    from torch.testing._internal.common_modules import module_db

    if torch.__version__.split("+")[0] != record.read(record.MODULES)["torch"]:
        pytest.skip("another version of PyTorch was recorded")
    assert {info.name: modules.place(info.name) for info in module_db} == {n: x["place"] for n, x in NAMES.items()}
