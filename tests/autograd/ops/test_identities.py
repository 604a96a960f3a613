"""Copies share no memory, and what is of complex numbers leaves real ones alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.ops.identities import COPIES

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "as_strided_copy": ((2, 2), (1, 2)),
    "expand_copy": ((5, 2, 3),),
    "narrow_copy": (1, 0, 2),
    "permute_copy": ((1, 0),),
    "split_with_sizes_copy": ([1, 2], 1),
    "transpose_copy": (0, 1),
    "unfold_copy": (1, 2, 1),
    "unsqueeze_copy": (0,),
    "view_copy": ((3, 2),),
}


@pytest.mark.parametrize("name", sorted(COPIES))
def test_a_copy_is_the_view_without_its_memory(name: str) -> None:
    x = hs.tensor(np.arange(6.0).reshape(2, 3), "float64", requires_grad=True)
    found, view = getattr(hs, name)(x, *ARGUMENTS.get(name, ())), COPIES[name](x, *ARGUMENTS.get(name, ()))
    parts, views = (y if isinstance(y, tuple) else (y,) for y in (found, view))
    assert [y.tolist() for y in parts] == [y.tolist() for y in views]
    sum(y.sum() for y in parts).backward()
    assert x.grad is not None
    plain = x.detach()
    copied = getattr(hs, name)(plain, *ARGUMENTS.get(name, ()))
    for y in copied if isinstance(copied, tuple) else (copied,):
        y.zero_()
    assert plain.array.sum() == 15


def test_real_numbers_are_their_own_conjugates() -> None:
    x = hs.tensor([1.0, -2.0])
    assert all(f(x) is x for f in (hs.real, hs.conj, hs.conj_physical, hs.resolve_conj, hs.resolve_neg))
    assert x.conj() is x.resolve_conj()
    assert hs.tensor([[1.0, 2.0]]).mH.shape == (2, 1)
