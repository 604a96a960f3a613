"""What the pytest plugin does for a test that asks: a precision and a trace around it, the verdict in its report."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from halfsim.autograd.policy import as_rule
from halfsim.autograd.scope import precision
from halfsim.diagnose.trace import Trace, trace
from halfsim.numerics.formats import unknown
from halfsim.testing.assertions import kinds_of, troubles

_ARGUMENTS = ("precision", "reference", "no", "allow")
_TITLE = "halfsim verdict"


def checked(config: pytest.Config) -> object:
    """The precision of ``--halfsim-precision``, None without one; ``UsageError`` for a word that names no precision."""
    given = config.getoption("--halfsim-precision")
    try:
        return None if given is None else as_rule(given, "--halfsim-precision")
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(str(error)) from None


@dataclass
class Run:
    """One test under its precisions, outermost first, and its trace.

    A test of hypothesis has a trace for each example, so that what fails is shrunk, and the trace that is left is that
    of the smallest example.
    """

    item: Any
    rules: list[object]
    no: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)  # of `halfsim.trace`
    trace: Trace | None = None
    told: str = ""  # what a failure by ``no`` says already
    _open: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(cls, item: pytest.Item) -> Run:
        """What the command line and the markers of ``item`` ask; those nearer to the test win."""
        try:
            return cls._read(item)
        except (TypeError, ValueError) as error:
            wrong = error
        pytest.fail(f"halfsim: {wrong}", pytrace=False)

    @classmethod
    def _read(cls, item: pytest.Item) -> Run:
        given: dict[str, Any] = {}
        for mark in reversed([*item.iter_markers("halfsim")]):
            given |= _arguments(mark)
        rules = [checked(item.config)] + ([as_rule(given["precision"])] if "precision" in given else [])
        options: dict[str, Any] = {name: given[name] for name in ("reference", "allow") if name in given}
        trace(**options)  # refuses what is none of its words
        return cls(item, [rule for rule in rules if rule is not None], kinds_of("no", given.get("no", ())), options)

    def begin(self) -> None:
        """Put the precisions in force."""
        for rule in self.rules:
            self._open.enter_context(precision(rule))

    def traced(self) -> Trace:
        """The trace of the test, begun here if it is not yet."""
        if self.trace is None:
            self.trace = self._open.enter_context(trace(**self.options))
        return self.trace

    @contextmanager
    def called(self) -> Iterator[None]:
        """A context for the call of the test: `AssertionError` at its end for trouble of a class in ``no``."""
        handle = getattr(getattr(self.item, "obj", None), "hypothesis", None)
        if handle is None or self.trace is not None:  # a fixture's trace goes on through all examples
            self.traced()
            yield
            self._refuse(lambda text: pytest.fail(text, pytrace=False))
            return
        inner = handle.inner_test
        handle.inner_test = self._example(inner)
        try:
            yield
        finally:
            handle.inner_test = inner

    def _example(self, test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def under_trace(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            with trace(**self.options) as self.trace:
                result = test(*args, **kwargs)
            self._refuse(_raise)
            return result

        return under_trace

    def _refuse(self, how: Callable[[str], object]) -> None:
        __tracebackhide__ = True
        self.told = "" if self.trace is None else troubles(self.trace, self.no)
        if self.told:
            how(self.told)

    def sections(self) -> list[tuple[str, str]]:
        """What a failed test's report has besides, once; nothing where the failure is the verdict."""
        recorded, self.trace = self.trace, None
        found = None if recorded is None else recorded.verdict()
        return [] if found is None or str(found) == self.told else [(_TITLE, str(found))]

    def end(self) -> None:
        """Leave everything."""
        self._open.close()


def _raise(text: str) -> None:
    __tracebackhide__ = True
    raise AssertionError(text)


def _arguments(mark: pytest.Mark) -> dict[str, Any]:
    if mark.args:
        raise TypeError(f"marker: {mark.args[0]!r} without a name is not allowed; allowed: {', '.join(_ARGUMENTS)}")
    for name in mark.kwargs:
        if name not in _ARGUMENTS:
            raise unknown("marker", name, _ARGUMENTS)
    return dict(mark.kwargs)
