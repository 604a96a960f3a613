"""The `op` decorator, through which every operation passes, and the backward pass over what it leaves behind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.policy import OPERATIONS, Policy, resolve, scope, scoped
from halfsim.autograd.tensor import Tensor, format_of, plain, tensor
from halfsim.autograd.trace import Event, LostConstant, active
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

    __slots__ = ("inputs", "op", "path", "precision", "pullbacks")

    def __init__(
        self, op: str, path: str, precision: Precision, inputs: Sequence[Any], pullbacks: Sequence[Pullback]
    ) -> None:
        self.op, self.path, self.precision = op, path, precision
        self.inputs: Sequence[Any] | None = inputs
        self.pullbacks = pullbacks


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
    counts = _tally()
    fp = Arithmetic(precision, counts)
    with np.errstate(all="ignore"):
        arrays = [_read(fp, x, bool(spec.exact)) for x in operands]
        y, pullbacks = _compute(spec, fp, arrays, options, keywords or {})
        y = fp.store(np.asarray(y), arrays, bool(spec.exact))
    _tell(counts, here.phase, here.path, spec.name, label, y.shape, fp.lost)
    out = Tensor(y, precision.storage)
    if here.gradients and any(isinstance(x, Tensor) and x.requires_grad for x in operands):
        out.requires_grad = True
        pullbacks = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
        out.node = Node(spec.name, here.path, precision, operands, pullbacks)
    return out


def _tally() -> FlagCounts | None:
    """Where an operation counts what it does, if a trace or somebody else wants to know."""
    return FlagCounts() if active() is not None or watching() else None


def _tell(
    counts: FlagCounts | None,
    phase: str,
    path: str,
    op: str,
    tensor: str,
    shape: tuple[int, ...],
    lost: LostConstant | None = None,
) -> None:
    trace = active()
    if counts is not None and trace is not None:
        trace.record(Event(trace.step, phase, path, op, tensor, shape, counts, lost))
    if counts is not None and watching():
        report(counts, op)


def _compute(spec: Op, fp: Arithmetic, arrays: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]) -> Any:
    try:
        return spec.formula(fp, *arrays, *options, **keywords)
    except ValueError as error:
        if "broadcast" not in str(error):
            raise
        shapes = " and ".join(str(np.shape(x)) for x in arrays if x is not None)
        raise ValueError(f"{spec.name}: shapes {shapes} do not fit; allowed: shapes that broadcast") from None


def _widest(operands: Sequence[Any]) -> Format:
    """The format of the widest tensor or NumPy scalar; arrays and Python numbers adopt it (NEP 50 of the latter).

    Without either, the widest array's.
    """
    formats = [
        x.format if isinstance(x, Tensor) else format_of(x) for x in operands if isinstance(x, (Tensor, np.floating))
    ]
    formats = formats or [format_of(x) for x in operands if isinstance(x, np.ndarray)] or [float32]
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
    if isinstance(x, (bool, int, float, np.integer, np.bool_)) and type(x) is not np.float64:  # which is a float
        return fp.constant(x if isinstance(x, float) else int(x))
    values = as_floats(x, fp.precision.storage)
    fmt = format_of(values)
    return fp.read(values.astype(container(fmt)), fmt, exact)  # a copy: the caller's array may change


def cast(fp: Arithmetic, x: Array, /) -> Any:
    """The operand in another format: the rounding is in the reading."""
    return x, lambda fp, g: g


op(exact=True)(cast)
OPS["cast"] = lambda x, fmt: apply(SPECS["cast"], (x,), precision=native(fmt))


def backward(root: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """See `Tensor.backward`."""
    if not root.requires_grad:
        raise RuntimeError("backward: the tensor requires no gradient; allowed: results of requires_grad=True tensors")
    if gradient is None and root.size != 1:
        raise RuntimeError(f"backward: shape {root.shape} needs gradient=; allowed without it: one element")
    start = tensor(np.ones(root.shape) if gradient is None else plain(gradient), root.format).data
    if start.shape != root.shape:
        raise RuntimeError(f"backward: gradient has shape {start.shape}; allowed: {root.shape}")
    pending = {id(root): start}
    with np.errstate(all="ignore"):
        for out in _topological(root):
            g, node = pending.pop(id(out)), out.node
            for hook in list((out.hooks or {}).values()):
                g = _hooked(out, g, hook)
            if node is None or out.retains_grad:
                total = g if out.grad is None else _accumulate(out.grad.data, g, out, "")
                out.grad = Tensor(total, out.format)
            if node is None:
                continue
            if node.inputs is None:
                raise RuntimeError("backward: the graph was freed by an earlier call; allowed: retain_graph=True there")
            for x, pullback in zip(node.inputs, node.pullbacks, strict=False):
                if isinstance(x, Tensor) and x.requires_grad:
                    grad = _pull(node, pullback, g, out.format, x)
                    before = pending.get(id(x))
                    pending[id(x)] = grad if before is None else _accumulate(before, grad, x, node.path)
            if not retain_graph:
                node.inputs, node.pullbacks = None, ()


def _hooked(out: Tensor, g: Array, hook: Callable[[Tensor], Any]) -> Array:
    """The gradient that ``hook`` leaves of ``g``."""
    changed = hook(Tensor(g, out.format))
    if changed is None:
        return g
    data = tensor(changed, out.format).data
    if data.shape != g.shape:
        raise RuntimeError(f"hook: returned shape {data.shape} for a gradient of {g.shape}; allowed: the same shape")
    return data


def _pull(node: Node, pullback: Pullback, g: Array, fmt: Format, x: Tensor) -> Array:
    """The gradient of one operand: by the formula, summed to its shape, stored, and rounded to its format."""
    counts, exact = _tally(), SPECS[node.op].exact is True
    fp = Arithmetic(node.precision, counts)
    given, g = g, fp.read(g, fmt, exact)
    grad = fp.store(fp.sum_to(np.asarray(pullback(fp, g)), x.shape), (g,), exact and g.shape == x.shape)
    grad = Arithmetic(native(x.format), counts).read(grad, node.precision.storage)
    _tell(counts, "backward", node.path, node.op, _last(x.name), grad.shape)
    grad = grad.astype(container(x.format), copy=False)
    # A tensor with ``grad`` owns it, though formulas may hand on one array to several operands, or a broadcast view.
    shared = (x.node is None or x.retains_grad) and not (grad.flags.owndata and not np.may_share_memory(grad, given))
    return grad.copy() if shared else grad


def _accumulate(a: Array, b: Array, x: Tensor, path: str) -> Array:
    """The sum of two gradients of ``x``, in the format of ``x``."""
    counts = _tally()
    fp = Arithmetic(native(x.format), counts)
    total = fp.store(fp.add(a, b))
    _tell(counts, "backward", path, "accumulate", _last(x.name), total.shape)
    return total


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _topological(root: Tensor) -> list[Tensor]:
    """Every tensor that ``root`` depends on and that takes a gradient, each before its operands."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(root, False)]
    while stack:
        out, done = stack.pop()
        if done:
            order.append(out)
        elif id(out) not in seen:
            seen.add(id(out))
            stack.append((out, True))
            if out.node is not None and out.node.inputs is not None:
                stack.extend((x, False) for x in out.node.inputs if isinstance(x, Tensor) and x.requires_grad)
    return order[::-1]
