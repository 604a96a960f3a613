"""Contexts that may be entered again, inside themselves, in several threads, and left in any order."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

_State = TypeVar("_State")


def _same(state: Any) -> Any:
    return state


class _Layer(Generic[_State]):
    """What is in force, who made it so, and what is around."""

    __slots__ = ("amendment", "change", "outer", "owner", "state")

    def __init__(
        self,
        outer: _Layer[_State] | None,
        owner: object,
        change: Callable[[_State], _State],
        state: _State,
        amendment: Callable[[_State], _State] = _same,
    ) -> None:
        self.outer, self.owner, self.change, self.amendment = outer, owner, change, amendment
        self.state: _State = amendment(change(state))


class Pile(Generic[_State]):
    """A state that contexts change: each thread has its own, and contexts may be left in any order.

    It is ``start`` with the changes of all contexts that have been entered and not left, the innermost last.

    >>> pile, first, second = Pile("an example", ()), object(), object()
    >>> pile.enter(first, lambda words: (*words, "first"))
    >>> pile.enter(second, lambda words: (*words, "second"))
    >>> pile.leave(first, "example")
    >>> pile.get()
    ('second',)
    """

    def __init__(self, name: str, start: _State) -> None:
        self._start = start
        bottom = _Layer(None, None, _same, start)
        self._top: ContextVar[_Layer[_State]] = ContextVar(name, default=bottom)
        self._state: ContextVar[_State] = ContextVar(f"{name}_state", default=bottom.state)
        self.get: Callable[[], _State] = self._state.get  # what is in force in this thread; every operation asks

    def enter(self, owner: object, change: Callable[[_State], _State]) -> None:
        """Let ``change`` of what is in force be in force, until ``owner`` leaves."""
        top = self._top.get()
        self._put(_Layer(top, owner, change, top.state))

    def leave(self, owner: object, name: str) -> None:
        """Take away the innermost change of ``owner``, and no other; ``RuntimeError`` if it has none here."""
        found, above = self._found(lambda layer: layer.owner is owner)
        if found.outer is None:
            allowed = "in the thread, or task, that entered it"
            raise RuntimeError(f"{name}: left where it was not entered; allowed: {allowed}")
        self._settle(found.outer, above)

    def amend(self, change: Callable[[_State], _State]) -> None:
        """Let ``change`` be in force until the innermost context is left; it takes the place of an earlier one."""
        self._settle(self._amended(self._top.get(), change), [])

    def withdraw(self, change: Callable[[_State], _State]) -> None:
        """Take an amendment back, if it is in force still."""
        found, above = self._found(lambda layer: layer.amendment is change)
        if found.amendment is change:
            self._settle(self._amended(found, _same), above)

    def _found(self, wanted: Callable[[_Layer[_State]], bool]) -> tuple[_Layer[_State], list[_Layer[_State]]]:
        """The innermost layer that is ``wanted``, else the outermost, and those above it from the top."""
        above, layer = [], self._top.get()
        while layer.outer is not None and not wanted(layer):
            above.append(layer)
            layer = layer.outer
        return layer, above

    def _amended(self, layer: _Layer[_State], change: Callable[[_State], _State]) -> _Layer[_State]:
        around = self._start if layer.outer is None else layer.outer.state
        return _Layer(layer.outer, layer.owner, layer.change, around, change)

    def _settle(self, layer: _Layer[_State], above: list[_Layer[_State]]) -> None:
        """Put ``layer`` in force, and those above it anew."""
        for other in reversed(above):
            layer = _Layer(layer, other.owner, other.change, layer.state, other.amendment)
        self._put(layer)

    def _put(self, layer: _Layer[_State]) -> None:
        self._top.set(layer)
        self._state.set(layer.state)


class Context(ContextDecorator):
    """A context that decorates functions too, generators and coroutines as well: it is in force while they run."""

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *exception: object) -> None:
        raise NotImplementedError

    def __call__(self, function: Any) -> Any:
        if not callable(function):
            raise TypeError(f"function: {type(function).__name__} is not allowed; allowed: a function")
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__}: an asynchronous generator is not allowed; allowed: other functions"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def task(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return task
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _between(self, function(*args, **kwargs)))

        return steps


def _between(context: Context, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """``generator`` with ``context`` in force while it runs, and not while it waits."""
    resume: Callable[[], Any] = functools.partial(next, generator)
    while True:
        try:
            with context:
                value = resume()
        except StopIteration as end:
            return end.value
        try:
            sent = yield value
        except GeneratorExit:
            with context:
                generator.close()
            raise
        except BaseException as error:
            resume = functools.partial(generator.throw, error)
        else:
            resume = functools.partial(generator.send, sent)
