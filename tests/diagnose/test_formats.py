"""Verdicts where a format has no infinity, no NaN, no zero or no negative numbers; models stored in each format."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import halfsim as hs

UNSIGNED = "ue4m3(exponent_bits=4, precision=4, specials=nan, signed=False)"
P3109 = "binary8p3(exponent_bits=5, precision=3, specials=p3109, bias=16)"
TOLD: list[tuple[str, Callable[[], object], str, str, str]] = [
    (
        "float8_e4m3fnuz",
        lambda: hs.tensor([30.0]) * 30.0,
        "overflow",
        "mul",
        "for float8_e4m3fnuz has no infinity",
    ),
    (P3109, lambda: hs.tensor([30000.0]) * 2.0, "overflow", "mul", "infinite, past 49152"),
    ("float4_e2m1fn", lambda: hs.tensor([3.0]) * 4.0, "clipped", "mul", "clipped to 6, the largest number of float4"),
    ("float4_e2m1fn", lambda: hs.tensor([np.inf]), "clipped", "tensor", "clipped to 6"),
    ("float4_e2m1fn", lambda: hs.tensor([0.0]) / hs.tensor([0.0]), "NaN propagation", "div", "a number instead"),
    ("float4_e2m1fn", lambda: hs.tensor([1.0]) / hs.tensor([0.0]), "overflow", "div", "are 6 by a division by zero"),
    ("float8_e4m3fn", lambda: hs.tensor([1.0]) / hs.tensor([0.0]), "overflow", "div", "are NaN by a division by zero"),
    ("float8_e8m0fnu", lambda: hs.tensor([0.0, 2.0]), "NaN propagation", "tensor", "no zero and no negative numbers"),
    ("float8_e8m0fnu", lambda: hs.tensor([1.0]) - 2.0, "NaN propagation", "sub", "no zero and no negative numbers"),
    (UNSIGNED, lambda: hs.tensor([1.0]) - 2.0, "NaN propagation", "sub", "ue4m3 has no negative numbers"),
]


@pytest.mark.parametrize("reference", [None, "fp64"])
@pytest.mark.parametrize(("storage", "run", "klass", "op", "words"), TOLD)
def test_what_a_format_lacks_is_told(
    storage: str, run: Callable[[], object], klass: str, op: str, words: str, reference: str | None
) -> None:
    with hs.precision(f"storage={storage}"), hs.trace(reference=reference) as t:
        run()
    found = t.verdict()
    assert (found.klass, found.op) == (klass, op)
    assert words in found.message


def test_what_a_formula_masks_is_killed_as_before() -> None:
    """A norm's gradient at 0 is 0/0 inside its formula, and 0 in its result."""
    for storage in ("float16", "float8_e4m3fn"):
        with hs.precision(f"storage={storage}"), hs.trace() as t:
            hs.tensor(np.zeros(4), requires_grad=True).norm().backward()
        found = t.verdict()
        assert found is None or found.klass == "benign rounding", storage


FORMATS = (
    *("float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2"),
    *("float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", UNSIGNED, P3109),
)


@pytest.mark.filterwarnings("ignore::halfsim.nn.ConversionWarning")
@pytest.mark.parametrize("storage", FORMATS)
def test_a_model_trains_in_each_format_and_stays_on_its_grid(storage: str) -> None:
    """Forward, backward, two steps, under a trace with a reference; weights and gradients are numbers of it."""
    precision = hs.Precision(f"storage={storage}, compute={storage}")
    assert hs.Precision(str(precision)) == precision
    hs.manual_seed(0)
    data = np.random.default_rng(0)
    with hs.precision(precision), hs.trace(reference="fp64") as t:
        model = hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.ReLU(), hs.nn.LayerNorm(8), hs.nn.Linear(8, 3)).to(storage)
        optimizer = hs.optim.SGD(model.parameters(), lr=0.25, momentum=0.5)
        x, y = hs.tensor(data.standard_normal((6, 4))), hs.tensor(data.integers(0, 3, 6))
        for _ in range(2):
            optimizer.zero_grad()
            hs.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert t.verdict() is not None
    fmt = hs.formats.as_format(storage)
    for parameter in model.parameters():
        for part in (parameter, parameter.grad):
            values = np.asarray(part.numpy(), np.float64)
            np.testing.assert_array_equal(hs.decode(part.bits(), fmt), values)
            np.testing.assert_array_equal(hs.round_to(values, fmt), values)


@pytest.mark.parametrize("reference", [None, "fp64"])
@pytest.mark.parametrize(
    ("rule", "klass", "words"),
    [
        ("storage=float16", "constant changed", "is infinite in float16"),
        ("storage=float8_e5m2", "constant changed", "is infinite in float8_e5m2"),
        ("storage=float8_e4m3fn", "constant changed", "is NaN in float8_e4m3fn"),
        ("storage=float8_e4m3fnuz", "constant changed", "is NaN in float8_e4m3fnuz"),
        ("storage=float4_e2m1fn", "clipped", "were clipped to 6"),
        ("storage=float16, overflow=saturate", "clipped", "were clipped to 65504"),
        ("storage=float8_e4m3fn, overflow=saturate_inf", "clipped", "were clipped to 448"),
    ],
)
def test_a_constant_past_the_largest_number_is_told_as_what_it_becomes(
    rule: str, klass: str, words: str, reference: str | None
) -> None:
    def masked(constant: float) -> hs.Tensor:
        return hs.ops.masked_fill(hs.tensor([1.0, 2.0]), np.array([True, False]), constant)

    with hs.precision(f"{rule}, compute=fp32"):
        with hs.trace(reference=reference) as t:
            masked(-1e9)
        found = t.verdict()
        assert found is not None
        assert (found.klass, found.op) == (klass, "masked_fill")
        assert words in found.message
        assert ("math.inf" in found.fix) == ("infinite" in words)
        if klass == "constant changed":  # the fix applied
            assert found.fixes[0].option is not None
            with hs.trace(reference=reference) as t:
                held = masked(found.fixes[0].option["constant"])
            assert np.isfinite(held.numpy()).all()
            after = t.verdict()
            assert after is None or after.klass == "benign rounding"
