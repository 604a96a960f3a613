"""What is not given is what PyTorch takes: every default that functions, classes and methods of both share."""

from __future__ import annotations

import inspect
import json
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

import halfsim as hs

DEFAULTS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "recorded" / "defaults.json").read_text("utf-8")
)


def test_defaults_are_pytorchs() -> None:
    """Of functions in C++ a pair of equal numbers is recorded as one: ``stride`` is 1 here and [1, 1] there."""
    wrong = []
    for path, expected in DEFAULTS.items():
        parameters = inspect.signature(reduce(getattr, path.split("."), hs)).parameters
        for name, value in expected.items():
            ours = list(d) if isinstance(d := parameters[name].default, tuple) else d
            if ours != value or isinstance(ours, bool) != isinstance(value, bool):
                wrong.append(f"{path}({name}={ours}), PyTorch's {value}")
    assert not wrong, "\n".join(wrong)


def test_switches_of_backends_stand_as_pytorchs_do() -> None:
    """Sums may be of lower precision where they are split, and products of TF32 are asked for."""
    assert vars(hs.backends.cuda.matmul) == {
        "allow_tf32": False,
        "allow_fp16_reduced_precision_reduction": True,
        "allow_bf16_reduced_precision_reduction": True,
    }


def test_the_record_is_what_the_installed_pytorch_has() -> None:
    torch = pytest.importorskip("torch")
    if torch.__version__.split("+")[0].rpartition(".")[0] != "2.13":
        pytest.skip("recorded from PyTorch 2.13")
    from tests.recorded.record_defaults import recorded

    assert recorded() == DEFAULTS
