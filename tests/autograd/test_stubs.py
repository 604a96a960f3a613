"""The methods of a tensor: each is an operation, and its types are those of the operation."""

from __future__ import annotations

import ast

import halfsim as hs
from halfsim.autograd.methods import IN_PLACE, METHODS
from halfsim.autograd.operators import OPS
from tests.autograd import stubs


def test_the_stub_is_what_the_command_makes_of_the_operations() -> None:
    written = ast.dump(ast.parse(stubs.PATH.read_text(encoding="utf-8")))
    assert written == ast.dump(ast.parse(stubs.made())), "python -m tests.autograd.stubs --write"


def test_every_method_is_an_operation() -> None:
    assert not {*METHODS, *IN_PLACE} - OPS.keys()
    x = hs.tensor([1.0, 4.0])
    assert x.sqrt().tolist() == [1, 2]
    assert x.sqrt_() is x
    assert x.tolist() == [1, 2]
