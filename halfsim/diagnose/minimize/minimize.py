"""`hs.minimize`: the smallest input on which a function still fails, and a script that shows it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor, format_of, plain
from halfsim.autograd.trace.kinds import KINDS, kinds_of
from halfsim.autograd.trace.trace import tracing
from halfsim.diagnose.ddmin import SpentError
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.minimize.script import script
from halfsim.diagnose.minimize.shrink import Shrinker
from halfsim.diagnose.returned import raised
from halfsim.diagnose.snapshot import Snapshot
from halfsim.diagnose.trace import Trace
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Lines, sections
from halfsim.numerics.formats import Format, Integer, as_dtype, whole
from halfsim.numerics.quantize import Array


@dataclass(frozen=True)
class Minimal(Document):
    """A failing input that cannot easily be made smaller; it prints as a script that fails in the same way.

    ``inputs`` are as they were given, but smaller; ``script`` is the script, which needs nothing else if
    ``self_contained``. ``failure`` says in words what happens; ``evaluations`` is how often the function ran, and
    ``before`` and ``after`` how many numbers the inputs held.
    """

    title = "halfsim: the smallest inputs that fail"

    inputs: Any
    script: str
    failure: str
    before: int
    after: int
    evaluations: int
    self_contained: bool

    def __str__(self) -> str:
        return f"# {self._story()}\n{self.script}"

    def _story(self) -> str:
        size = f"{self.after:,} of {self.before:,} numbers" if self.after < self.before else f"{self.after:,} numbers"
        runs = "1 run" if self.evaluations == 1 else f"{self.evaluations:,} runs"
        return f"{self.failure}, with {size} ({runs})"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, tensors and arrays as lists; numbers that are not finite are strings."""
        return jsonable({"schema": 1, "kind": "minimal input", **attributes(self)})

    def _body(self) -> Iterator[str]:
        yield from sections([("", self._story()), ("A script that shows it", Lines(self.script))])


def minimize(
    fn: Callable[..., Any],
    inputs: Any,
    fails: Callable[[Any], bool] | None = None,
    *,
    max_evaluations: int = 2000,
) -> Minimal:
    """Shrink ``inputs`` as long as ``fn`` fails on them, and write a script that shows it.

    ``inputs`` is a tuple or list of positional arguments, a dict of keyword arguments, or one argument. Tensors, arrays
    and floats in them (in lists, tuples and dicts too) become smaller: first their axes, those of one length together
    and one by one, then their numbers, towards zero, one, all the same, and few digits, on the grid of their format.
    Everything else stays. ``fails(result)`` judges what ``fn`` returns, or the exception that it raises. Without it a
    failure is a result that is not finite, made of finite inputs, or an ArithmeticError or AssertionError; it must
    stay the same (NaN or infinity; of halfsim's operations, the one where it began). ``fn`` runs in the precision in
    force, at most ``max_evaluations`` times, on copies and from the same random numbers. ``ValueError`` where it does
    not fail.

    >>> import halfsim as hs, numpy as np
    >>> x = np.linspace(-40, 40, 1000).reshape(10, 100)
    >>> small = hs.minimize(lambda x: hs.ops.exp(hs.tensor(x, "fp16")), x)
    >>> small.inputs.shape, small.failure
    ((1, 1), 'returns infinity')
    """
    limit = whole("max_evaluations", max_evaluations)
    if limit < 1:
        raise ValueError(f"max_evaluations: {max_evaluations} is not allowed; allowed: integers from 1")
    for name, given in (("fn", fn), ("fails", fails)):
        if not callable(given) and (given is not None or name == "fn"):
            raise TypeError(f"{name}: {type(given).__name__} is not allowed; allowed: a function")
    leaves: list[_Leaf] = []
    tree = _planted(inputs, leaves)
    before = Snapshot()
    case = _Case(fn, tree, leaves, fails, limit, before)
    try:
        case.begin()
        state = case.shrunk()
        found = _grown(tree, iter(state))
        text, alone = script(fn, *_arguments(found), case.last, fails)
    finally:
        before.restore()
    sizes = [sum(x.size for x in some) for some in (case.state, state)]
    return Minimal(found, text, case.failure, sizes[0], sizes[1], case.count, alone)


@dataclass(frozen=True)
class _Leaf:
    """One array among the inputs, and what it is besides its values."""

    values: Array
    format: Format | None  # None for integers and bools
    kind: type
    requires_grad: bool = False

    def made(self, values: Array) -> Any:
        if self.kind is float:
            return float(values)
        if issubclass(self.kind, Tensor):
            fmt = self.format or as_dtype(values.dtype)
            return Tensor(values.copy(), fmt, self.requires_grad)
        return values.copy() if self.kind is np.ndarray else values[()]


def _planted(value: Any, leaves: list[_Leaf]) -> Any:
    """``value`` with leaves in place of its arrays."""
    if isinstance(value, Tensor):
        exact = isinstance(value.format, Integer)
        leaf = _Leaf(value.array, None if exact else value.format, Tensor, value.requires_grad)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        leaf = _Leaf(value, format_of(value) if value.dtype.kind == "f" else None, np.ndarray)
    elif isinstance(value, np.floating):
        leaf = _Leaf(np.asarray(value), format_of(value), type(value))
    elif isinstance(value, float):
        leaf = _Leaf(np.asarray(value), format_of(np.float64(0)), float)
    elif isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_planted(item, leaves) for item in value)
    elif isinstance(value, dict):
        return {key: _planted(item, leaves) for key, item in value.items()}
    else:
        return value
    leaves.append(leaf)
    return leaf


