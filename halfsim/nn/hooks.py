"""Functions that a module calls before and after its ``forward``, and around its part of the backward pass."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from halfsim.frames import level
from halfsim.nn.gates import watched


class Hook(NamedTuple):
    """A function, whether it takes the keywords of the call too, and whether it is called after an error as well."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always: bool = False


# When it is called ("before", "after", "backward before", "backward", "state before", "state", "load before", "load"),
# then its number.
Table = dict[str, dict[int, Hook]]

_NUMBERS = itertools.count()


class Handle:
    """What takes a hook away again, by ``remove()`` or at the end of a ``with`` block."""

    def __init__(
        self,
        table: Table,
        when: str,
        hook: Callable[..., Any],
        with_kwargs: bool = False,
        prepend: bool = False,
        always: bool = False,
    ) -> None:
        if not callable(hook):
            raise TypeError(f"hook: {type(hook).__name__} is not allowed; allowed: a function")
        self._table, self._when, self._number = table, when, next(_NUMBERS)
        mine, others = {self._number: Hook(hook, with_kwargs, always)}, table.get(when, {})
        table[when] = {**mine, **others} if prepend else {**others, **mine}

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        hooks = self._table.get(self._when, {})
        hooks.pop(self._number, None)
        if not hooks:
            self._table.pop(self._when, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def run(hooks: Table, when: str, *args: Any) -> list[Any]:
    """What the hooks of one kind return, in their order."""
    return [hook.function(*args) for hook in list(hooks.get(when, {}).values())]


def called(module: Any, hooks: Table, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward`` between its hooks, in their order."""
    after = dict(hooks.get("after", {}))
    try:
        args, kwargs = _before(module, hooks, args, kwargs)
        args, leave = watched(module, hooks, args)
        output = module.forward(*args, **kwargs)
        for number, hook in list(after.items()):
            output = _after(module, hook, args, kwargs, output)
            del after[number]
        return leave(output)
    except Exception:
        for hook in after.values():  # those that were not called yet
            if hook.always:
                _after_error(module, hook, args, kwargs)
        raise


def _before(module: Any, hooks: Table, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for hook in list(hooks.get("before", {}).values()):
        result = hook.function(module, args, kwargs) if hook.with_kwargs else hook.function(module, args)
        if hook.with_kwargs and result is not None:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise TypeError("hook: with_kwargs=True returns None or a pair (args, kwargs)")
            args, kwargs = result
        elif result is not None:
            args = result if isinstance(result, tuple) else (result,)
    return args, kwargs


def _after(module: Any, hook: Hook, args: Any, kwargs: Any, output: Any) -> Any:
    result = hook.function(module, args, *([kwargs] if hook.with_kwargs else []), output)
    return output if result is None else result


def _after_error(module: Any, hook: Hook, args: Any, kwargs: Any) -> None:
    """A hook that wants to be called in any case; what it raises itself must not hide the error."""
    try:
        _after(module, hook, args, kwargs, None)
    except Exception as error:
        warnings.warn(f"hook: raised {type(error).__name__} after an error in forward: {error}", stacklevel=level())
