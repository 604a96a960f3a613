"""What a function reaches from outside and may change, itself or through the functions and objects that it names."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.amp import GradScaler
from halfsim.autograd.random import Generator
from halfsim.autograd.tensor import Tensor
from halfsim.diagnose import foreign
from halfsim.nn.module import Module
from halfsim.optim import EMA, Optimizer
from halfsim.optim.lr_scheduler import LRScheduler

# What has a state of its own.
KINDS = (Module, Tensor, Optimizer, GradScaler, LRScheduler, EMA, Generator, np.random.Generator)
_LIBRARIES = {"halfsim", "numpy", "torch", "builtins", *sys.stdlib_module_names} - {"__main__"}
_PLAIN = (int, float, complex, str, bytes, type(None), types.ModuleType, type)


@dataclass(frozen=True)
class Reach:
    """``objects`` have a state of their own; ``held`` are the lists, dicts and arrays that may be written to."""

    objects: list[Any] = field(default_factory=list)
    held: list[Any] = field(default_factory=list)


def reached(*starts: Any) -> Reach:
    """What the functions and objects ``starts`` may change, each thing once.

    That is what they name, what is in the lists, tuples and dicts that they name, in the object that one is a method
    of, in what `functools.partial` holds, in objects of the user's own classes, and what the functions that they call
    by name reach in the same ways. Functions and objects of libraries are not entered.
    """
    found, seen, waiting = Reach(), {}, list(starts)
    while waiting:
        x = waiting.pop()
        if isinstance(x, _PLAIN) or id(x) in seen:
            continue
        seen[id(x)] = x  # held, so that no id is given twice
        if isinstance(x, KINDS) or foreign.keeper(x) is not None:
            found.objects.append(x)
        elif isinstance(x, np.ndarray):
            found.held.append(x)
        elif isinstance(x, (list, tuple, dict, set, frozenset)):
            if isinstance(x, (list, dict)):
                found.held.append(x)
            waiting += x.values() if isinstance(x, dict) else x
        else:
            waiting += _named(x)
    return found


def _named(x: Any) -> Iterator[Any]:
    """What a function, a method or an object of the user's names."""
    if isinstance(x, functools.partial):
        yield from (x.func, x.args, *x.keywords.values())
    elif isinstance(x, types.MethodType):
        yield from (x.__func__, x.__self__)
    elif isinstance(x, types.FunctionType):
        if not _library(x.__module__):
            for cell in x.__closure__ or ():
                with suppress(ValueError):  # it is empty
                    yield cell.cell_contents
            yield from (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values())
            yield from _of_code(x.__code__, x.__globals__)
    elif hasattr(x, "__dict__") and not _library(type(x).__module__):
        yield vars(x)
        yield from (f for f in vars(type(x)).values() if isinstance(f, types.FunctionType))


def _of_code(code: types.CodeType, names: dict[str, Any]) -> Iterator[Any]:
    """The globals that a function names, and those that functions defined inside it name."""
    yield from (names[name] for name in code.co_names if name in names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _of_code(constant, names)


def _library(module: Any) -> bool:
    if str(module).partition(".")[0] in _LIBRARIES:
        return True
    place = getattr(sys.modules.get(str(module)), "__file__", None) or ""
    return "site-packages" in place or "dist-packages" in place