def _grown(tree: Any, values: Iterator[Array]) -> Any:
    """The inputs again, with ``values`` in their leaves."""
    if isinstance(tree, _Leaf):
        return tree.made(next(values))
    if isinstance(tree, (list, tuple)) and type(tree) in (list, tuple):
        return type(tree)(_grown(item, values) for item in tree)
    return {key: _grown(item, values) for key, item in tree.items()} if isinstance(tree, dict) else tree


def _arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, dict):
        return (), inputs
    return (tuple(inputs), {}) if isinstance(inputs, (list, tuple)) else ((inputs,), {})


@dataclass
class _Case:
    """A function, and the smallest inputs so far on which it fails."""

    fn: Callable[..., Any]
    tree: Any
    leaves: list[_Leaf]
    fails: Callable[[Any], bool] | None
    limit: int
    before: Snapshot
    count: int = 0
    failure: str = ""  # in words; later ones must be of its kind
    cause: tuple[str, str] | None = None
    last: Any = None  # the latest failure's result or exception

    @property
    def state(self) -> list[Array]:
        return [leaf.values for leaf in self.leaves]

    def begin(self) -> None:
        """Run on the inputs as they are; ``ValueError`` if they do not fail."""
        if self.fails is None and not all(np.isfinite(x).all() for x in self.state):
            raise ValueError("inputs: some are not finite already; allowed: finite inputs, or fails=")
        self.failure, self.cause, self.last = self.run(self.state)
        if not self.failure:
            cause = self.last if isinstance(self.last, Exception) else None
            what = f"raises {type(cause).__name__}" if cause else _words(self.last)
            raise ValueError(f"fn: it does not fail on these inputs, it {what}; allowed: inputs that fail") from cause

    def shrunk(self) -> list[Array]:
        """The smallest inputs that fail alike, or those found when the runs were spent."""
        shrinker = Shrinker(self.state, [leaf.format for leaf in self.leaves], self.alike)
        with suppress(SpentError):
            shrinker.shrink()
        return shrinker.state

    def alike(self, state: list[Array]) -> bool:
        """Whether the function fails on ``state`` as it did at first."""
        words, cause, result = self.run(state)
        same = (words.split(":")[0], cause) == (self.failure.split(":")[0], self.cause)
        if not words or not (same or self.fails is not None):
            return False
        self.failure, self.last = words, result
        return True

    def run(self, state: list[Array]) -> tuple[str, tuple[str, str] | None, Any]:
        """The failure in words ("" if there is none), the operation where it began, and what came out."""
        if self.count >= self.limit:
            raise SpentError
        self.count += 1
        self.before.restore()
        args, kwargs = _arguments(_grown(self.tree, iter(state)))
        trace = Trace(frames=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with tracing(trace):
                    result = self.fn(*args, **kwargs)
            except Exception as error:
                result = error
            words = self.judged(result)
        if not words or self.fails is not None:
            return words, None, result
        first = trace.verdict() if trace.first("overflow") or trace.first("NaN") else None
        return words, None if first is None else (_class(first), first.op), result

    def judged(self, result: Any) -> str:
        if self.fails is None:
            bad = isinstance(result, (ArithmeticError, AssertionError))
            return _words(result) if bad or (not isinstance(result, Exception) and _broken(result)) else ""
        try:
            wrong = bool(np.all(plain(self.fails(result))))
            return (
                "" if not wrong else _words(result) if isinstance(result, Exception) else "returns what fails rejects"
            )
        except Exception:
            if isinstance(result, Exception):  # which the judge did not expect
                return ""
            raise


def _class(found: Finding) -> str:
    """The kind of trouble, the same for one number, which may be a constant, as for many."""
    kinds = () if found.event is None else kinds_of(found.event)
    return next((kind for kind in kinds if KINDS[kind].breaks), found.klass)


def _broken(value: Any) -> bool:
    """Whether a NaN or an infinity is in ``value``."""
    return _symptom(value) != ""


def _symptom(value: Any) -> str:
    """The worst that is in ``value``: "NaN", "infinity", or nothing."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        found = {_symptom(item) for item in value}
        return next((word for word in ("NaN", "infinity") if word in found), "")
    array = np.asarray(value.array if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "biufc":
        if value is None or isinstance(value, str):
            return ""
        raise TypeError(f"fn: it returned {type(value).__name__}; allowed: numbers, tensors, or fails=")
    return "NaN" if np.isnan(array).any() else "" if np.isfinite(array).all() else "infinity"


def _words(result: Any) -> str:
    if isinstance(result, Exception):
        return f"raises {raised(result)}"
    try:
        symptom = _symptom(result)
    except TypeError:
        symptom = ""
    return f"returns {symptom}" if symptom else "returns finite numbers"
