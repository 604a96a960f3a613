"""The state of a module as a dict of arrays by path, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from halfsim.autograd.policy import scope
from halfsim.autograd.tensor import Tensor, plain, tensor
from halfsim.nn.walking import join, walk
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array

if TYPE_CHECKING:
    from halfsim.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """The keys that a module has and a state has not, and those that a state has and the module has not."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _slots(module: Module) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every place of the state in PyTorch's order: its path, the table it stands in, its name there."""
    for path, owner in walk(module):
        tables: tuple[dict[str, Any], ...] = (owner._parameters, owner._buffers)
        for table in tables:
            for name, part in table.items():
                if part is not None and not (table is owner._buffers and name in owner._transient):
                    yield join(path, name), table, name


def snapshot(module: Module, prefix: str) -> dict[str, Any]:
    """See `Module.state_dict`."""
    parts = ((prefix + path, table[name]) for path, table, name in _slots(module))
    return {path: part.detach() if isinstance(part, Tensor) else part.copy() for path, part in parts}


def load(module: Module, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state: {type(state).__name__} is not allowed; allowed: a mapping from names to arrays")
    own = {path: (table, name) for path, table, name in _slots(module)}
    keys = IncompatibleKeys([key for key in own if key not in state], [key for key in state if key not in own])
    wrong = [*(f"missing {key}" for key in keys[0]), *(f"unexpected {key}" for key in keys[1])] if strict else []
    loaded: dict[str, Any] = {}
    for key in own.keys() & state.keys():
        table, name = own[key]
        try:
            loaded[key] = _fitting(key, table[name], state[key])
        except (TypeError, ValueError, RuntimeError) as error:
            wrong.append(str(error) if str(error).startswith(key) else f"{key}: {error}")
    if wrong:
        raise ValueError(f"state: {'; '.join(sorted(wrong))}")
    for key, value in loaded.items():
        table, name = own[key]
        if isinstance(value, Tensor):
            put(table[name], value)
        else:
            table[name] = value
    return keys


def _fitting(key: str, part: Any, given: Any) -> Any:
    """What ``part`` becomes: a Tensor in its format or the wider one in force, or an array of its integer dtype."""
    if isinstance(part, Tensor):
        value: Any = tensor(given, _format_for(part.format))
    else:
        value = _whole(part.dtype, given)
    if value.shape != part.shape:
        raise ValueError(f"{key} has shape {value.shape}, not {part.shape}")
    return value


def _format_for(fmt: Format) -> Format:
    """The storage of the Precision in force where it is wider than ``fmt``: loading there rounds nothing away."""
    rule = scope().rule
    return rule.storage if isinstance(rule, Precision) and rule.storage.contains(fmt) else fmt


def _whole(dtype: np.dtype[Any], given: Any) -> Array:
    array = np.asarray(plain(given))
    if array.dtype.kind not in "biu" and not (array.dtype.kind == "f" and (array == np.trunc(array)).all()):
        raise TypeError(f"dtype {array.dtype} is not allowed; allowed: integers, for a buffer of {dtype}")
    return array.astype(dtype)


def put(part: Tensor, value: Tensor) -> None:
    """Give ``part`` the values and the format of ``value``; its gradient, if any, takes that format too."""
    if part.grad is not None and part.format != value.format:
        part.grad = tensor(part.grad, value.format)
    part.array, part.format, part.shadow = value.array, value.format, value.shadow
