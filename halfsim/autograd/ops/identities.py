"""Operations that give the values as they are: the ``_copy`` forms of PyTorch's views, and ``real`` and its like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import as_tensor
from halfsim.autograd.ops.join import split_with_sizes
from halfsim.autograd.ops.shape import diagonal, expand, permute, reshape, squeeze, swapaxes, t, unsqueeze
from halfsim.autograd.ops.slices import as_strided, narrow, unbind, unfold_dim
from halfsim.autograd.tensor import Tensor


# PyTorch's copies, and the views that they are copies of.
def _alias(input: Any) -> Tensor:
    return as_tensor(input)


COPIES: dict[str, Callable[..., Any]] = {
    "alias_copy": _alias,
    "as_strided_copy": as_strided,
    "diagonal_copy": diagonal,
    "expand_copy": expand,
    "narrow_copy": narrow,
    "permute_copy": permute,
    "split_with_sizes_copy": split_with_sizes,
    "squeeze_copy": squeeze,
    "t_copy": t,
    "transpose_copy": swapaxes,
    "unbind_copy": unbind,
    "unfold_copy": unfold_dim,
    "unsqueeze_copy": unsqueeze,
    "view_copy": reshape,
}

__all__ = ["conj", "conj_physical", "real", "resolve_conj", "resolve_neg", *COPIES]


def _copy(name: str, view: Callable[..., Any]) -> Callable[..., Any]:
    def copy(input: Any, *args: Any, **kwargs: Any) -> Any:
        found = view(input, *args, **kwargs)
        return tuple(map(_cloned, found)) if isinstance(found, tuple) else _cloned(found)

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"`{name.removesuffix('_copy')}` that shares no memory with ``input``."
    return copy


def _cloned(x: Tensor) -> Any:
    return OPS["cast"](x, x.format)


globals().update({name: _copy(name, view) for name, view in COPIES.items()})


def real(input: Any) -> Tensor:
    """The tensor itself: all its numbers are real."""
    return as_tensor(input)


def conj(input: Any) -> Tensor:
    """The tensor itself, its numbers being real, as are `conj_physical`, `resolve_conj` and `resolve_neg`."""
    return as_tensor(input)


conj_physical = resolve_conj = resolve_neg = conj
