"""Careless inputs in every rounding mode: the same bits watched or not, the same verdict with a reference or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops

MODES = ("nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd", "stochastic(seed=3)")
RULES = [f"storage=fp16, compute=fp16, rounding={mode}" for mode in MODES]
RULES += ["fp16", "bf16", "pure_fp16", "fp8", "tf32", "storage=fp16, compute=fp16, overflow=saturate"]
RULES += ["storage=fp16, subnormals=flush"]


def _read_only() -> np.ndarray:
    x = np.arange(6.0) * 0.1
    x.flags.writeable = False
    return x


DATA: dict[str, np.ndarray] = {
    "empty": np.zeros((0, 3)),
    "0-d": np.array(0.1),
    "special": np.array([np.nan, 1.0, -0.0, 0.0, np.inf, -np.inf]),
    "at both ends": np.array([1e-7, -6e-8, 3e-8, 6e-5, 65504.0, 65520.0]),
    "past half": np.array([1e9, 1e-9, 0.1, 3.3, -7e4, 2049.0]),
    "strided": np.arange(24.0).reshape(4, 6)[:, ::-2] * 0.37,
    "read-only": _read_only(),
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "mul": lambda x: x * x * 1.3,
    "reciprocal": lambda x: 1 / x,
    "sum": lambda x: x.sum(),
    "exp": ops.exp,
    "softmax": lambda x: ops.softmax(x, -1),
    "difference": lambda x: (x + 0.1) - x,
    "sqrt": ops.sqrt,
    "where": lambda x: ops.where(x > 0, x, 0.0),
    "mean": lambda x: x.mean(),
    "norm": lambda x: x.norm(),
    "cumsum": lambda x: ops.cumsum(x, -1),
}


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def told(t: hs.Trace) -> Any:
    """What a verdict says but for the measures of a reference; the report can be printed and kept."""
    report, found = t.report(), t.verdict()
    assert str(report)
    json.loads(report.to_json(), parse_constant=no_constant)
    if found is None:
        return None
    return found.klass, found.op, found.fix, "" if found.klass == "benign rounding" else found.message


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("data", DATA)
def test_watching_changes_nothing_and_a_reference_no_verdict(rule: str, data: str) -> None:
    for name, function in FUNCTIONS.items():
        with hs.precision(rule):
            plain = function(hs.tensor(DATA[data])).array.tobytes()
        verdicts = []
        for reference in (None, "fp64"):
            with hs.precision(rule), hs.trace(reference=reference) as t:
                assert function(hs.tensor(DATA[data])).array.tobytes() == plain, name
            verdicts.append(told(t))
        assert verdicts[0] == verdicts[1], name
