"""The one choke point: the `op` decorator, `apply` through which every operation passes, the tape, and backward."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from halfsim.autograd import integers
from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import Observer, active
from halfsim.autograd.operators import OPS
from halfsim.autograd.options import MISFITS, checks, explained, refused, unknown_option
from halfsim.autograd.overrides import loss_scale
from halfsim.autograd.policy import OPERATIONS, Policy, resolve, resolve_for, scope, scoped
from halfsim.autograd.second import on_tape
from halfsim.autograd.storage import view
from halfsim.autograd.tensor import Tensor, format_of, get_default_dtype, plain, tensor
from halfsim.numerics.formats import Format, Integer, as_dtype, float32
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.precision import Precision, native
from halfsim.numerics.quantize import Array, container

Pullback = Callable[[Arithmetic, Array], Array]


class Op:
    """A formula and what its decorator said of it."""

    __slots__ = ("category", "exact", "formula", "name", "operands", "options", "required", "view")

    def __init__(
        self,
        formula: Callable[..., Any],
        category: str | None,
        exact: bool | str,
        operands: list[inspect.Parameter],
        view: bool | Callable[..., bool] = False,
    ) -> None:
        self.formula, self.category, self.exact, self.view = formula, category, exact, view
        self.name = formula.__name__.strip("_")  # _layer_norm is what the public layer_norm calls
        self.operands = [p.name for p in operands]
        self.required = sum(p.default is p.empty for p in operands)
        rules = checks(formula)
        parameters = list(inspect.signature(formula).parameters.values())[1 + len(operands) :]
        self.options = {p.name: rules.get(p.name) for p in parameters if p.kind is not p.VAR_POSITIONAL}

    def check(self, options: Sequence[Any], keywords: dict[str, Any]) -> None:
        """Refuse options that the annotations of the formula do not allow."""
        rules = self.options
        if len(options) > len(rules):
            raise TypeError(f"{self.name}: {len(options)} options are too many; allowed: {', '.join(rules)}")
        for name, value in (*zip(rules, options, strict=False), *keywords.items()):
            if name not in rules:
                raise unknown_option(self.name, name, [*self.operands, *rules])
            rule = rules[name]
            if rule is not None and not rule[0](value):
                raise refused(name, value, rule[1])


class Node:
    """What backward needs of one operation: its precision, its operands, and a gradient formula for each.

    ``seen`` is what the observer of the operation wants back with its gradients, ``call`` its operands, options and the
    arrays that it read, or the function of a user, for gradients that go on the tape themselves (see
    `halfsim.autograd.second`). ``left`` stands for the result once that was changed in place and stands elsewhere.
    ``number`` says how many were made before it.
    """

    __slots__ = ("_inputs", "_places", "call", "left", "number", "op", "path", "precision", "pullbacks", "seen", "spec")

    def __init__(
        self,
        spec: Op,
        path: str,
        precision: Precision,
        inputs: Sequence[Any],
        pullbacks: Sequence[Pullback],
        seen: Any = None,
        call: Any = None,
    ) -> None:
        self.spec, self.op, self.path, self.precision = spec, spec.name, path, precision
        self._inputs: Sequence[Any] | None = inputs
        # Where each stands on the tape now: it is to go on there, wherever operations in place move it.
        self._places = [(x.node or x) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs]
        self.pullbacks = pullbacks
        self.seen = seen
        self.call = call
        self.number = next(_numbers)
        self.left: Tensor | None = None

    @property
    def inputs(self) -> Sequence[Any] | None:
        """The operands that may take a gradient, as they stood on the tape; None where they were let go of."""
        if self._inputs is None:
            return None
        return [_stood(x, place) for x, place in zip(self._inputs, self._places, strict=True)]

    def free(self) -> None:
        """Let go of what a backward pass needed."""
        self._inputs, self._places, self.pullbacks, self.seen, self.call = None, [], (), None, None


def _stood(x: Any, place: Node | Tensor | None) -> Any:
    """The operand ``x`` of an operation, or what stands at its ``place`` since it was changed in place."""
    if place is None:
        return x.detach() if isinstance(x, Tensor) and x.requires_grad else x
    return place.left if isinstance(place, Node) and x.node is not place and place.left is not None else x


_numbers = count()
SPECS: dict[str, Op] = {}

_ALIASES = {"dim": "axis", "keepdim": "keepdims", "input": "x"}  # PyTorch's names for NumPy's and for our first operand


def op(
    category: str | None = None, *, exact: bool | str = False, view: bool | Callable[..., bool] = False
) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Make an operation on tensors of a formula: the one place where the precision in force becomes arithmetic.

    The formula takes an `Arithmetic`, then positional-only operands (arrays), then options; it returns the
    result and, for each operand, a gradient formula ``(fp, g) -> array``. ``category`` is its place in
    PyTorch's CUDA autocast lists: "fp16", "fp32" or None. ``exact`` says that its results and gradients are
    values of its operands (moved, masked, negated), which need no rounding; "forward" says so of the results alone.
    ``view`` says that its result, where it shares memory with the operand, is a view of it, as in PyTorch; or, of the
    options, when it is one.
    """

    def decorate(formula: Callable[..., Any]) -> Callable[..., Tensor]:
        parameters = list(inspect.signature(formula).parameters.values())[1:]
        spec = Op(formula, category, exact, [p for p in parameters if p.kind is p.POSITIONAL_ONLY], view)
        count = len(spec.operands)
        aliases = {theirs: ours for theirs, ours in _ALIASES.items() if any(p.name == ours for p in parameters)}

        @functools.wraps(formula)
        def call(*args: Any, **kwargs: Any) -> Tensor:
            for name in kwargs.keys() & aliases.keys():
                kwargs[aliases[name]] = kwargs.pop(name)
            operands = args[:count]
            if len(operands) < count:
                operands += tuple(kwargs.pop(name, None) for name in spec.operands[len(operands) :])
            options = args[count:]
            try:
                if options or kwargs:
                    spec.check(options, kwargs)
                return apply(spec, operands, options, kwargs)
            except MISFITS as error:
                told = explained(spec.name, error, args, kwargs, [*spec.operands, *spec.options])
                if told is error:
                    raise
                raise told from error

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
    """Run one operation: read its operands, compute, store, tell who watches, and leave a Node on the tape.

    ``precision`` overrides the one in force; ``label`` names the result for those who watch.
    """
    for name, x in zip(spec.operands[: spec.required], operands, strict=False):
        if x is None:
            raise TypeError(f"{spec.name}: {name} is missing; allowed: a tensor, an array, a number")
    here = scope()
    if here.options is not None:
        operands, options, keywords = here.options.call(spec, operands, options, keywords or {})
    keywords = keywords or {}
    fmt = widest(operands)
    if isinstance(fmt, Integer):
        found = integers.run(spec, operands, options, keywords) if precision is None else None
        if found is not None:
            return _viewed(spec, found, operands, options, keywords)
        fmt = get_default_dtype()
    if precision is None:
        precision = resolve(spec.name, spec.category, fmt)
    observer = active()
    fp = _unit(observer, precision, label)
    with np.errstate(all="ignore"):
        arrays = [_read(fp, x, bool(spec.exact)) for x in operands]
        y, pullbacks = _compute(spec, fp, arrays, options, keywords)
        y = fp.store(np.asarray(y), arrays, bool(spec.exact))
        out, seen = Tensor(y, precision.storage), None
        if observer is not None:
            seen = observer.result(spec, fp, out, operands, arrays, (options, keywords), label)
    pullbacks = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
    sources = operands[: len(pullbacks)]  # others take no gradient
    if here.gradients and any(isinstance(x, Tensor) and x.requires_grad for x in sources):
        out.requires_grad = True
        out.node = Node(spec, here.path, precision, sources, pullbacks, seen, (operands, options, keywords, arrays))
    return _viewed(spec, out, operands, options, keywords) if spec.view else out


