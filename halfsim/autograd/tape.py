"""The `op` decorator, through which every operation passes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd import follow as follows
from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.counting import Counting, unit
from halfsim.autograd.follow import told
from halfsim.autograd.operators import OPS
from halfsim.autograd.policy import OPERATIONS, Policy, Scope, resolve, scope, scoped
from halfsim.autograd.tensor import Tensor, format_of
from halfsim.autograd.trace import Error, Trace, active
from halfsim.numerics.flags import FlagCounts, report, watching
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.precision import Precision, native
from halfsim.numerics.quantize import Array, container

Pullback = Callable[[Arithmetic, Array], Array]


class Op:
    """A formula and what its decorator said of it."""

    __slots__ = ("category", "exact", "formula", "name", "operands", "required")

    def __init__(
        self, formula: Callable[..., Any], category: str | None, exact: bool | str, operands: list[inspect.Parameter]
    ) -> None:
        self.formula, self.category, self.exact = formula, category, exact
        self.name = formula.__name__.strip("_")  # _layer_norm is what the public layer_norm calls
        self.operands = [p.name for p in operands]
        self.required = sum(p.default is p.empty for p in operands)


class Node:
    """What backward needs of one operation: its precision, its operands, and a gradient formula for each."""

    __slots__ = ("inputs", "op", "path", "precision", "pullbacks", "twins")

    def __init__(
        self,
        op: str,
        path: str,
        precision: Precision,
        inputs: Sequence[Any],
        pullbacks: Sequence[Pullback],
        twins: Sequence[Pullback] | None = None,
    ) -> None:
        self.op, self.path, self.precision = op, path, precision
        self.inputs: Sequence[Any] | None = inputs
        self.pullbacks = pullbacks
        self.twins = twins  # the same formulas in a trace's reference precision


SPECS: dict[str, Op] = {}

_ALIASES = {"dim": "axis", "keepdim": "keepdims", "input": "x"}  # PyTorch's names for NumPy's and for our first operand


def op(
    category: str | None = None, *, exact: bool | str = False
) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Make an operation on tensors of a formula: the one place where the precision in force becomes arithmetic.

    The formula takes an `Arithmetic`, then positional-only operands (arrays), then options; it returns the
    result and, for each operand, a gradient formula ``(fp, g) -> array``. ``category`` is its place in
    PyTorch's CUDA autocast lists: "fp16", "fp32" or None. ``exact`` says that its results and gradients are
    values of its operands (moved, masked, negated), which need no rounding; "forward" says so of the results alone.
    """

    def decorate(formula: Callable[..., Any]) -> Callable[..., Tensor]:
        parameters = list(inspect.signature(formula).parameters.values())[1:]
        spec = Op(formula, category, exact, [p for p in parameters if p.kind is p.POSITIONAL_ONLY])
        count = len(spec.operands)
        aliases = {theirs: ours for theirs, ours in _ALIASES.items() if any(p.name == ours for p in parameters)}

        @functools.wraps(formula)
        def call(*args: Any, **kwargs: Any) -> Tensor:
            for name in kwargs.keys() & aliases.keys():
                kwargs[aliases[name]] = kwargs.pop(name)
            operands = args[:count]
            if len(operands) < count:
                operands += tuple(kwargs.pop(name, None) for name in spec.operands[len(operands) :])
            return apply(spec, operands, args[count:], kwargs)

        shown = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) if p.kind is p.POSITIONAL_ONLY else p for p in parameters]
        call.__signature__ = inspect.Signature(shown, return_annotation=Tensor)  # type: ignore[attr-defined]
        SPECS[spec.name], OPS[spec.name] = spec, call
        OPERATIONS.add(spec.name)
        return call

    return decorate


