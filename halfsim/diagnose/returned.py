"""What a run left: the numbers that it returned, by name, what a judge says of them, or the exception that ended it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor, plain
from halfsim.diagnose import foreign
from halfsim.nn.module import Module
from halfsim.numerics.quantize import Array


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, Tensor | Array]]:
    """The numbers in ``value`` by name, in order: tensors, which stay tensors, and all else as float64 arrays.

    Arrays, numbers and bools are taken, models with their parameters and buffers, and lists, tuples and dicts of all
    these; a list of Python's numbers is one array. What is of another kind, and text, is passed over.

    >>> [(name, x.tolist()) for name, x in numbers({"loss": 0.5, "steps": [(1, 2), "done"]})]
    [('loss', 0.5), ('steps[0]', [1.0, 2.0])]
    """
    value = foreign.read(value)
    if isinstance(value, Tensor):
        yield name or "result", Tensor(value.array, value.format)
    elif isinstance(value, Module):
        yield from numbers(dict([*value.named_parameters(), *value.named_buffers()]), name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from numbers(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)) and not (value and all(isinstance(x, (int, float)) for x in value)):
        for i, item in enumerate(value):
            yield from numbers(item, f"{name}[{i}]")
    elif isinstance(value, (bool, int, float, np.ndarray, np.generic, list, tuple)):
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            yield name or "result", array.astype(np.float64)


def accepted(accept: Callable[[Any], Any], value: Any) -> bool:
    """What the user's ``accept`` says of ``value``; ``TypeError`` where that is no bool, nor one number."""
    answer = accept(value)
    array = np.asarray(plain(foreign.read(answer)))
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise TypeError(f"accept: it returned {type(answer).__name__}; allowed: a bool")
    return bool(array.all())


def raised(error: BaseException) -> str:
    """What an exception says, in one line, without a colon where it says nothing.

    >>> raised(ValueError("no such word")), raised(AssertionError())
    ('ValueError: no such word', 'AssertionError')
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
