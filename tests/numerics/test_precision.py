from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics.accumulate import accumulator
from halfsim.numerics.precision import PRESETS, native


@pytest.mark.parametrize("name", PRESETS)
def test_the_grammar_round_trips(name: str) -> None:
    precision = hs.Precision(name)
    assert hs.Precision(str(precision)) == precision
    assert hash(hs.Precision(str(precision))) == hash(precision)


def test_presets_are_what_the_design_says() -> None:
    assert hs.Precision("storage=fp16") == hs.FP16
    assert hs.FP16.compute is hs.float32
    assert hs.PURE_FP16.accumulate == accumulator("fp16:sequential")
    assert (hs.TF32.storage, hs.TF32.operands) == (hs.float32, hs.tfloat32)
    assert hs.FP64.accumulate == accumulator("fp64")
    assert native(hs.float16) == hs.FP16


def test_roles_can_be_keywords_and_change_a_preset() -> None:
    changed = hs.Precision("fp16", compute="fp16")
    assert changed.storage is changed.compute is hs.float16
    assert changed.accumulate == hs.FP16.accumulate


BAD = [
    ("fp17", "precision: 'fp17' is not allowed (did you mean 'fp16'?)"),
    ("storge=fp16", "precision: 'storge' is not allowed (did you mean 'storage'?)"),
    ("storage=fp17", "storage: 'fp17' is not allowed"),
    ("accumulate=fp16", "accumulate: 'float16' needs an order"),
    ("storage=", "precision: 'storage=' is not allowed; allowed: role=value"),
    ("storage=fp16, storage=fp32", "precision: 'storage' is given twice; allowed: once"),
    ("storage=fp16,", "precision: '' is not allowed"),
]


@pytest.mark.parametrize(("spec", "text"), BAD)
def test_errors_are_one_line_and_name_what_is_allowed(spec: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the texts are compared below
        hs.Precision(spec)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_what_is_no_string_is_refused() -> None:
    with pytest.raises(TypeError, match="^precision: "):
        hs.Precision(16)  # type: ignore[arg-type]


def test_precisions_are_values() -> None:
    with pytest.raises(AttributeError):
        hs.FP16.storage = hs.float32  # type: ignore[misc]


def test_a_precision_shows_what_makes_it_again() -> None:
    for precision in (hs.PURE_FP16, hs.Precision("fp16", rounding="stochastic(seed=1, bits=8)")):
        assert repr(precision) == f"Precision('{precision}')"


def test_overflow_saturates_infinities_too() -> None:
    precision = hs.Precision("storage=bf16, operands=e4m3, overflow=saturate_inf")
    assert hs.Precision(str(precision)) == precision == hs.FP8
    with hs.precision("fp8"), hs.trace() as trace:
        product = hs.tensor([[np.inf, 1.0]], "fp32") @ hs.tensor([[1.0], [1.0]], "fp32")
    assert product.tolist() == [[448.0 + 1.0 - 1.0]]  # 449 is 448 in bfloat16
    assert trace.verdict().klass == "clipped"
    with hs.precision("storage=fp16, overflow=saturate_inf"):
        assert (1 / hs.tensor([0.0, -0.0])).tolist() == [65504.0, -65504.0]
    with hs.precision("storage=fp32, overflow=saturate_inf"):
        assert (1 / hs.tensor([0.0])).tolist() == [hs.float32.max]
