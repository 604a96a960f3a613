"""Refusals, worded in one place: options are checked by the annotations of the function that takes them.

What a check does not see through fails further in, in NumPy's or Python's words; `guarded` and `checked` say it in one
short line of the house's. What halfsim refuses itself, and what the caller's own functions raise, they let through.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import os
import re
import reprlib
import sysconfig
import types
import typing
from collections.abc import Callable, Iterable, Sequence, Sized
from numbers import Real
from operator import index
from typing import Any, TypeVar

import numpy as np

from halfsim.names import near

Check = Callable[[Any], bool]

_SHOWN = 60  # characters of a value that an error repeats
_LIMIT = 2**63
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxlong, _BRIEF.maxother = 3, _SHOWN, _SHOWN, _SHOWN
_WORDS = (str, bytes, bytearray, type)
_PLAIN = (str, int, float, complex, bool, bytes, type(None), list, tuple)
_USUAL = (*_PLAIN[:-4], type(None), list, tuple, range, np.ndarray, np.generic)


def shown(value: Any) -> str:
    """``value`` in an error: on one line, cut where it is long; arrays and tensors by their type and shape."""
    text = ""
    if type(value) in _PLAIN:
        try:
            text = _BRIEF.repr(value)
        except Exception:  # integers of more than 4300 digits have no repr, nor have objects that fail
            text = ""
    elif type(getattr(value, "shape", None)).__name__ in ("tuple", "Size") and not isinstance(value, type):
        text = f"{type(value).__name__} {tuple(value.shape)}" if value.shape else ""
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


def _is_ints(value: Any, none: bool = False) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        return False
    return all(_is_int(item) or (none and item is None) for item in value)


def _is_floats(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)) and all(map(_is_float, value))


def _is_held(value: Any, kind: type) -> bool:
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
        return not isinstance(value, np.ma.MaskedArray)  # whose module NumPy imports when it is asked for
    return isinstance(value, kind) and not isinstance(value, _WORDS)


# What an annotation asks of a value, and how an error calls it.
_KINDS: dict[Any, tuple[Check, str]] = {
    int: (_is_int, "integers"),
    float: (_is_float, "numbers"),
    bool: (lambda value: isinstance(value, (bool, np.bool_)), "True, False"),
    str: (lambda value: isinstance(value, str), "a string"),
    type(None): (lambda value: value is None, "None"),
    Callable: (callable, "a function"),
    Sized: (lambda value: _is_held(value, Sized), "what has a length"),
    Iterable: (lambda value: _is_held(value, Iterable) and not isinstance(value, dict), "an iterable"),
    os.PathLike: (lambda value: isinstance(value, os.PathLike), "a path"),
    tuple[int, ...]: (_is_ints, "a tuple of integers"),
    set: (lambda value: isinstance(value, set), "a set"),
    Sequence[int | None]: (lambda value: _is_ints(value, none=True), "a tuple of integers, with None for some"),
    Sequence[int]: (_is_ints, "a tuple of integers"),
    Sequence[float]: (_is_floats, "a tuple of numbers"),
    list[float]: (_is_floats, "a list of numbers"),
}


def _of(annotation: Any) -> list[tuple[Check, str]] | None:
    """The kinds that an annotation allows, None where it allows anything or says what is not checked here."""
    origin = typing.get_origin(annotation)
    for found in (annotation, origin):
        if found in _KINDS:
            return [_KINDS[found]]
    word = vars(annotation).get("__argument__", "") if isinstance(annotation, type) else ""
    if isinstance(word, str) and word:  # a class that says what its instances are called as arguments
        return [(lambda value: isinstance(value, annotation), word)]
    if origin in (types.UnionType, typing.Union):
        parts = [_of(part) for part in typing.get_args(annotation)]
        return None if any(part is None for part in parts) else [kind for part in parts for kind in part or ()]
    if origin is typing.Literal:
        words = typing.get_args(annotation)
        return [(lambda value: isinstance(value, str) and value in words, ", ".join(map(repr, words)))]
    return None


@functools.cache
def checks(function: Callable[..., Any]) -> dict[str, tuple[Callable[[Any], bool], str]]:
    """For each parameter of ``function`` that its annotation limits: whether a value is allowed, and what is.

    Reading annotations takes most of the time of an import, so what checks asks for this at its first call.
    """
    hints = _hints(function)
    found = {}
    for name, p in inspect.signature(function).parameters.items():
        hint = hints.get(name, Any)
        truth = hint is Any and isinstance(p.default, bool) and name != "where"  # which NumPy gives arrays too
        kinds = _of(bool if truth else hint)
        if kinds and p.default is None and _KINDS[type(None)] not in kinds:  # what it is without being given
            kinds = [*kinds, _KINDS[type(None)]]
        if kinds and name not in ("seed", "params"):  # which say more themselves
            found[name] = (_any(kinds), ", ".join(dict.fromkeys(word for _, word in kinds)))
    return found


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    inner = inspect.unwrap(function)
    try:
        return typing.get_type_hints(inner)
    except NameError:  # of what is imported for type checkers alone
        found: dict[str, Any] = {}
        for name, text in inner.__annotations__.items():
            with contextlib.suppress(NameError):
                found |= typing.get_type_hints(types.SimpleNamespace(__annotations__={name: text}), inner.__globals__)
        return found


def _any(kinds: list[tuple[Check, str]]) -> Check:
    if len(kinds) == 1:
        return kinds[0][0]
    found = [check for check, _ in kinds]
    return lambda value: any(check(value) for check in found)


_ALIASES = (("dim", "axis"), ("keepdim", "keepdims"), ("input", "x"))  # PyTorch's names and NumPy's


def refused(name: str, value: Any, allowed: str) -> TypeError | ValueError:
    """The error of an option of the wrong type, or of an integer that no computer holds."""
    if isinstance(value, int) and not -_LIMIT <= value < _LIMIT and "integers" in allowed:
        return ValueError(f"{name}: {shown(value)} is not allowed; allowed: integers of 64 bits")
    return TypeError(f"{name}: {shown(value)} is not allowed; allowed: {allowed}")


class _Taken:
    """What a function takes, as its checks ask for it."""

    __slots__ = ("aliases", "names", "open_ended", "order", "own", "parameters", "required", "rules", "spread")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.parameters = parameters = inspect.signature(function).parameters
        self.rules = rules = checks(function)
        kinds = {n: p.kind for n, p in parameters.items()}
        places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self.order = [(n, rules.get(n)) for n, kind in kinds.items() if kind in places]
        self.spread = inspect.Parameter.VAR_POSITIONAL in kinds.values()
        self.open_ended = inspect.Parameter.VAR_KEYWORD in kinds.values()
        self.aliases = {
            theirs: ours
            for a, b in _ALIASES
            for theirs, ours in ((a, b), (b, a))
            if ours in parameters and theirs not in parameters
        }
        self.required = [
            n for n, p in parameters.items() if p.default is p.empty and p.kind is not inspect.Parameter.VAR_POSITIONAL
        ]
        self.own = next(iter(parameters), "") in ("self", "cls")
        self.names = [*parameters][self.own :]


def checked(function: Callable[..., Any], name: str = "", limited: bool = False) -> Callable[..., Any]:
    """``function`` with its arguments checked by its annotations, and unknown ones refused in one line.

    With ``limited`` it is only `guarded` where its annotations limit nothing. What it takes is read at its first call.
    """
    called = name or function.__name__
    taken: _Taken | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal taken
        if taken is None:
            taken = _Taken(function)
        rules = taken.rules
        if rules or not limited:
            for (n, rule), value in zip(taken.order, args, strict=False):
                if rule is not None and not rule[0](value):
                    raise refused(n, value, rule[1])
            if kwargs:
                for n in kwargs.keys() & taken.aliases.keys():
                    kwargs[taken.aliases[n]] = kwargs.pop(n)
                for n, value in kwargs.items():
                    rule = rules.get(n)
                    if rule is not None and not rule[0](value):
                        raise refused(n, value, rule[1])
                    if n not in taken.parameters and not taken.open_ended:
                        raise unknown_option(called, n, taken.names)
            if len(args) > len(taken.order) and not taken.spread:
                raise TypeError(f"{called}: {len(args)} arguments are too many; allowed: {_listed_names(taken.names)}")
            if len(args) < len(taken.required):
                for n in taken.required[len(args) :]:
                    if n not in kwargs and not taken.open_ended:
                        raise TypeError(f"{called}: {n} is missing; allowed: {_listed_names(taken.names)}")
        try:
            return function(*args, **kwargs)
        except MISFITS as error:
            words = explained(called, error, args[taken.own :], kwargs, taken.names)
            if words is error:
                raise
            raise words from error

    call.checked = call  # type: ignore[attr-defined]
    return call


def is_checked(function: Any) -> bool:
    """Whether a function checks what it is given already."""
    return getattr(function, "checked", None) is function  # one that wraps it has its attributes


def guarded(function: Callable[..., Any], name: str = "", method: bool = False) -> Callable[..., Any]:
    """``function`` with what NumPy and Python raise in it said as a refusal; unlike `checked` it costs nothing."""
    called = name or function.__name__
    parameters: list[str] = []

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except MISFITS as error:
            if not parameters:
                parameters.extend(inspect.signature(function).parameters)
            told = explained(called, error, args[method:], kwargs, parameters[method:])
            if told is error:
                raise
            raise told from error

    call.checked = call  # type: ignore[attr-defined]
    return call


_DUNDERS = (
    "__call__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__len__",
    "__contains__",
    "__format__",
    "__array__",
)
_Class = TypeVar("_Class", bound=type)


def guarded_class(cls: _Class, names: Iterable[str] = ()) -> _Class:
    """A class whose constructor and public methods (or ``names``) are `checked`."""
    for name in names or [n for n in vars(cls) if n[:1] != "_" or n in _DUNDERS or n == "__init__"]:
        found = vars(cls)[name]
        called = cls.__name__.lstrip("_") if name in ("__init__", "forward") else name
        if name == "__init__":
            setattr(cls, name, checked(found, called))
        elif isinstance(found, (classmethod, staticmethod)):
            setattr(cls, name, type(found)(checked(found.__func__, name, limited=True)))
        elif inspect.isfunction(found):
            setattr(cls, name, checked(found, called, limited=True))
    return cls


def guarded_names(namespace: dict[str, Any], names: Iterable[str]) -> None:
    """Let the functions of a module check what they are given; called at its end, for its public names."""
    for name in names:
        found = namespace.get(name)
        if inspect.isfunction(found) and found.__module__.startswith("halfsim") and not is_checked(found):
            namespace[name] = checked(found)
            namespace[name].__module__ = namespace["__name__"]  # where copies and pickles find it


# What NumPy and Python raise for arguments that a check of annotations does not see through.
MISFITS = (
    TypeError, ValueError, AttributeError, LookupError, ArithmeticError, SyntaxError, MemoryError, RecursionError,
    BufferError,
)  # fmt: skip
_LONGEST = 300
_HERE = os.path.dirname(__file__) + os.sep
_LIBRARIES = (os.path.dirname(np.__file__) + os.sep, sysconfig.get_path("stdlib") + os.sep, "<frozen")
# NumPy's words that say what is wrong with an argument; others tell how Python came to fail.
_CLEAR = re.compile(
    r"broadcast|out of bounds|shape|dimension|axis|axes|ingular|positive.definite|square|negative|size|length|"
    r"duplicate|repeated|divis|subscript|exceed|too large|must be|monoton"
)
_PYTHON = re.compile(
    r"object|subscriptable|argument|real number|operand type|scalar|sequence|cast|ufunc|integer string|\bargs\b|__"
)
_UNKNOWN = re.compile(r"\w\(\) got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"\w\(\) missing \d+ required [\w-]+ arguments?: '(\w+)'")
_TOO_MANY = re.compile(r"\w\(\) takes .* positional arguments? but (\d+)")
_FORWARD = re.compile(r"^(\w+)\.forward\(\) ")  # what a module does not take comes from a call further in


def _raised_by(error: BaseException) -> str:
    """Whose words an error has: "us", where a line of halfsim raises it, "theirs", the caller's code, or "python"."""
    trace = error.__traceback__
    own = True
    frames = 0
    while trace is not None:
        code, last = trace.tb_frame.f_code, trace
        own = code.co_filename.startswith(_HERE)
        if not own and not code.co_filename.startswith(_LIBRARIES) and not code.co_filename.endswith(".pyx"):
            return "theirs"
        trace, frames = trace.tb_next, frames + 1
    if own and frames and dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS":
        return "python" if hasattr(error, "generic") else "us"
    return "call" if frames == 1 else "python"


