"""A script under a trace, as ``python`` would run it."""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from halfsim.autograd.policy import precision
from halfsim.diagnose.trace import Trace, trace

_OURS = {__file__, runpy.__file__, "<frozen runpy>"}


def check(target: str, module: bool) -> None:
    """``ValueError`` in one line where there is no such script, or no module of a possible name."""
    if module:
        if not all(part.isidentifier() for part in target.split(".")):
            raise ValueError(f"-m: {target!r} is not the name of a module")
    elif not Path(target).exists():
        raise ValueError(f"{target!r}: no such script")
    elif Path(target).is_dir() and not (Path(target) / "__main__.py").is_file():
        raise ValueError(f"{target!r} is a directory without __main__.py; allowed: the path of a script")
    elif not os.access(target, os.R_OK):
        raise ValueError(f"{target!r}: permission denied")


def traced(
    target: str,
    arguments: Sequence[str] = (),
    *,
    module: bool = False,
    rule: object = None,
    override: bool = False,
    reference: object = None,
) -> tuple[Trace, int]:
    """Run a script, or the module of that name, under a trace: the trace, and the code that it exits with.

    ``sys.argv``, ``sys.path[0]``, ``__name__`` and ``__file__`` are what ``python target arguments`` makes them.
    Exceptions are printed as ``python`` prints them; the code is then 1, and 130 after Ctrl-C. ``rule`` is the
    precision where the script sets none; with ``override`` it beats the script's. What other threads and processes
    compute is not traced.
    """
    check(target, module)
    with ExitStack() as stack:
        if rule is not None:
            stack.enter_context(precision(rule, override=override))
        recorded: Trace = stack.enter_context(trace(reference))
        stack.enter_context(_arguments(target, arguments, module))
        code = _exit_code(target, module)
    if code is None:
        raise ValueError(f"-m: no module named {target!r} that can be run")
    return recorded, code


@contextmanager
def _arguments(target: str, arguments: Sequence[str], module: bool) -> Iterator[None]:
    argv, path = sys.argv, sys.path[:]
    sys.argv = [target, *arguments]
    if not sys.flags.safe_path:
        first = os.getcwd() if module else os.path.dirname(os.path.realpath(target))
        sys.path[:] = [first, *path[1:]]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path


def _exit_code(target: str, module: bool) -> int | None:
    """What the script exits with; None where there is no such module."""
    try:
        if module:
            if not _found(target):
                return None
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            _run(target)
    except SystemExit as stop:
        return _code(stop.code)
    except BaseException as error:
        own = _own(error.__traceback__)
        sys.excepthook(type(error), error.with_traceback(own), own)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def executed(target: str, arguments: Sequence[str] = (), *, module: bool = False) -> dict[str, Any]:
    """Run a script, or a module, as ``python`` would, in a fresh namespace, and return that.

    What it raises goes to the caller.
    """
    with _arguments(target, arguments, module):
        return runpy.run_module(target, run_name="__main__", alter_sys=True) if module else _run(target)


def _run(target: str) -> dict[str, Any]:
    """A file of Python as the module ``__main__``; directories, archives and compiled files are left to runpy."""
    if not Path(target).is_file() or target.endswith((".pyc", ".pyz", ".zip")):
        return runpy.run_path(target, run_name="__main__")
    path = os.path.abspath(target)
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec")
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __cached__=None, __builtins__=builtins)
    before, sys.modules["__main__"] = sys.modules["__main__"], main
    try:
        exec(code, main.__dict__)
    finally:
        sys.modules["__main__"] = before
    return main.__dict__


def _found(name: str) -> bool:
    """Whether there is such a module to run; the packages it is in are imported, as ``python -m`` does."""
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(f"{error.name}."):
            raise
        return False
    except ValueError:  # a module without a spec
        return False
    return spec is not None


def _code(given: Any) -> int:
    """What a process that raises SystemExit exits with."""
    if given is None:
        return 0
    if isinstance(given, int):
        return given & 0xFF
    print(given, file=sys.stderr)
    return 1


def _own(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback from the script's first line on."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in _OURS:
        traceback = traceback.tb_next
    return traceback
