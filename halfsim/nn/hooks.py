"""Functions that a module calls before and after its ``forward``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

Table = dict[str, dict[int, tuple[Callable[..., Any], bool]]]  # "before" or "after", number: hook, with_kwargs

_NUMBERS = itertools.count()


class Handle:
    """What takes a hook away again, by ``remove()`` or at the end of a ``with`` block."""

    def __init__(self, table: Table, when: str, hook: Callable[..., Any], with_kwargs: bool, prepend: bool) -> None:
        if not callable(hook):
            raise TypeError(f"hook: {type(hook).__name__} is not allowed; allowed: a function")
        self._table, self._when, self._number = table, when, next(_NUMBERS)
        mine, others = {self._number: (hook, with_kwargs)}, table.get(when, {})
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


def called(module: Any, hooks: Table, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward`` between its hooks, in their order."""
    for hook, with_kwargs in list(hooks.get("before", {}).values()):
        result = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if with_kwargs and result is not None:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise TypeError("hook: with_kwargs=True returns None or a pair (args, kwargs)")
            args, kwargs = result
        elif result is not None:
            args = result if isinstance(result, tuple) else (result,)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in list(hooks.get("after", {}).values()):
        result = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        output = output if result is None else result
    return output
