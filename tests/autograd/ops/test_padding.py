"""Padding: values against np.pad, gradients against differences, the sums of half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@settings(max_examples=40)
@given(st.sampled_from(sorted(MODES)), st.lists(st.integers(0, 3), min_size=4, max_size=4), st.integers(1, 2))
def test_values_are_numpys(mode: str, numbers: list[int], axes: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 4, 5))
    numbers = numbers[: 2 * axes]
    widths = [(0, 0)] * (3 - axes) + list(zip(numbers[::2], numbers[1::2], strict=True))[::-1]
    expected = np.pad(x, widths, MODES[mode])  # type: ignore[call-overload]
    np.testing.assert_array_equal(hs.ops.pad(hs.tensor(x), numbers, mode).numpy(), expected)


@settings(max_examples=20)
@given(st.sampled_from(sorted(MODES)), st.lists(st.integers(-1, 2), min_size=4, max_size=4))
def test_gradients_are_finite_differences(mode: str, numbers: list[int]) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    assert hs.gradcheck(lambda t: hs.ops.pad(t, numbers, mode), x)


def test_a_value_is_rounded_and_copies_of_gradients_are_summed() -> None:
    x = hs.tensor([[1.0, 2.0]], "fp16", requires_grad=True)
    assert hs.ops.pad(x, (1, 0), value=0.1).numpy().tolist() == [[np.float16(0.1), 1, 2]]
    for rule, expected in (("pure_fp16", 2048), ("fp16", 2050)):
        with hs.precision(rule):
            x.grad = None
            hs.ops.pad(x, (2, 0), "replicate").backward(np.array([[2048.0, 1.0, 1.0, 5.0]]))
            assert x.grad is not None
            assert x.grad.numpy().tolist() == [[expected, 5]]


def test_empty_inputs() -> None:
    assert hs.ops.pad(np.zeros((0, 2)), (1, 1)).shape == (0, 4)
    assert hs.ops.pad(np.zeros((2, 0)), (1, 1), value=3).numpy().tolist() == [[3, 3]] * 2
    assert hs.ops.pad(np.zeros((2, 3)), ()).shape == (2, 3)
    assert hs.ops.pad(np.zeros(3), (-2, -1)).shape == (0,)


X = np.ones((1, 2, 4))
BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ((1,), {}, ValueError, "pad: (1,) does not fit input (1, 2, 4); allowed: (left, right) of up to 3 axes"),
    ((1,) * 8, {}, ValueError, "does not fit input"),
    (1, {}, TypeError, "pad: 1 is not allowed"),
    ((1.5, 2), {}, TypeError, "pad: (1.5, 2) is not allowed; allowed: a tuple of integers"),
    ((1, 1), {"mode": "reflekt"}, ValueError, "mode: 'reflekt' is not allowed (did you mean 'reflect'?)"),
    ((1, 1), {"mode": "reflect", "value": 1}, ValueError, "value: 1 does not go with mode 'reflect'"),
    (
        (4, 3),
        {"mode": "reflect"},
        ValueError,
        "pad: (4, 3) does not fit 4 elements by mode 'reflect'; allowed: up to 3",
    ),
    ((5, 3), {"mode": "circular"}, ValueError, "allowed: up to 4"),
    ((1, 1), {"value": "a"}, TypeError, "value: 'a' is not allowed; allowed: numbers, None"),
    ((-3, -2), {}, ValueError, "pad: (-3, -2) does not fit 4 elements"),
    ((1,) * 6, {"mode": "replicate"}, ValueError, "allowed: 3 axes, and not the first"),
]


@pytest.mark.parametrize(("numbers", "options", "error", "text"), BAD)
def test_bad_input_gets_one_line(numbers: Any, options: dict[str, Any], error: type[Exception], text: str) -> None:
    call: Callable[[], object] = lambda: hs.ops.pad(X, numbers, **options)  # noqa: E731
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