def _viewed(spec: Op, out: Tensor, operands: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]) -> Tensor:
    """``out`` as a view of the operand, if it is one in PyTorch: what is put into it goes there too."""
    if not spec.view or not operands or not isinstance(operands[0], Tensor):
        return out
    base = operands[0]
    shares = (
        not out.array.size or out.format != base.format or np.may_share_memory(out.array, base.array)
        if spec.view is True
        else spec.view(*options, **keywords)
    )
    # In a precision narrower than the base the view is rounded, and what is put into it still goes to the base.
    rounded = out.format != base.format and out.node is None and base.format.contains(out.format)
    if shares and (out.format == base.format or rounded):
        view(out, base, _Move(spec, options, keywords))
    return out


class _Move:
    """What makes a view of its base: an operation that moves values, with its options."""

    __slots__ = ("keywords", "options", "spec")

    def __init__(self, spec: Op, options: Sequence[Any], keywords: dict[str, Any]) -> None:
        self.spec, self.options, self.keywords = spec, options, keywords

    def pick(self, whole: Array) -> Array:
        """The values of the view."""
        return np.asarray(self.spec.formula(None, whole, *self.options, **self.keywords)[0])

    def node(self, base: Tensor) -> Node:
        """Where the view stands on the tape, its base standing where it does."""
        precision, array = native(base.format), base.array
        pullbacks = self.spec.formula(Arithmetic(precision), array, *self.options, **self.keywords)[1]
        call = ((base,), self.options, self.keywords, [array])
        return Node(self.spec, scope().path, precision, (base,), (pullbacks,), None, call)

    @staticmethod
    def at(places: Array, shape: tuple[int, ...]) -> _Move:
        """The elements at places that are counted through the base, of that shape, in C order."""
        if not shape:
            return _Move(SPECS["broadcast_to"], (places.shape,), {})
        return _Move(SPECS["getitem"], (np.unravel_index(places, shape),), {})