def composed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function that is made of operations a name that a policy can rule as "@name"."""
    name = function.__name__
    OPERATIONS.add(name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        here = scope()
        if not (isinstance(here.rule, Policy) and here.rule.by_op):
            return function(*args, **kwargs)
        with scoped(within=(*here.within, name)):
            return function(*args, **kwargs)

    return call


def apply(
    spec: Op,
    operands: Sequence[Any],
    options: Sequence[Any] = (),
    keywords: dict[str, Any] | None = None,
    precision: Precision | None = None,
    label: str = "",
) -> Tensor:
    """Run one operation: read its operands, compute, store, tell the trace, and leave a Node on the tape.

    ``precision`` overrides the one in force; ``label`` names the result in the trace.
    """
    for name, x in zip(spec.operands[: spec.required], operands, strict=False):
        if x is None:
            raise TypeError(f"{spec.name}: {name} is missing; allowed: a tensor, an array, a number")
    here = scope()
    if precision is None:
        precision = resolve(spec.name, spec.category, _widest(operands))
    trace, counts = active(), tally()
    fp = unit(precision, counts)
    with np.errstate(all="ignore"):
        arrays = [_read(fp, x, bool(spec.exact)) for x in operands]
        if isinstance(fp, Counting):
            fp.inputs = arrays
            fp.summing = label != "param"
        y, pullbacks = _compute(spec, fp, arrays, options, keywords or {})
        y = fp.store(np.asarray(y), arrays, bool(spec.exact))
        out = Tensor(y, precision.storage)
        twins = None
        if trace is not None and isinstance(fp, Counting):
            twins = follow(trace, spec, fp, out, operands, arrays, (options, keywords or {}), (here, label))
    if counts is not None and watching():
        report(counts, spec.name)
    pullbacks = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
    sources = operands[: len(pullbacks)]  # others take no gradient
    if here.gradients and any(isinstance(x, Tensor) and x.requires_grad for x in sources):
        out.requires_grad = True
        out.node = Node(spec.name, here.path, precision, sources, pullbacks, twins)
    return out


def tally() -> FlagCounts | None:
    """Where an operation counts what it does, if a trace or somebody else wants to know."""
    return FlagCounts() if active() is not None or watching() else None


def follow(
    trace: Trace,
    spec: Op,
    fp: Counting,
    out: Tensor,
    operands: Sequence[Any],
    arrays: Sequence[Any],
    given: tuple[Sequence[Any], dict[str, Any]],
    where: tuple[Scope, str],
) -> Any:
    """Tell the trace of an operation, and leave on its result what the trace will ask; returns the twin's gradients."""
    local = total = twin = pullbacks = None
    if trace.reference is not None:
        twins = [None if x is None else follows.twin(x, trace) for x in operands]
        twin, pullbacks = follows.evaluate(spec.formula, trace.reference, twins, given)
        total = follows.error(out.data, twin, out.format)
        if spec.exact:
            local = Error(0.0, 0.0, 0.0)
        elif trace.locally:
            exact, _ = follows.evaluate(spec.formula, trace.reference, [follows.own(x) for x in operands], given)
            local = follows.error(out.data, exact, out.format)
    (here, label), names = where, [*spec.operands, *("operand" for _ in operands)]
    told(
        trace, fp, (here.phase, here.path, spec.name, label), out, arrays=dict(zip(names, arrays, strict=False)),
        sources=operands, exact=bool(spec.exact), errors=(local, total), twin=twin,
    )  # fmt: skip
    return pullbacks


def _compute(spec: Op, fp: Arithmetic, arrays: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]) -> Any:
    try:
        return spec.formula(fp, *arrays, *options, **keywords)
    except ValueError as error:
        if "broadcast" not in str(error):
            raise
        shapes = " and ".join(str(np.shape(x)) for x in arrays if x is not None)
        raise ValueError(f"{spec.name}: shapes {shapes} do not fit; allowed: shapes that broadcast") from None


def _widest(operands: Sequence[Any]) -> Format:
    """The format of the widest tensor; arrays and numbers, NumPy's too, adopt it, as PyTorch's do of numbers.

    Without a tensor, that of the widest array or NumPy scalar.
    """
    formats = [x.format for x in operands if isinstance(x, Tensor)]
    formats = formats or [format_of(x) for x in operands if isinstance(x, (np.ndarray, np.floating))] or [float32]
    widest = formats[0]
    for other in formats[1:]:
        if not widest.contains(other):
            widest = other if other.contains(widest) else float32  # as for float16 with bfloat16
    return widest


def _read(fp: Arithmetic, x: Any, exact: bool) -> Any:
    if isinstance(x, Tensor):
        return fp.read(x.data, x.format, exact)
    if x is None:
        return None
    if isinstance(x, (bool, int, float, np.number, np.bool_)) and not isinstance(x, np.complexfloating):
        return fp.constant(x.item() if isinstance(x, np.generic) else x)
    values = as_floats(x, fp.precision.storage)
    fmt = format_of(values)
    return fp.read(values.astype(container(fmt)), fmt, exact)  # a copy: the caller's array may change


def cast(fp: Arithmetic, x: Array, /) -> Any:
    """The operand in another format: the rounding is in the reading."""
    return x, lambda fp, g: g


op(exact=True)(cast)
OPS["cast"] = lambda x, fmt: apply(SPECS["cast"], (x,), precision=native(fmt))
