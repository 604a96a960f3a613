"""What a run left, as numbers by name, and what a judge says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.returned import accepted, numbers, raised


def test_numbers_are_found_however_deep() -> None:
    layer = hs.nn.Linear(1, 1)
    found = dict(numbers({"model": layer, "losses": [0.5, 1.0], "rest": (hs.tensor([1.0], "fp16"), "words", None)}))
    assert list(found) == ["model.weight", "model.bias", "losses", "rest[0]"]
    half = found["rest[0]"]
    assert isinstance(half, hs.Tensor)
    assert half.format == hs.float16
    assert isinstance(found["losses"], np.ndarray)


def test_what_is_found_does_not_require_a_gradient() -> None:
    """It outlives the run, which may go on with its own tensors."""
    x = hs.tensor([1.0], requires_grad=True)
    ((_, found),) = numbers(x)
    assert isinstance(found, hs.Tensor)
    assert found is not x
    assert not found.requires_grad


@pytest.mark.parametrize("answer", [True, np.bool_(True), 1, np.array([1.0]), hs.tensor([True])])
def test_a_judge_may_answer_with_any_single_number(answer: Any) -> None:
    assert accepted(lambda value: answer, None) is True


@pytest.mark.parametrize("answer", [None, "yes", [True, False]])
def test_a_judge_that_does_not_answer_is_told(answer: Any) -> None:
    with pytest.raises(TypeError, match=f"^accept: it returned {type(answer).__name__}; allowed: a bool$"):
        accepted(lambda value: answer, None)


def test_exceptions_take_one_line() -> None:
    assert raised(ValueError("two\n  lines")) == "ValueError: two lines"
    assert raised(AssertionError()) == "AssertionError"


def test_a_returned_model_is_compared_by_its_parameters() -> None:
    model = hs.nn.Linear(2, 1)

    def run() -> hs.nn.Module:
        with hs.no_grad():
            model.weight.array = (hs.tensor([[1.0, 2.0]]) * 0.1).numpy()
        return model

    assert [row.name for row in hs.compare(run, "fp16").results] == ["weight", "bias"]