def _unit(observer: Observer | None, precision: Precision, label: str) -> Arithmetic:
    """The unit that an operation computes with: that of who watches, or a plain one."""
    return (None if observer is None else observer.unit(precision, label)) or Arithmetic(precision)


def _compute(spec: Op, fp: Arithmetic, arrays: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]) -> Any:
    try:
        return spec.formula(fp, *arrays, *options, **keywords)
    except ValueError as error:
        if "broadcast" not in str(error) or "allowed" in str(error):
            raise
        shapes = " and ".join(str(np.shape(x)) for x in arrays if x is not None)
        raise ValueError(f"{spec.name}: shapes {shapes} do not fit; allowed: shapes that broadcast") from None


def widest(operands: Sequence[Any]) -> Format | Integer:
    """The format of the widest tensor; arrays and numbers, NumPy's too, adopt it, as PyTorch's do of numbers.

    Without a tensor, that of the widest array or NumPy scalar. Integers and bools adopt any format; where nothing has
    one, the answer is an `Integer`, if `halfsim.tensor` too made integers of such operands. A tensor without axes
    adopts that of those that have some, as in PyTorch.
    """
    tensors = [x for x in operands if isinstance(x, Tensor)]
    formats: list[Any] = [x.format for x in tensors]
    if len(formats) > 1 and any(fmt is not formats[0] for fmt in formats):
        floating = [x for x in tensors if not isinstance(x.format, Integer)]
        formats = [x.format for x in floating if x.ndim] or [x.format for x in floating] or formats[:1]
    if not formats or isinstance(formats[0], Integer):
        kinds = np.ndarray if tensors else (np.ndarray, np.floating)
        floats = [format_of(x) for x in operands if isinstance(x, kinds) and x.dtype.kind == "f"]
        formats = floats or (formats if not any(isinstance(x, float) for x in operands) else [])
    if not formats:
        return integers.found(operands) or get_default_dtype()
    found: Format = formats[0]
    for other in formats[1:]:
        if not found.contains(other):
            found = other if other.contains(found) else float32  # as for float16 with bfloat16
    return found


def _read(fp: Arithmetic, x: Any, exact: bool) -> Any:
    if isinstance(x, Tensor):
        if not isinstance(x.format, Integer):
            return fp.read(x.array, x.format, exact)
        x = x.array
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


def _cast_to(x: Any, fmt: object) -> Tensor:
    dtype = as_dtype(fmt)
    if isinstance(dtype, Integer):
        return integers.cast(x, dtype)
    return apply(SPECS["cast"], (x,), precision=native(dtype))


OPS["cast"] = _cast_to


# Operations off the tape: what optimizers, gradient clipping and loss scaling run.


