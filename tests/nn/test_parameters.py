"""Lists and dicts of parameters."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import halfsim as hs

nn = hs.nn


def some(count: int) -> list[hs.Tensor]:
    return [hs.tensor(np.full(2, float(i))) for i in range(count)]


def test_a_dict_holds_parameters_by_name() -> None:
    a, b, c = some(3)
    held = nn.ParameterDict({"a": a, "b": b})
    held["c"] = c
    assert list(held) == list(held.keys()) == ["a", "b", "c"]
    assert list(reversed(held)) == ["c", "b", "a"]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in held.values())
    assert [name for name, _ in nn.Sequential(held).named_parameters()] == ["0.a", "0.b", "0.c"]
    assert "a" in held
    assert held.get("x") is None
    assert held.setdefault("a", b) is held["a"]
    assert (held | nn.ParameterDict({"d": a})).keys() == {"a", "b", "c", "d"}
    assert len(held) == 3
    assert held.pop("a").tolist() == [0, 0]
    assert held.popitem()[0] == "c"
    copied = copy.deepcopy(held)
    held.clear()
    assert not len(held)
    assert list(copied.state_dict()) == ["b"]
    copied |= nn.ParameterDict([("z", c)])
    assert list(copied.fromkeys(["u"], c)) == ["u"]
    with pytest.raises(TypeError, match="values: int is not allowed"):
        held["n"] = 1
    with pytest.raises(KeyError):
        held["n"]


def test_a_list_is_cut_and_set() -> None:
    held = nn.ParameterList(some(3))
    assert [p.tolist()[0] for p in held[1:]] == [1, 2]
    held[-1] = hs.tensor([9.0])
    held += some(1)
    assert [p.tolist()[0] for p in held] == [0, 1, 9, 0]
    assert list(held.state_dict()) == ["0", "1", "2", "3"]
    assert "(2): Parameter of float32, shape (1,)" in repr(held)
    with pytest.raises(IndexError, match="index: 4"):
        held[4]