def explained(
    name: str, error: Exception, args: Sequence[Any], kwargs: dict[str, Any], allowed: Sequence[str]
) -> Exception:
    """``error`` as a refusal of one short line: itself if it is one, else one that shows the arguments."""
    by, text = _raised_by(error), _words(error)
    if by == "theirs":
        return error
    if by == "us" or (name == "__call__" and hasattr(error, "generic")):  # a module's forward has said it
        return error if len(text) <= _LONGEST and "\n" not in text else _cut(error, text)
    names = ", ".join(allowed)
    if (layer := _FORWARD.match(text)) and isinstance(error, TypeError):
        by, name, names = "call", layer[1].lstrip("_"), "what its forward takes"
    if by == "call" and isinstance(error, TypeError):
        if found := _UNKNOWN.search(text):
            return unknown_option(name, found[1], [names] if layer else allowed)
        if found := _MISSING.search(text):
            return TypeError(f"{name}: {found[1]} is missing; allowed: {names}"[:_LONGEST])
        if found := _TOO_MANY.search(text):
            given = int(found[1]) - bool(layer)  # where self counts
            return TypeError(f"{name}: {given} arguments are too many; allowed: {names}"[:_LONGEST])
    told = kind_of(error)(_told(name, error, text, args, kwargs, allowed))
    told.generic = getattr(error, "generic", text)  # an outer function says it of its own arguments
    return told