def private(formula: Callable[..., Any], exact: bool = False) -> Op:
    """An operation that only kernels run: it has no gradient and no name in `halfsim.ops`."""
    operands = [p for p in inspect.signature(formula).parameters.values() if p.kind is p.POSITIONAL_ONLY]
    return Op(formula, None, exact, operands[1:])


def kernel(op: str | Op, *operands: Any, label: str = "", precision: Precision | None = None, **options: Any) -> Tensor:
    """One operation, in the precision of tensors that stay in the first operand's format, or in ``precision``.

    It should run under ``scoped(gradients=False)``; ``label`` names the result for those who watch.
    """
    spec = SPECS[op] if isinstance(op, str) else op
    return apply(spec, operands, (), options, precision or resolve_for(operands[0].format), label)


# The backward pass over what operations left on the tape.


def backward(
    root: Tensor,
    gradient: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """See `Tensor.backward`."""
    given = None if inputs is None else [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = None if given is None else {id(x) for x in given}
    with np.errstate(all="ignore"):
        for out, g, observer in gradients([root], [gradient], retain_graph, create_graph):
            if (out.node is None or out.retains_grad) if wanted is None else id(out) in wanted:
                out.grad = g if out.grad is None else _accumulated(out.grad, g, out, "", observer, create_graph)


def gradients(
    roots: Sequence[Tensor], starts: Sequence[Any], retain_graph: bool, create_graph: bool = False
) -> Iterator[tuple[Tensor, Tensor, Observer | None]]:
    """Each tensor that ``roots`` depend on with its gradient, complete, and who watches; the roots first.

    ``starts`` are gradients of the roots, None for 1. ``RuntimeError`` for a root that requires no gradient, for
    several elements without a start, and for a graph that was freed.
    """
    pending: dict[int, Tensor] = {}
    scale, observer = loss_scale(), active()
    for root, gradient in zip(roots, starts, strict=True):
        start = _start(root, gradient)
        start = start if scale == 1 else _times(start, scale)
        before = pending.get(id(root))
        pending[id(root)] = start if before is None else _accumulated(before, start, root, "", observer)
        if observer is not None:
            observer.begins(root)
    waiting, ready = _consumers(roots), _Ready()
    for root in roots:
        if not waiting[id(root)]:
            ready.put(root)
            waiting[id(root)] = -1  # a tensor given twice is one root
    while ready:  # nothing here holds a tensor of the graph longer than it is needed
        out = ready.take()
        g, node = pending.pop(id(out)), out.node
        for hook in list((out.hooks or {}).values()):
            g = _hooked(out, g, hook, create_graph)
        if node is None and scale != 1:
            g = _times(g, 1 / scale)
        yield out, g, observer
        if node is None:
            continue
        if not node.pullbacks:
            raise RuntimeError("backward: the graph was freed by an earlier call; allowed: retain_graph=True there")
        found = on_tape(node, g) if create_graph else _pull(node, g, observer)
        for x, grad in found:
            before = pending.get(id(x))
            pending[id(x)] = (
                grad if before is None else _accumulated(before, grad, x, node.path, observer, create_graph)
            )
            waiting[id(x)] -= 1
            if not waiting[id(x)]:
                ready.put(x)
        if not retain_graph:
            node.free()


def _start(root: Tensor, gradient: Any) -> Tensor:
    """The gradient that a backward pass begins with."""
    if not root.requires_grad:
        raise RuntimeError("backward: the tensor requires no gradient; allowed: results of requires_grad=True tensors")
    if gradient is None and root.array.size != 1:
        raise RuntimeError(f"backward: shape {root.shape} needs gradient=; allowed without it: one element")
    if isinstance(gradient, Tensor) and gradient.requires_grad and gradient.format == root.format:
        start = gradient  # which a gradient of the gradient may ask for
    else:
        start = tensor(np.ones(root.shape) if gradient is None else plain(gradient), root.format)
    if start.shape != root.shape:
        raise RuntimeError(f"backward: gradient has shape {start.shape}; allowed: {root.shape}")
    return start


def _times(g: Tensor, factor: float) -> Tensor:
    """A gradient times a loss scale, or times its inverse, in the format that it has."""
    with scoped(phase="backward", gradients=False):
        return apply(SPECS["mul"], (g, factor), precision=native(g.format), label="grad")


def _hooked(out: Tensor, g: Tensor, hook: Callable[[Tensor], Any], create_graph: bool) -> Tensor:
    """The gradient that ``hook`` leaves of ``g``; what it computes belongs to the backward pass."""
    with scoped(phase="backward", gradients=create_graph):
        changed = hook(g)
    if changed is None:
        return g
    data = changed.to(out.format) if isinstance(changed, Tensor) and create_graph else tensor(changed, out.format)
    if data.shape != g.shape:
        raise RuntimeError(f"hook: returned shape {data.shape} for a gradient of {g.shape}; allowed: the same shape")
    return data


def _pull(node: Node, g: Tensor, observer: Observer | None) -> list[tuple[Tensor, Tensor]]:
    """The operands of a node that take a gradient, each with its gradient."""
    found = [
        (i, x, *_gradient(node, pullback, g, x, observer))
        for i, (x, pullback) in enumerate(zip(node.inputs or (), node.pullbacks, strict=False))
        if isinstance(x, Tensor) and x.requires_grad
    ]
    if observer is not None:
        observer.gradients(node, g, found)
    return [(x, grad) for _, x, grad, _ in found]


def _gradient(
    node: Node, pullback: Pullback, g: Tensor, x: Tensor, observer: Observer | None
) -> tuple[Tensor, Arithmetic]:
    """The gradient of one operand: by the formula, summed to its shape, stored, and rounded to its format."""
    exact = node.spec.exact is True
    fp = _unit(observer, node.precision, "gradient")
    given = fp.read(g.array, g.format, exact)
    grad = np.asarray(pullback(fp, given))
    if grad.shape != x.shape:  # PyTorch stores the gradient before another kernel sums what was broadcast
        grad = fp.sum_to(grad if exact else fp.spill(grad), x.shape)
    grad = fp.store(grad, (given,), exact and given.shape == x.shape)
    grad = fp.delivered(grad, x.format)
    # A tensor with ``grad`` owns it, though formulas may hand on one array to several operands, or a broadcast view.
    shared = (x.node is None or x.retains_grad) and not (grad.flags.owndata and not np.may_share_memory(grad, g.array))
    return Tensor(grad.copy() if shared else grad, x.format), fp


def _accumulated(
    a: Tensor, b: Tensor, x: Tensor, path: str, observer: Observer | None, create_graph: bool = False
) -> Tensor:
    """The sum of two gradients of ``x``, in the format of ``x``; on the tape with ``create_graph``."""
    if create_graph:
        return apply(SPECS["add"], (a, b), precision=native(x.format))
    fp = _unit(observer, native(x.format), "")
    arrays = fp.read(a.array, a.format), fp.read(b.array, b.format)
    total = Tensor(fp.store(fp.add(*arrays)), x.format)
    if observer is not None:
        observer.total(path, x, fp, total, a, b)
    return total


def _sources(node: Node) -> list[Tensor]:
    """The operands that take a gradient, as often as they are operands."""
    return [x for x in node.inputs or () if isinstance(x, Tensor) and x.requires_grad]


def _consumers(roots: Sequence[Tensor]) -> dict[int, int]:
    """Of every tensor that ``roots`` depend on, how many gradients operations on the way to them send it."""
    counts = {id(root): 0 for root in roots}
    left = list({id(root): root for root in roots}.values())
    while left:
        node = left.pop().node
        for x in () if node is None else _sources(node):
            if id(x) not in counts:
                counts[id(x)] = 0
                left.append(x)
            counts[id(x)] += 1
    return counts


class _Ready:
    """Tensors whose gradients are complete: leaves first, then what was made last, as PyTorch's engine takes them.

    So three gradients of one tensor are added up in PyTorch's order.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Tensor]] = []
        self.turns = count()

    def __bool__(self) -> bool:
        return bool(self.heap)

    def put(self, x: Tensor) -> None:
        heappush(self.heap, (-math.inf if x.node is None else -x.node.number, next(self.turns), x))

    def take(self) -> Tensor:
        return heappop(self.heap)[2]
