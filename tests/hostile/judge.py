"""What came of one call: a result, a refusal, or a failure and its kind.

A refusal is an error that names an argument or what is allowed, on one line of at most 300 characters. It is raised by
halfsim (the innermost frame stands on a ``raise`` in the package), or by the interpreter for arguments that a function
does not have, and its class is one that Python, NumPy or PyTorch give for arguments. NumPy's own words may stand in it
where they are about shapes and axes; words about how Python came to fail may not.
"""

from __future__ import annotations

import contextlib
import contextvars
import dis
import os
import re
import time
import types
import warnings
from typing import Any, NamedTuple

import numpy as np

import halfsim as hs
from tests.hostile import made
from tests.hostile.draw import Call
from tests.hostile.names import namespace

_ROOM = os.path.dirname(hs.__file__) + os.sep
SECONDS = 2.0
LONGEST = 300
CLASSES = (TypeError, ValueError, IndexError, RuntimeError, NotImplementedError, AttributeError, MemoryError, OSError,
           BufferError, ImportError, KeyError, ZeroDivisionError, OverflowError, AssertionError)  # fmt: skip
# How Python and NumPy word what went wrong inside; none of it says what an argument should be.
INTERNAL = re.compile(
    r"has no attribute|object is not|unsupported operand|not subscriptable|cannot unpack|did not contain a loop|"
    r"not supported between|required positional|unexpected keyword|positional argument|unhashable|can't multiply|"
    r"cannot be interpreted|must be real number|argument must be|not enough values|too many values to unpack|"
    r"could not be (cast|converted)|Cannot cast|cannot convert|ufunc '|inhomogeneous|must be called with|"
    r"Exceeds the limit|codec can't|dictionary update|object cannot be|setting an array element|zip\(\)|"
    r"only integer scalar|only length-1|only 0-dimensional|not iterable|Invalid comparison|list index out of range"
)
HOUSE = re.compile(r"allowed|missing|left out|not simulated|did you mean|it is hs\.|needs|has no attribute '\w+'$")
# Parameters whose arrays a function is there to change.
CHANGED = {
    "out",
    "dst",
    "running_mean",
    "running_var",
    "destination",
    "tensor",
    "parameters",
    "params",
    "grads",
    "self",
}


class Verdict(NamedTuple):
    """``kind`` is "result", "refusal" or a kind of failure; ``shape`` groups its messages."""

    kind: str
    message: str = ""
    error: str = ""
    seconds: float = 0.0


class Hang(BaseException):
    """Raised in a call that takes too long."""


def judged(call: Call) -> tuple[Verdict, Any]:
    """The verdict on a call, and its result."""
    try:
        positional, keywords, on = _arguments(call)
    except Exception as error:
        return Verdict("unmade", f"{type(error).__name__}: {error}"), None
    if call.target.startswith("np.") and not _holds_tensor([*positional, *keywords.values()]):
        return Verdict("unmade", "NumPy's alone"), None
    function = _callable(call)
    changed = call.target in ("np.fill_diagonal", "np.put", "np.place", "np.copyto", "np.putmask", "np.put_along_axis")
    changed = changed or call.target.endswith("_") or {"inplace", "max_norm"} & keywords.keys() or ".__i" in call.target
    watched = {} if changed else {i: _bits(x) for i, x in enumerate([*positional, *keywords.values()])}
    names = [*(name for name, _ in call.positional for _ in [0]), *keywords]
    started = time.process_time()
    result: Any = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            result = contextvars.copy_context().run(function, on, positional, keywords)
            verdict = Verdict("result")
        except Hang:
            return Verdict("hang", "", "", time.process_time() - started), None
        except BaseException as error:
            verdict = _refused(error, call.target.startswith(("np.", "operator.")))
    seconds = time.process_time() - started
    if seconds > SECONDS:
        return Verdict("hang", verdict.message, verdict.error, seconds), result
    if verdict.kind in ("result", "refusal") and numpys_own(call):
        return verdict._replace(kind="unmade"), None
    if verdict.kind in ("result", "refusal"):
        for note in told:
            if call.target.startswith("np.") and "alias is deprecated" in str(note.message):
                continue  # NumPy's, of its own name
            ours = issubclass(note.category, (UserWarning, hs.FlagWarning)) and "VisibleDeprecation" not in str(
                note.category
            )
            if not ours:
                return Verdict("warning", f"{note.category.__name__}: {note.message}", "", seconds), result
        for (i, before), name in zip(watched.items(), [*names, *[""] * len(watched)], strict=False):
            if name not in CHANGED and _bits([*positional, *keywords.values()][i]) != before:
                return Verdict("mutated", f"argument {i} ({name})", "", seconds), result
    return verdict._replace(seconds=seconds), result


def _holds_tensor(x: Any, depth: int = 0) -> bool:
    if isinstance(x, hs.Tensor):
        return True
    return type(x) in (list, tuple) and depth < 3 and any(_holds_tensor(item, depth + 1) for item in x)


class _Asked:
    """In a tensor's place: which function of NumPy's asks it first."""

    def __array_function__(self, function: Any, *given: Any) -> Any:
        raise AskedError(function)

    __array_ufunc__ = __array_function__


