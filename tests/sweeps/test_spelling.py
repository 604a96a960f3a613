"""What a result may be made of comes back bit for bit; what is not plain is refused by its place."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import halfsim as hs
from halfsim.sweeps.spelling import LARGEST, read, spelled

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**299), 10**299) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda t: t != "$float"), inner),
    max_leaves=12,
)


def bits(value: Any) -> Any:
    """A value in which floats are their bits."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return [bits(item) for item in value] if isinstance(value, list) else (type(value), value)


@given(PLAIN)
def test_plain_data_comes_back_bit_for_bit(value: Any) -> None:
    text = spelled(value, "result")
    assert text.isascii()
    assert "\n" not in text
    assert bits(read(text)) == bits(value)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@given(st.integers(0, 2**16 - 1))
def test_every_half_comes_back(code: int) -> None:
    half = np.uint16(code).view(np.float16)
    found = read(spelled(half, "result"))
    assert np.float16(found).tobytes() == half.tobytes() or (math.isnan(found) and np.isnan(half))


def test_numbers_of_numpy_and_tensors_are_pythons() -> None:
    assert read(spelled(np.float32(0.1), "r")) == float(np.float32(0.1))
    assert read(spelled([np.int8(-3), np.bool_(True), np.arange(2)], "r")) == [-3, True, [0, 1]]
    assert read(spelled(hs.tensor([0.1], "fp16"), "r")) == [float(np.float16(0.1))]
    assert read(spelled({"a": np.array([np.nan, -np.inf])}, "r"))["a"][1] == -math.inf
    assert spelled({"b": 1, "a": (2, "nan")}, "r", ordered=True) == '{"a":[2,"nan"],"b":1}'


LOOP: list[Any] = []
LOOP.append(LOOP)
REFUSED = [
    ({"a": [1j]}, TypeError, "result['a'][0]: 1j is not allowed; allowed: None, bools, numbers"),
    (object(), TypeError, "result: object is not allowed"),
    ({1: 2}, TypeError, "result: the key 1 is not allowed; allowed: text"),
    ({"$float": "nan"}, ValueError, "result: the key '$float' is not allowed"),
    (np.zeros(20_000), ValueError, "result: an array of 20,000 numbers is not allowed; allowed: at most 10,000"),
    (np.array(["a"]), TypeError, "result: an array of <U1 is not allowed"),
    (np.longdouble(1), TypeError, "result: an array of"),
    (10**400, ValueError, "result: an integer of 1,329 bits is not allowed"),
    (LOOP, ValueError, "result: lists that hold themselves are not allowed"),
    ("x" * LARGEST, ValueError, "result: 1,048,578 characters are not allowed"),
]


@pytest.mark.parametrize(("value", "kind", "told"), REFUSED)
def test_what_is_not_plain_is_refused_by_its_place(value: Any, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind) as caught:
        spelled(value, "result")
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)
