"""The state of a module as a dict of arrays by path, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import scope
from halfsim.autograd.tensor import Tensor, plain
from halfsim.card import Card
from halfsim.nn.hooks import run
from halfsim.nn.walking import join, walk
from halfsim.numerics.formats import Format, Integer, float64
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array
from halfsim.text import clipped, counted

if TYPE_CHECKING:
    from halfsim.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """The keys that a module has and a state has not, and those that a state has and the module has not."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _own(owner: Module) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place of the state that a module holds itself: the table it stands in, its name there."""
    tables: tuple[dict[str, Any], ...] = (owner._parameters, owner._buffers)
    for table in tables:
        for name, part in table.items():
            if part is not None and not (table is owner._buffers and name in owner._transient):
                yield table, name


def _slots(module: Module) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every place of the state in PyTorch's order, with its path."""
    for path, owner in walk(module):
        for table, name in _own(owner):
            yield join(path, name), table, name


class State(Card, dict[str, Any]):
    """The state of a module: a dict of arrays by path, which a notebook shows as a table."""

    def _card(self) -> Any:
        rows = [("name", "shape", "format")]
        for name, x in self.items():
            shape = " x ".join(map(str, getattr(x, "shape", ()))) or "scalar"
            rows.append((name, shape, str(getattr(x, "format", None) or getattr(x, "dtype", type(x).__name__))))
        count = sum(int(getattr(x, "size", 1)) for x in self.values())
        return [("", f"{counted(len(self), 'array')}, {counted(count, 'value')}"), ("", rows if self else "")]


_EXTRA, _MODULE = "_extra_state", "halfsim.nn.module"


def _has_extra(module: Module) -> bool:
    """Whether a subclass defined what else belongs to its state."""
    return getattr(type(module).get_extra_state, "__module__", "") != _MODULE


def snapshot(module: Module, found: dict[str, Any], prefix: str, keep: bool) -> dict[str, Any]:
    """See `Module.state_dict`: each module's own parts, then those of the modules that it holds, then its hooks."""
    run(module._hooks, "state before", module, prefix, keep)
    for table, name in _own(module):
        part = table[name]
        found[prefix + name] = part if keep else part.detach() if isinstance(part, Tensor) else part.copy()
    if _has_extra(module):
        found[prefix + _EXTRA] = module.get_extra_state()
    for name, inner in module._modules.items():
        if inner is not None:
            inner.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep)
    run(module._hooks, "state", module, found, prefix, {})
    return found


Rounded = list[tuple[str, Tensor, Tensor]]


def load(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> tuple[IncompatibleKeys, Rounded]:
    """See `Module.load_state_dict`; also the name, the values given and the tensor of each part that was rounded."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state: {type(state).__name__} is not allowed; allowed: a mapping from names to arrays")
    state, keys, wrong = dict(state), IncompatibleKeys([], []), list[str]()
    held = list(walk(module))
    for path, owner in held:
        run(owner._hooks, "load before", owner, state, join(path, ""), {}, strict, *keys, wrong)
    own = {path: (table, name) for path, table, name in _slots(module)}
    extra = {join(path, _EXTRA): owner for path, owner in held if _has_extra(owner)}
    keys[0].extend(key for key in (*own, *extra) if key not in state)
    keys[1].extend(key for key in state if key not in own and key not in extra)
    loaded: dict[str, Any] = {}
    for key in own.keys() & state.keys():
        table, name = own[key]
        try:
            loaded[key] = _fitting(key, table[name], state[key], assign)
        except (TypeError, ValueError, RuntimeError) as error:
            wrong.append(str(error) if str(error).startswith(key) else f"{key}: {error}")
    for _, owner in reversed(held):
        run(owner._hooks, "load", owner, keys)
    if strict:
        wrong += [*(f"missing {key}" for key in keys[0]), *(f"unexpected {key}" for key in keys[1])]
    if wrong:
        raise ValueError(f"state: {_short(sorted(wrong))}")
    rounded, before = Rounded(), [(table, name, _kept(table[name])) for table, name in own.values()]
    for key, (table, name) in own.items():
        value = loaded.get(key)
        if isinstance(value, Tensor):
            put(table[name], value)
            if (given := _rounded(state[key], value)) is not None:
                rounded.append((key, given, value))
        elif value is not None:
            table[name] = value
    try:
        for key in extra.keys() & state.keys():
            extra[key].set_extra_state(state[key])
    except BaseException:  # of a subclass: then nothing is loaded
        for table, name, part in before:
            if isinstance(part, Tensor):
                put(table[name], part)
            else:
                table[name] = part
        raise
    return keys, rounded


def _kept(part: Any) -> Any:
    """What a place of the state holds now; the tensor there stays the same tensor."""
    if not isinstance(part, Tensor):
        return part
    kept = Tensor(part.array, part.format)
    kept.shadow = part.shadow
    return kept


def _short(wrong: list[str]) -> str:
    """What is wrong, as far as a line has room for it."""
    lines = [clipped(line, 120) for line in wrong]
    shown = [line for i, line in enumerate(lines) if sum(map(len, lines[: i + 1])) <= 200]
    more = len(lines) - len(shown)
    return "; ".join([*shown, *([f"and {more:,} more"] if more else [])])


def _rounded(given: Any, value: Tensor) -> Tensor | None:
    """``given`` if its values are others than those of ``value``; Python's numbers adopt a format wherever they go."""
    exact = tensor(given, float64) if isinstance(given, np.ndarray) else given
    floats = isinstance(exact, Tensor) and isinstance(exact.format, Format) and isinstance(value.format, Format)
    if not floats or value.format.contains(exact.format):
        return None
    return None if np.array_equal(exact.array, value.array, equal_nan=True) else exact


def _fitting(key: str, part: Any, given: Any, assign: bool) -> Any:
    """What ``part`` becomes: a Tensor in its format or the wider one in force, or an array of its integer dtype."""
    if isinstance(part, Tensor) and isinstance(part.format, Integer):
        value: Any = Tensor(_whole(part.array.dtype, given), part.format)
    elif isinstance(part, Tensor):
        own = assign and isinstance(given, Tensor)
        value = tensor(given, given.format if own else _format_for(part.format))
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
