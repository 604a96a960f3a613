"""Formulas looked up by the code of their operand: the bits of the formula itself, on all codes there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd import lookup

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(hs.ops, name) for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfc", "exp", "expm1", "gelu", "log",
        "log1p", "log2", "log10", "mish", "sigmoid", "silu", "sin", "sinh", "softplus", "tan", "tanh",
    )},
    "gelu by tanh": lambda x: hs.ops.gelu(x, approximate="tanh"),
    "softplus of another slope": lambda x: hs.ops.softplus(x, beta=2, threshold=3.0),
}  # fmt: skip


def _run(call: Callable[[Any], Any], values: np.ndarray, precision: str) -> list[np.ndarray]:
    with hs.precision(precision):
        x = hs.tensor(values, "bf16" if "b" in precision else "fp16", requires_grad=True)
        y = call(x)
        y.backward(hs.tensor(np.linspace(-3, 3, values.size), x.format))
    return [y.array, x.grad.array]


@pytest.fixture
def fresh() -> Any:
    lookup._table.cache_clear()
    yield
    lookup._table.cache_clear()


@pytest.mark.parametrize("precision", ["fp16", "bf16", "storage=fp16, compute=fp16, accumulate=fp32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_code_has_the_bits_of_the_formula(
    name: str, precision: str, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = np.arange(65536)
    with np.errstate(invalid="ignore"):  # of signaling NaN
        values = hs.decode(codes, "bfloat16" if "b" in precision else "float16").astype(np.float32)
    values = values[~np.isnan(values)]
    made: list[Any] = []
    making = lookup._made
    monkeypatch.setattr(lookup, "_made", lambda *given: made.append(given) or making(*given))
    expected = _run(OPERATIONS[name], values, precision)
    assert not made  # the first time costs what a table would
    found = _run(OPERATIONS[name], values, precision)
    assert made
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def test_what_no_table_serves_is_computed(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_WORTH", 0)
    monkeypatch.setattr(lookup, "_made", lambda *given: pytest.fail("a table"))
    x = np.linspace(-2, 2, 4096)
    with hs.precision("fp32"):
        hs.ops.tanh(hs.tensor(x))
    with hs.precision("fp16"):
        hs.ops.tanh(hs.tensor(x[:1000]))
        hs.ops.tanh(hs.tensor(np.where(x > 1.9, np.nan, x)))
        with hs.trace():
            hs.ops.tanh(hs.tensor(x))
    with hs.precision("storage=fp16, compute=fp32, accumulate=fp32, rounding=upward"):
        hs.ops.tanh(hs.tensor(x))


def test_a_trace_counts_as_before(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tables made beforehand, a trace sees what it sees of the first run."""
    x = np.linspace(-300, 300, 4096)

    def told() -> str:
        with hs.precision("fp16"), hs.trace() as trace:
            hs.ops.gelu(hs.tensor(x, requires_grad=True)).sum().backward()
            hs.ops.exp(hs.tensor(x)).sum()
        return str(trace.report())

    first = told()
    monkeypatch.setattr(lookup, "_WORTH", 0)
    with hs.precision("fp16"):
        hs.ops.gelu(hs.tensor(x))
        hs.ops.exp(hs.tensor(x))
    assert told() == first
