"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.nn.state import put
from halfsim.options import guarded_names


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The numbers of all ``parameters`` one after the other, in the widest of their formats, on the tape.

    ``ValueError`` for none.

    >>> from halfsim import nn
    >>> parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    flat = [p.reshape(-1) for p in _tensors(parameters)]
    if not flat:
        raise ValueError("parameters: none are not allowed; allowed: at least one")
    return ops.cat(flat)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give ``parameters`` the numbers of ``vec`` one after the other, each rounded to its format.

    ``TypeError`` for anything but Tensors, ``ValueError`` for fewer numbers than the parameters have.

    >>> from halfsim import nn, tensor
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> vector_to_parameters(tensor([1.0, 2.0]), layer.parameters())
    >>> layer.weight.tolist()
    [[1.0, 2.0]]
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vec: {type(vec).__name__} is not allowed; allowed: Tensor")
    given = _tensors(parameters)
    needed = sum(p.size for p in given)
    if vec.ndim != 1 or vec.size < needed:
        raise ValueError(f"vec: shape {vec.shape} is not allowed; allowed: ({needed},) for these parameters")
    start = 0
    for p in given:
        end = start + prod(p.shape)
        put(p, tensor(Tensor(vec.array[start:end].reshape(p.shape), vec.format), p.format))
        start = end


def _tensors(parameters: Iterable[Tensor]) -> list[Tensor]:
    given = list(parameters)
    for p in given:
        if not isinstance(p, Tensor):
            raise TypeError(f"parameters: {type(p).__name__} is not allowed; allowed: Tensor")
    return given


guarded_names(globals(), ["parameters_to_vector", "vector_to_parameters"])
