"""The check of options by the annotations of the function that takes them: one place for every operation and layer."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from numbers import Real
from operator import index
from typing import Any

import numpy as np

from halfsim.names import near

Check = Callable[[Any], bool]

_SHOWN = 60  # characters of a value that an error repeats
_LIMIT = 2**63
_PLAIN = (str, int, float, complex, bytes, list, tuple)


def shown(value: Any) -> str:
    """``value`` in an error: on one line, cut where it is long."""
    try:
        text = (
            repr(value) if isinstance(value, (str, int, float, complex, bool, bytes, type(None), list, tuple)) else ""
        )
    except (ValueError, RecursionError):  # integers of more than 4300 digits have no repr
        text = ""
    text = " ".join(text.split()) or type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _is_int(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)) or (getattr(value, "shape", ()) != () and not isinstance(value, int)):
        return isinstance(value, (bool, np.bool_))  # Python's bools count, as in PyTorch
    try:
        return -_LIMIT <= index(value) < _LIMIT
    except TypeError:
        return False


def _is_float(value: Any) -> bool:
    return isinstance(value, (Real, np.bool_)) and not isinstance(value, np.ndarray)


def _is_ints(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and all(map(_is_int, value))


def _is_floats(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and all(map(_is_float, value))


# What an annotation asks of a value, and how an error calls it.
_KINDS: dict[Any, tuple[Check, str]] = {
    int: (_is_int, "integers"),
    float: (_is_float, "numbers"),
    bool: (lambda value: isinstance(value, (bool, np.bool_)), "True, False"),
    str: (lambda value: isinstance(value, str), "a string"),
    type(None): (lambda value: value is None, "None"),
    tuple[int, ...]: (_is_ints, "a tuple of integers"),
    Sequence[int]: (_is_ints, "a tuple of integers"),
    Sequence[float]: (_is_floats, "a tuple of numbers"),
}


def _of(annotation: Any) -> list[tuple[Check, str]] | None:
    """The kinds that an annotation allows, None where it allows anything or says what is not checked here."""
    if annotation in _KINDS:
        return [_KINDS[annotation]]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        parts = [_of(part) for part in typing.get_args(annotation)]
        return None if any(part is None for part in parts) else [kind for part in parts for kind in part or ()]
    if typing.get_origin(annotation) is typing.Literal:
        words = typing.get_args(annotation)
        return [(lambda value: isinstance(value, str) and value in words, ", ".join(map(repr, words)))]
    return None


def checks(function: Callable[..., Any]) -> dict[str, tuple[Callable[[Any], bool], str]]:
    """For each parameter of ``function`` that its annotation limits: whether a value is allowed, and what is."""
    hints = _hints(function)
    found = {}
    for name in inspect.signature(function).parameters:
        kinds = _of(hints.get(name, Any))
        if kinds:
            found[name] = (_any(kinds), ", ".join(dict.fromkeys(word for _, word in kinds)))
    return found


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except NameError:  # of what is imported for type checkers alone
        return {}


def _any(kinds: list[tuple[Check, str]]) -> Check:
    if len(kinds) == 1:
        return kinds[0][0]
    found = [check for check, _ in kinds]
    return lambda value: any(check(value) for check in found)


_ALIASES = (("dim", "axis"), ("keepdim", "keepdims"), ("input", "x"))  # PyTorch's names and NumPy's


def refused(name: str, value: Any, allowed: str) -> TypeError:
    """The error of an option of the wrong type."""
    return TypeError(f"{name}: {shown(value)} is not allowed; allowed: {allowed}")


def checked(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """``function`` with its arguments checked by its annotations, and unknown ones refused in one line."""
    called = name or function.__name__
    parameters = inspect.signature(function).parameters
    rules = checks(function)
    order = [(n, rules.get(n)) for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    spread = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    named = {
        theirs: ours
        for a, b in _ALIASES
        for theirs, ours in ((a, b), (b, a))
        if ours in parameters and theirs not in parameters
    }
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    required = [n for n, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    names = ", ".join(n for n in parameters if n != "self")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for (n, rule), value in zip(order, args, strict=False):
            if rule is not None and not rule[0](value):
                raise refused(n, value, rule[1])
        for n in kwargs.keys() & named.keys():
            kwargs[named[n]] = kwargs.pop(n)
        for n, value in kwargs.items():
            rule = rules.get(n)
            if rule is not None and not rule[0](value):
                raise refused(n, value, rule[1])
            if n not in parameters and not open_ended:
                raise unknown_option(called, n, [n for n in parameters if n != "self"])
        if len(args) > len(order) and not spread:
            raise TypeError(f"{called}: {len(args)} arguments are too many; allowed: {names}")
        if len(args) < len(required):
            for n in required[len(args) :]:
                if n not in kwargs and not open_ended:
                    raise TypeError(f"{called}: {n} is missing; allowed: {names}")
        try:
            return function(*args, **kwargs)
        except MISFITS as error:
            told = explained(called, error, args, kwargs, list(parameters))
            if told is error:
                raise
            raise told from error

    return call


# What NumPy and Python raise for arguments that a check of annotations does not see through.
MISFITS = (TypeError, ValueError, AttributeError, LookupError, OverflowError)
_HOUSE = (": ", "allowed", "missing", "left out", "not simulated")
_LONGEST = 300


def explained(
    name: str, error: Exception, args: Sequence[Any], kwargs: dict[str, Any], allowed: Sequence[str]
) -> Exception:
    """``error`` as a refusal of one short line: itself if it is one, else one that shows the arguments."""
    text = str(error)
    if text[:1] and text.partition(_HOUSE[0])[1] and any(word in text for word in _HOUSE[1:]):
        if len(text) <= _LONGEST and "\n" not in text:
            return error
        text = " ".join(text.split())
        return type(error)(text if len(text) <= _LONGEST else f"{text[:140]} ... {text[-140:]}")
    given = ", ".join([*map(shown, args), *(f"{key}={shown(value)}" for key, value in kwargs.items())])
    given = given if len(given) <= 2 * _SHOWN else f"{given[: 2 * _SHOWN - 3]}..."
    why = " ".join(text.split())
    why = why if len(why) <= _SHOWN else f"{why[: _SHOWN - 3]}..."
    wrong_type = isinstance(error, (TypeError, AttributeError))
    kind = TypeError if wrong_type else IndexError if isinstance(error, IndexError) else ValueError
    words = ", ".join(allowed)
    words = words if len(words) <= _SHOWN else f"{words[: _SHOWN - 3]}..."
    return kind(f"{name}: ({given}) is not allowed ({why}); allowed: {words} as documented")


def unknown_option(function: str, name: str, allowed: Sequence[str]) -> TypeError:
    """The error of an option that a function does not have."""
    hint = "".join(f" (did you mean {one}=?)" for one in near(name, allowed))
    return TypeError(f"{function}: {name}= is not an option here{hint}; allowed: {', '.join(allowed)}")