class AskedError(Exception):
    """What an argument in a tensor's place answers NumPy, with the function that asks."""


def numpys_own(call: Call) -> bool:
    """Whether NumPy's function asks no tensor, as where only an option is one: what comes of it is NumPy's own."""
    if not call.target.startswith("np."):
        return False
    positional, keywords, _ = _arguments(call)
    function = _callable(call)
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        try:
            function(None, [_probed(x) for x in positional], {name: _probed(x) for name, x in keywords.items()})
        except AskedError as asked:
            return asked.args[0] is not eval(call.target, namespace())
    return True


def _probed(x: Any, depth: int = 0) -> Any:
    if isinstance(x, hs.Tensor):
        return _Asked()
    return type(x)(_probed(y, depth + 1) for y in x) if type(x) in (list, tuple) and depth < 3 else x


def _arguments(call: Call) -> tuple[list[Any], dict[str, Any], Any]:
    space = namespace()
    positional: list[Any] = []
    for _, text in call.positional:
        found = eval(f"[{text}]", space)  # a spread parameter has several
        positional += found
    keywords = {name: eval(text, space) for name, text in call.keywords}
    return positional, keywords, eval(call.on, space) if call.on else None


def _callable(call: Call) -> Any:
    """How the call is made, of what it is on and its arguments."""
    space = namespace()
    name = call.target
    if name.startswith("operator."):
        function = eval(name.split()[0], space)
        if name.endswith("reflected"):
            return lambda on, positional, keywords: function(*positional, on, **keywords)
        return lambda on, positional, keywords: function(on, *positional, **keywords)
    if not call.on:
        function = eval(name, space)
        return lambda on, positional, keywords: function(*positional, **keywords)
    attribute = name.rpartition(".")[2]
    if call.text == f"{call.on}.{attribute}":
        return lambda on, positional, keywords: getattr(on, attribute)
    return lambda on, positional, keywords: getattr(on, attribute)(*positional, **keywords)


def _refused(error: BaseException, foreign: bool) -> Verdict:
    text, kind = _said(error), type(error).__name__
    files = [code.co_filename for code in _codes(error)]
    if files[-1] in (made.__file__, "<string>") and isinstance(error, Exception):
        return Verdict("refusal", "the caller's own error", kind)
    if files[-1].endswith(f"{os.sep}enum.py"):
        return Verdict("refusal", "Python's own of an enumeration", kind)
    if foreign and not any(file.startswith(_ROOM) for file in files) and isinstance(error, Exception):
        return Verdict("refusal", "of NumPy or Python, before they ask the tensor", kind)
    raised = _raised_by_us(error)
    if not isinstance(error, CLASSES) or isinstance(error, (UnicodeError, RecursionError)):
        return Verdict("internal error", text, kind)
    if not raised:
        return Verdict("internal error", text, kind)
    if not text.strip():
        return Verdict("bad words", "no words", kind)
    if "\n" in text:
        return Verdict("bad words", f"several lines: {text[:80]!r}", kind)
    if len(text) > LONGEST:
        return Verdict("bad words", f"{len(text)} characters: {text[:80]}", kind)
    if _from_here(error):
        return Verdict("refusal", text, kind)
    if INTERNAL.search(text) and not HOUSE.search(text.split("(")[0]) and not _attribute(error, text):
        return Verdict("bad words", text, kind)
    if not HOUSE.search(text) and ": " not in text:
        return Verdict("bad words", text, kind)
    return Verdict("refusal", text, kind)


def _attribute(error: BaseException, text: str) -> bool:
    return isinstance(error, AttributeError) and text.startswith(("Tensor", "halfsim"))


def _codes(error: BaseException) -> list[types.CodeType]:
    """What ran, from the call to where the error was raised."""
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame.f_code)
        trace = trace.tb_next
    return found


def _from_here(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename == __file__


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "an error without words"


def _raised_by_us(error: BaseException) -> bool:
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    if code.co_filename == __file__:  # the call itself: what Python says of arguments that a function does not have
        return (
            isinstance(error, TypeError)
            and re.search(r"\(\) (got|missing|takes)|\(\) .*argument", str(error)) is not None
        )
    if not code.co_filename.startswith(_ROOM):
        return False
    return dis.opname[code.co_code[trace.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")


def _bits(x: Any, depth: int = 0) -> Any:
    """The bits of arrays, tensors and lists of them, to see whether a call changed them."""
    if isinstance(x, hs.Tensor):
        return (x.array.tobytes(), x.shape, str(x.format), x.requires_grad)
    if isinstance(x, np.ndarray):
        return (x.tobytes() if x.dtype.kind != "O" else x.shape, x.shape, str(x.dtype))
    if isinstance(x, (list, tuple, dict)) and depth < 3:
        return [type(x), *(_bits(item, depth + 1) for item in (x.items() if isinstance(x, dict) else x))]
    return None


_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?(e[+-]?\d+)?|'[^']*'|\([^()]*\)")


def shape_of(message: str) -> str:
    """A message without what changes from call to call."""
    return _NUMBERS.sub("#", message)[:120]
