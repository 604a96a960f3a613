"""A script under a trace, as ``python`` would run it."""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import runpy
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from contextvars import copy_context
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from halfsim.autograd.scope import precision
from halfsim.diagnose.report.facts import Raised
from halfsim.diagnose.trace import Trace, trace
from halfsim.frames import spelled
from halfsim.text import clipped

_OURS = {__file__, runpy.__file__, "<frozen runpy>"}
_INSTALLED = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_HALFSIM = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def check(target: str, module: bool) -> None:
    """``ValueError`` in one line where there is no such script, or no module of a possible name."""
    named = clipped(repr(target), 120)
    if module:
        if not all(part.isidentifier() for part in target.split(".")):
            raise ValueError(f"-m: {named} is not the name of a module")
    elif not Path(target).exists():
        raise ValueError(f"{named}: no such script")
    elif Path(target).is_dir() and not (Path(target) / "__main__.py").is_file():
        raise ValueError(f"{named} is a directory without __main__.py; allowed: the path of a script")
    elif not os.access(target, os.R_OK):
        raise ValueError(f"{named}: permission denied")


def traced(
    target: str,
    arguments: Sequence[str] = (),
    *,
    module: bool = False,
    rule: object = None,
    override: bool = False,
    reference: object = None,
    fingerprint: bool = False,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[Trace, int]:
    """Run a script, or the module of that name, under a trace: the trace, and the code that it exits with.

    ``sys.argv``, ``sys.path[0]``, ``__name__`` and ``__file__`` are what ``python target arguments`` makes them.
    Exceptions are printed as ``python`` prints them, and noted in the trace's ``raised``; the code is then 1, and 130
    after Ctrl-C. ``rule`` is the precision where the script sets none; with ``override`` it beats the script's.
    ``fingerprint`` is that of `halfsim.trace`. ``around`` is a context for the script itself. What other threads and
    processes compute is not traced. Standard streams that the script closed or removed are put back.
    """
    check(target, module)
    with ExitStack() as stack:
        if rule is not None:
            stack.enter_context(precision(rule, override=override))
        recorded: Trace = stack.enter_context(trace(reference, fingerprint=fingerprint))
        stack.enter_context(_arguments(target, arguments, module))
        code, recorded.raised = copy_context().run(_within, around, target, module)  # what it leaves open goes with it
    if code is None:
        raise ValueError(f"-m: no module named {clipped(repr(target), 120)} that can be run")
    return recorded, code


@contextmanager
def _arguments(target: str, arguments: Sequence[str], module: bool) -> Iterator[None]:
    argv, path, streams = sys.argv, sys.path, (sys.stdin, sys.stdout, sys.stderr)
    limit, entries = sys.getrecursionlimit(), path[:]
    sys.argv = [target, *arguments]
    if not sys.flags.safe_path:
        first = os.getcwd() if module else os.path.dirname(os.path.realpath(target))
        sys.path[:] = [first, *entries[1:]]
    try:
        yield
    finally:
        for name in ("stdout", "stderr"):  # the script's words first; it may have closed or removed them
            with suppress(OSError, AttributeError, ValueError):
                getattr(sys, name).flush()
        sys.setrecursionlimit(limit)
        sys.argv, sys.path, path[:] = argv, path, entries
        sys.stdin, sys.stdout, sys.stderr = streams


def _within(
    around: Callable[[], AbstractContextManager[Any]], target: str, module: bool
) -> tuple[int | None, Raised | None]:
    with around():
        return _exit_code(target, module)


def _exit_code(target: str, module: bool) -> tuple[int | None, Raised | None]:
    """What the script exits with, None where there is no such module; and the exception that ended it."""
    try:
        if module:
            if not is_module(target):
                return None, None
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            _run(target)
    except SystemExit as stop:
        return _code(stop.code), None
    except BaseException as error:
        own = _own(error.__traceback__)
        try:
            sys.excepthook(type(error), error.with_traceback(own), own)
        except Exception:  # the script may have put something there that does not work
            sys.__excepthook__(type(error), error, own)
        return 130 if isinstance(error, KeyboardInterrupt) else 1, raised(error, own)
    return 0, None


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


def is_module(name: str) -> bool:
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
    with suppress(Exception):  # standard error may be closed, and what is given may not be printable
        print(given, file=sys.stderr)
    return 1


def _own(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback from the script's first line on."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in _OURS:
        traceback = traceback.tb_next
    return traceback


def raised(error: BaseException, traceback: TracebackType | None) -> Raised:
    """The exception, and the innermost line outside halfsim and what is installed: the script's, or one beside it."""
    try:
        message, line = next(iter(str(error).splitlines()), ""), None
    except Exception:  # of a class whose __str__ fails
        message, line = "", None
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        message, line = error.msg, (error.filename, error.lineno)
    else:
        while traceback is not None:
            name = traceback.tb_frame.f_code.co_filename
            if line is None or not name.startswith((*_INSTALLED, _HALFSIM, "<")):
                line = name, traceback.tb_lineno
            traceback = traceback.tb_next
    return Raised(type(error).__name__, clipped(message, 300, "start"), spelled(line))
