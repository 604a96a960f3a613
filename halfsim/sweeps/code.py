"""What the results of a study depend on beside configuration and seed: the function, its file, halfsim itself."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from halfsim.options import shown
from halfsim.sweeps.spelling import spelled

SCHEMA = 1

# What is said of a study whose code is another than that of the rows that are there, by what differs; the first counts.
_CHANGED = {
    "function": "the function is another: {} before, {} now",
    "version": "version= changed, from {!r} to {!r}",
    "halfsim": "halfsim changed, from {} to {}",
    "source": "the source of the function changed",
    "file": "the file of the function changed, though not the function itself",
}


@dataclass(frozen=True)
class Code:
    """Which code a study runs: names, versions and digests, as the head of its results file keeps them."""

    function: str  # "study:run"
    source: str  # of the function alone
    file: str  # of all that stands in its file; "" where there is none
    version: str  # what the caller says
    halfsim: str
    schema: int = SCHEMA

    @property
    def digest(self) -> str:
        """All of it in 16 characters."""
        return digest("\n".join(str(getattr(self, f.name)) for f in fields(self)).encode())[:16]

    def change(self, now: Code) -> str:
        """What is different in ``now``, in words; "" where nothing is."""
        for name, words in _CHANGED.items():
            before, after = getattr(self, name), getattr(now, name)
            if before != after:
                return words.format(before, after)
        return ""


def digest(data: bytes) -> str:
    """SHA-256, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def code_of(run: Callable[..., Any], version: str = "") -> Code:
    """The code behind a function, or a ``functools.partial`` of one; ``TypeError`` where it is neither.

    Beside its own text the whole file counts that it stands in, since it may use what stands there; what is imported
    from elsewhere does not. A function without a file, as one typed at a prompt, is known by its byte code. Plain
    values that a function closes over, or a partial holds, count too.
    """
    function, held = run, []
    while isinstance(function, functools.partial):
        held.append(spelled([list(function.args), function.keywords], "run", ordered=True))
        function = function.func
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        raise TypeError(f"run: {shown(run)} is not allowed; allowed: a function, a functools.partial of a function")
    for cell in function.__closure__ or ():
        try:
            held.append(spelled(cell.cell_contents, "run", ordered=True))
        except (TypeError, ValueError):  # an object, or a cell that is empty still
            held.append("?")
    try:
        source = inspect.getsource(function).encode()
    except (OSError, TypeError):
        source = _compiled(function.__code__)
    return Code(
        f"{_module(function)}:{function.__qualname__}", digest(source + "\n".join(held).encode()), file_digest(run),
        version, halfsim_version(),
    )  # fmt: skip


def file_digest(run: Callable[..., Any]) -> str:
    """Of the bytes of the file that a function stands in, "" where there is none."""
    while isinstance(run, functools.partial):
        run = run.func
    try:
        return digest(Path(inspect.getsourcefile(inspect.unwrap(run)) or "").read_bytes())
    except (OSError, TypeError):
        return ""


def halfsim_version() -> str:
    """That of the package, which is imported before its rooms."""
    return str(sys.modules["halfsim"].__version__)


def _module(function: FunctionType) -> str:
    """The name of its module; that of a script's file, which runs under another name in a worker."""
    if function.__module__ not in ("__main__", "__mp_main__"):
        return function.__module__
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.splitext(os.path.basename(file))[0] if file else "__main__"


def _compiled(code: CodeType) -> bytes:
    inner = (_compiled(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts)
    return b"\n".join([code.co_code, repr(code.co_names).encode(), *inner])


def sent(run: Callable[..., Any], far: bool) -> tuple[bytes, bool]:
    """The function as bytes for other processes, and whether it goes by its name; ``TypeError`` where it cannot go.

    One of an installed module goes by its name. One that another process cannot import (of a notebook, a prompt, a
    closure; where the processes are ``far``, of a script or a module beside it) goes by its value, with cloudpickle.
    """
    function = run
    while isinstance(function, functools.partial):
        function = function.func
    home = sys.modules.get(function.__module__)
    script = function.__module__ == "__main__"
    nameless = script and not getattr(home, "__file__", None)
    named = None
    if not nameless and "<" not in function.__qualname__:
        with suppress(pickle.PicklingError, AttributeError, TypeError):
            named = pickle.dumps(run)
    if named is not None and not (far and (script or not _installed(home))):
        return named, True
    try:
        import cloudpickle
    except ImportError:
        if named is not None and not script:
            return named, True  # where its module may be there too
        raise TypeError(
            f"run: {shown(run)} cannot be sent to another process by its name; allowed: a function of a module, or any "
            "with: pip install 'halfsim[distributed]'"
        ) from None
    along = far and home is not None and not script and not _installed(home)
    if along:
        cloudpickle.register_pickle_by_value(home)
    try:
        return cloudpickle.dumps(run), False
    except Exception as error:  # of objects that the function or its module holds
        if named is not None and not script:
            return named, True
        why = " ".join(str(error).split())[:120]
        raise TypeError(
            f"run: {shown(run)} cannot be sent to another process ({why}); allowed: a function of a module"
        ) from None
    finally:
        if along:
            cloudpickle.unregister_pickle_by_value(home)


def _installed(module: Any) -> bool:
    """Whether a module comes from where packages are installed, as on every machine of a cluster."""
    import sysconfig

    file = os.path.realpath(getattr(module, "__file__", None) or "")
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(file.startswith(os.path.join(os.path.realpath(place), "")) for place in places)