def kind_of(error: Exception) -> Any:
    """The class of the refusal that an error becomes."""
    if isinstance(error, (TypeError, AttributeError)):
        return TypeError
    for kind in (IndexError, MemoryError, ZeroDivisionError, np.linalg.LinAlgError):
        if isinstance(error, kind):
            return kind
    return ValueError


def _told(
    name: str, error: Exception, text: str, args: Sequence[Any], kwargs: dict[str, Any], allowed: Sequence[str]
) -> str:
    given = [*zip([*allowed, *[""] * len(args)], args, strict=False), *kwargs.items()]
    if isinstance(error, MemoryError):
        return f"{name}: ({_listed(given)}) needs more memory than there is; allowed: fewer values"
    odd = [(n, value) for n, value in given if not isinstance(value, _USUAL) and not _known(value)]
    if odd:
        n, value = odd[0]
        return f"{name}: {n}={shown(value)} is not allowed; allowed: numbers, arrays, tensors, as documented for {n}"
    inner = " ".join(getattr(error, "generic", text).split())
    why = inner if _CLEAR.search(inner) and not _PYTHON.search(inner) else ""
    why = why if len(why) <= 80 else f"{why[:77]}..."
    error_words = f" ({why})" if why else ""
    words = ", ".join(allowed)
    words = words if len(words) <= _SHOWN else f"{words[: _SHOWN - 3]}..."
    return f"{name}: ({_listed(given)}) is not allowed{error_words}; allowed: {words} as documented"


def _known(value: Any) -> bool:
    return type(value).__module__.startswith("halfsim") or callable(value)


def _listed(given: Sequence[tuple[str, Any]]) -> str:
    text = ", ".join(shown(value) for _, value in given)
    return text if len(text) <= 2 * _SHOWN else f"{text[: 2 * _SHOWN - 3]}..."


def _words(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # of an object whose repr fails
        return ""


def _cut(error: Exception, text: str) -> Exception:
    text = " ".join(text.split())
    return type(error)(text if len(text) <= _LONGEST else f"{text[:140]} ... {text[-140:]}")


def unknown_option(function: str, name: str, allowed: Sequence[str]) -> TypeError:
    """The error of an option that a function does not have."""
    hint = "".join(f" (did you mean {one}=?)" for one in near(name, allowed))
    return TypeError(f"{function}: {name[:40]}= is not an option here{hint}; allowed: {_listed_names(allowed)}")


def _listed_names(names: Sequence[str]) -> str:
    listed = ", ".join(names) or "none"
    return listed if len(listed) <= 160 else f"{listed[:157]}..."
