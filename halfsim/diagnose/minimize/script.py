"""A script of a few lines that reproduces a failure."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from halfsim.autograd.policy import PROMOTE, Policy
from halfsim.autograd.scope import scope
from halfsim.diagnose.minimize.source import Source, literal

_SETTINGS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # NumPy's own


def script(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outcome: Any, fails: Any) -> tuple[str, bool]:
    """The script that calls ``fn``, and whether it has all it needs; ``outcome`` is what came of the call here."""
    source = Source()
    source.imports["import halfsim as hs"] = None
    called = source.function(fn, "function")
    taken = {called, "result", "function", "fails"}
    inputs: list[str] = []
    words = [_argument(source, inputs, name, value, taken) for name, value in _named(fn, args)]
    words += [f"{name}={_argument(source, inputs, name, value, taken)}" for name, value in kwargs.items()]
    call = f"{called or 'function'}({', '.join(words)})"
    body = [*inputs, f"result = {call}"]
    if not isinstance(outcome, Exception):
        body += _check(source, outcome, fails)
    lines = _around(body)
    changed = {key: value for key, value in np.geterr().items() if value != _SETTINGS[key]}
    if changed:
        lines.insert(0, f"np.seterr({', '.join(f'{key}={value!r}' for key, value in changed.items())})")
    text = "\n".join(lines)
    source.uses(text)
    head = [*source.imports, "", *_spaced(source.lines)]
    if called is None:
        what = getattr(fn, "__qualname__", type(fn).__qualname__)
        head += [f"function = ...  # put here: {what}", ""]
    head += [f"# {name} must be defined here" for name in dict.fromkeys(source.missing)]
    return "\n".join([*head, text]) + "\n", called is not None and not source.missing


def _named(fn: Any, args: tuple[Any, ...]) -> list[tuple[str, Any]]:
    """The positional arguments with the names that the function has for them."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names += [f"x{i}" for i in range(len(names), len(args))]
    return list(zip(names, args, strict=False))


def _argument(source: Source, inputs: list[str], name: str, value: Any, taken: set[str | None]) -> str:
    """The expression for one argument; what is long gets a line and a name of its own."""
    text = literal(value)
    while name in taken or name in ("hs", "np"):
        name += "_"
    if text is None:
        known = source.function(value, name) if callable(value) else None
        if known is None:
            source.missing.append(name)
        return known or name
    if len(text) < 12 and "(" not in text:
        return source.uses(text)
    taken.add(name)
    inputs.append(f"{name} = {source.uses(text)}")
    return name


def _check(source: Source, outcome: Any, fails: Any) -> list[str]:
    """The lines that fail where the result is wrong."""
    if fails is not None:
        judge = source.function(fails, "fails")
        return [f"assert not {judge}(result), result"] if judge else ["print(result)  # this is wrong"]
    source.imports["import numpy as np"] = None
    if isinstance(outcome, (list, tuple)):
        return ["assert all(np.isfinite(np.asarray(y)).all() for y in result), result"]
    if isinstance(outcome, Mapping):
        return ["assert all(np.isfinite(np.asarray(y)).all() for y in result.values()), result"]
    return ["assert np.isfinite(np.asarray(result)).all(), result"]


def _around(body: list[str]) -> list[str]:
    """``body`` in the precision in force."""
    here, lines = scope(), body
    if here.rule != PROMOTE:
        rule = str(here.rule if isinstance(here.rule, Policy) else Policy({"default": here.rule}))
        lines = _within(f"hs.precision({rule!r}{', override=True' if here.override else ''})", lines)
    return _within("hs.reproducible()", lines) if here.reproducible else lines


def _within(context: str, lines: list[str]) -> list[str]:
    return [f"with {context}:", *(textwrap.indent(line, "    ") for line in lines)]


def _spaced(definitions: list[str]) -> list[str]:
    """Definitions with an empty line after each."""
    return [line for text in definitions for line in (text, "")]
