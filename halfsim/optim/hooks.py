"""Functions that run before and after what an optimizer does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from halfsim.autograd.tensor import RemovableHandle
from halfsim.card import Card
from halfsim.options import guarded_class, guarded_names

Hook = Callable[..., Any]
_Step = TypeVar("_Step", bound=Callable[..., Any])

_EVERYWHERE: dict[str, dict[int, Hook]] = {"step_pre": {}, "step_post": {}}


class Hooked(Card):
    """The hooks of one optimizer, by what they wait for; see `halfsim.optim.Optimizer`."""

    _hooks: dict[str, dict[int, Hook]]
    _stepped = False  # whether `step` was ever called: a schedule asks
    _within = False  # a step is under way: one that it calls, as super().step(), is a part of it

    def _register(self, kind: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
        table = self._hooks.setdefault(kind, {})
        before = dict(table) if prepend else {}
        handle = RemovableHandle(table, hook)
        for key, other in before.items():  # behind the new one
            del table[key]
            table[key] = other
        return handle

    def _run_hooks(self, kind: str, *arguments: Any) -> Any:
        """The last argument as the hooks leave it, each of which may return another in its place."""
        *others, last = arguments
        for hook in list(self._hooks.get(kind, {}).values()):
            changed = hook(*others, last)
            last = last if changed is None else changed
        return last

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before every step; it may return other args and kwargs.

        ``args`` begins with the optimizer, as in PyTorch. ``remove()`` of the handle ends it, here and below.
        """
        return self._register("step_pre", hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after every step."""
        return self._register("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before `state_dict`."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after `state_dict`; it may return another."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)``, a shallow copy, before `load_state_dict`; it may return another."""
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` after `load_state_dict`."""
        return self._register("load_state_dict_post", hook, prepend)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: everything but the hooks, as in PyTorch."""
        return {**self.__dict__, "_hooks": {}}


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer."""
    return RemovableHandle(_EVERYWHERE["step_pre"], hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return RemovableHandle(_EVERYWHERE["step_post"], hook)


def hooked(step: _Step) -> _Step:
    """A ``step`` between its hooks."""

    @functools.wraps(step)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._stepped = True
        if self._within:
            return step(self, *args, **kwargs)
        given: tuple[Any, ...] = (self, *args)
        own = self._hooks
        self._within = True
        try:
            for hook in [*_EVERYWHERE["step_pre"].values(), *own.get("step_pre", {}).values()]:
                changed = hook(self, given, kwargs)
                if changed is not None and not (isinstance(changed, tuple) and len(changed) == 2):
                    got = type(changed).__name__
                    raise RuntimeError(f"hook: returned {got}; allowed: None, or a pair of arguments and keywords")
                given, kwargs = (given, kwargs) if changed is None else changed
            out = step(*given, **kwargs)
            for hook in [*own.get("step_post", {}).values(), *_EVERYWHERE["step_post"].values()]:
                hook(self, given, kwargs)
        finally:
            self._within = False
        return out

    return call  # type: ignore[return-value]


guarded_class(Hooked, [name for name in vars(Hooked) if name.startswith("register")])
guarded_names(globals(), ["register_optimizer_step_pre_hook", "register_optimizer_step_post_hook"])
