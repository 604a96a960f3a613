"""`halfsim run --mend`: the fixes of what went wrong in a script, each tried by running it anew."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.diagnose import foreign
from halfsim.diagnose.mend.attempt import Experiment
from halfsim.diagnose.mend.mend import mend
from halfsim.diagnose.mend.outcome import Values, distance, values_of
from halfsim.diagnose.mend.result import Mended
from halfsim.diagnose.returned import raised
from halfsim.diagnose.script_run import check, executed, is_module
from halfsim.nn.module import Module
from halfsim.optim import EMA
from halfsim.text import clipped

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+|inf|nan)(?![\w.])", re.IGNORECASE)


def mend_script(
    target: str, arguments: Sequence[str] = (), *, module: bool = False, precision: Any = None,
    around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
) -> Mended:  # fmt: skip
    """Try the fixes of a script, or of the module of that name, on the script itself; see `halfsim.mend`.

    Each run is a new one, in a fresh namespace, with the modules beside the script imported anew. Its result is what
    its global names hold in the end: models, tensors, float arrays and floats; where there is none, the last number
    with a point that it printed. What differs between two runs in float64, as times do, is left out. ``precision``
    is the precision where the script sets none, ``around`` a context for each run. What it prints is shown once, in the
    run that is to be mended.
    ``ValueError`` where it fails in float64 too.
    """
    check(target, module)
    if module and not is_module(target):
        raise ValueError(f"-m: no module named {clipped(repr(target), 120)} that can be run")
    script = _Script(target, list(arguments), module, around)
    try:
        Experiment.of(script, [], lambda done: None).reference()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{target!r} fails in float64, too: {raised(error)}") from error
    found = mend(script, precision)
    notes = list(found.notes)
    if script.ignored:
        notes.append(f"Left out, being other in each run: {', '.join(sorted(script.ignored))}.")
    return replace(found, notes=tuple(notes))


@dataclass
class _Script:
    """A script as a run without arguments: what its names hold in the end."""

    target: str
    arguments: list[str]
    module: bool
    around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    runs: int = 0
    first: Values = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)

    def __call__(self) -> dict[str, Any]:
        self.runs += 1
        words = _Tee(sys.stdout if self.runs == 3 else None)  # after two in float64
        with _fresh(self.target, self.module), _quiet(words, self.runs != 3):
            try:
                with self.around():
                    names = executed(self.target, self.arguments, module=self.module)
            except SystemExit as stop:
                if stop.code not in (None, 0):
                    raise
                names = {}
        found = {name: x for name, x in names.items() if _is_result(name, x)} or _printed(words.getvalue())
        self._compare(found)
        return {name: x for name, x in found.items() if not self._left_out(name)}

    def _compare(self, found: dict[str, Any]) -> None:
        """Notice, in the second run in float64, what differs from the first."""
        if self.runs > 2:
            return
        values = values_of(found)
        if self.runs == 1:
            self.first = values
        for name in values.keys() | self.first.keys():
            if distance({name: values.get(name, _NONE)}, {name: self.first.get(name, _NONE)}) > 1e-9:
                self.ignored.add(name)

    def _left_out(self, name: str) -> bool:
        return any(other == name or other.startswith(f"{name}.") for other in self.ignored)


_NONE = np.zeros((0, 0))


def _is_result(name: str, x: Any) -> bool:
    if name.startswith("_"):
        return False
    number = isinstance(x, (float, np.floating)) or (isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size > 0)
    return number or isinstance(x, (Tensor, Module, EMA, *foreign.READERS))


def _printed(text: str) -> dict[str, Any]:
    """The last number with a point, an exponent or without a finite value among the words."""
    numbers = _NUMBER.findall(text)
    return {"printed": float(numbers[-1])} if numbers else {}


class _Tee(io.StringIO):
    """What is written, kept, and shown on ``stream`` as well."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self.stream = stream

    def write(self, text: str) -> int:
        if self.stream is not None:
            self.stream.write(text)
        return super().write(text)


@contextlib.contextmanager
def _quiet(words: _Tee, hidden: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(words))
        if hidden:
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _fresh(target: str, module: bool) -> Iterator[None]:
    """A context after which the modules that lie beside the script are forgotten, so that they begin anew."""
    before = set(sys.modules)
    beside = os.getcwd() if module else os.path.dirname(os.path.realpath(target))
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            place = getattr(sys.modules[name], "__file__", None)
            if place and os.path.dirname(os.path.realpath(place)).startswith(beside) and "site-packages" not in place:
                del sys.modules[name]
