"""Options in force: an eps is raised and a constant replaced where they are meant, and nowhere else."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim.autograd.overrides import overriding

X = hs.tensor([[1.0, -2.0, 0.5]])


def test_an_eps_is_raised_in_the_operation_it_is_meant_for() -> None:
    F, shape = hs.nn.functional, (3,)
    for given in ({"eps": 1e-8}, {}):  # given, or the default
        other = F.rms_norm(X, shape, **given).tolist()
        with overriding({"eps": 0.25}, "layer_norm") as found:
            inside = F.layer_norm(X, shape, **given).tolist()
            assert F.rms_norm(X, shape, **given).tolist() == other
        assert inside == F.layer_norm(X, shape, eps=0.25).tolist() != F.layer_norm(X, shape).tolist()
        assert found.used == {"eps"}
    with overriding({"eps": 0.25}, "layer_norm") as found:
        assert F.layer_norm(X, shape, eps=0.5).tolist() == F.layer_norm(X, shape, None, None, 0.5).tolist()
    assert found.used == set(), "it was larger already"


def test_a_constant_is_replaced_where_it_was_given() -> None:
    with overriding({"constant": 3.0}, "add", 1e-8) as found:
        assert (X + 1e-8).tolist() == (X.numpy() + np.float32(3)).tolist()
        assert (X + 1.0).tolist() == (X.numpy() + np.float32(1)).tolist()
        assert (X * 1e-8).tolist() == (X.numpy() * np.float32(1e-8)).tolist(), "another operation"
    assert found.used == {"constant"}
    assert (X + 1e-8).tolist() == (X.numpy() + np.float32(1e-8)).tolist()
