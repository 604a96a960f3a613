"""The one choke point: the `op` decorator, `apply` through which every operation passes, the tape, and backward."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from halfsim.autograd import integers
from halfsim.autograd.arithmetic import Arithmetic, plain
from halfsim.autograd.making import get_default_dtype, integers_in
from halfsim.autograd.observer import Observer, active
from halfsim.autograd.operators import OPS
from halfsim.autograd.policy import OPERATIONS, Policy
from halfsim.autograd.scope import resolve, resolve_for, scope, scoped
from halfsim.autograd.storage import view
from halfsim.autograd.tensor import Tensor, format_of, unquoted
from halfsim.numerics.formats import Format, Integer, as_dtype, promoted
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.precision import Precision, native
from halfsim.numerics.quantize import Array, holder
from halfsim.options import MISFITS, checks, explained, refused, unknown_option

Pullback = Callable[[Arithmetic, Array], Array]


class Op:
    """A formula and what its decorator said of it."""

    __slots__ = ("category", "exact", "formula", "name", "operands", "options", "required", "view")

    def __init__(
        self,
        formula: Callable[..., Any],
        category: str | None,
        exact: bool | str,
        parameters: list[inspect.Parameter],
        view: bool | Callable[..., bool] = False,
    ) -> None:
        self.formula, self.category, self.exact, self.view = formula, category, exact, view
        self.name = formula.__name__.strip("_")  # _layer_norm is what the public layer_norm calls
        operands = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self.operands = [p.name for p in operands]
        self.required = self.operands[: sum(p.default is p.empty for p in operands)]
        self.options = [p.name for p in parameters[len(operands) :] if p.kind is not p.VAR_POSITIONAL]

    def check(self, options: Sequence[Any], keywords: dict[str, Any]) -> None:
        """Refuse options that the annotations of the formula do not allow."""
        names, rules = self.options, checks(self.formula)
        if len(options) > len(names):
            raise TypeError(f"{self.name}: {len(options)} options are too many; allowed: {', '.join(names)}")
        for name, value in (*zip(names, options, strict=False), *keywords.items()):
            if name not in names:
                raise unknown_option(self.name, name, [*self.operands, *names])
            rule = rules.get(name)
            if rule is not None and not rule[0](value):
                raise refused(name, value, rule[1])


class Node:
    """What backward needs of one operation: its precision, its operands, and a gradient formula for each.

    ``seen`` is what the observer of the operation wants back with its gradients, ``call`` its operands, options and the
    arrays that it read, or the function of a user, for gradients that go on the tape themselves (see
    `halfsim.autograd.second_order`). ``left`` stands for the result once that was changed in place and stands
    elsewhere. ``number`` says how many were made before it.
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
        spec = Op(formula, category, exact, parameters, view)
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
        call.checked = call  # type: ignore[attr-defined]  # its options, by `Op.check`
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
    for x, name in zip(operands, spec.required, strict=False):
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
    fp, exact, arrays = unit(observer, precision, label), bool(spec.exact), []
    with np.errstate(all="ignore"):
        for x in operands:
            known = isinstance(x, Tensor) and isinstance(x.format, Format)
            arrays.append(fp.read(x.array, x.format, exact) if known else _read(fp, x, exact))
        try:
            y, pullbacks = spec.formula(fp, *arrays, *options, **keywords)
        except ValueError as error:
            if "broadcast" not in str(error) or "allowed" in str(error):
                raise
            shapes = " and ".join(str(np.shape(x)) for x in arrays if x is not None)
            raise ValueError(f"{spec.name}: shapes {shapes} do not fit; allowed: shapes that broadcast") from None
        y = fp.store(np.asarray(y), arrays, exact)
        out, seen = Tensor(y, precision.storage), None
        if observer is not None:
            seen = observer.result(spec, fp, out, operands, arrays, (options, keywords), label)
    if here.gradients:
        pullbacks = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
        sources = operands[: len(pullbacks)]  # others take no gradient
        for x in sources:
            if isinstance(x, Tensor) and x.requires_grad:
                call = operands, options, keywords, arrays
                out.requires_grad = True
                out.node = Node(spec, here.path, precision, sources, pullbacks, seen, call)
                break
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


def unit(observer: Observer | None, precision: Precision, label: str) -> Arithmetic:
    """The unit that an operation computes with: that of who watches, or a plain one."""
    return (None if observer is None else observer.unit(precision, label)) or plain(precision)


def widest(operands: Sequence[Any]) -> Format | Integer:
    """The format that an operation on these operands works in: that of the widest tensor.

    Arrays and numbers, NumPy's too, take it over, as plain numbers do in PyTorch, and so does a tensor without axes
    beside others. Without a tensor it is that of the widest array or NumPy scalar. Integers and bools take over any
    format; where there is none it is an `Integer`, if `halfsim.tensor` too makes integers of such operands.
    """
    tensors: list[Tensor] = []
    found, one = None, True  # the only format of the tensors, if there is one
    for x in operands:
        if isinstance(x, Tensor):
            tensors.append(x)
            found, one = x.format, one and (found is None or x.format is found)
    if one and isinstance(found, Format):
        return found
    formats: list[Any] = [x.format for x in tensors]
    if not one:
        floating = [x for x in tensors if not isinstance(x.format, Integer)]
        formats = [x.format for x in floating if x.ndim] or [x.format for x in floating] or formats[:1]
    if not formats or isinstance(formats[0], Integer):
        kinds = np.ndarray if tensors else (np.ndarray, np.floating)
        floats = [format_of(x) for x in operands if isinstance(x, kinds) and x.dtype.kind == "f"]
        formats = floats or (formats if not any(map(_fractional, operands)) else [])
    if not formats:
        return integers.found(operands) or get_default_dtype()
    return promoted(formats) if len(formats) > 1 else formats[0]


def _fractional(x: Any) -> bool:
    """Whether an operand is a Python number with a fraction, or a list with such in it."""
    return isinstance(x, float) or (isinstance(x, (list, tuple)) and integers_in(x) is None)


def _read(fp: Arithmetic, x: Any, exact: bool) -> Any:
    """An operand that is no tensor of floats, as the unit takes it."""
    if isinstance(x, Tensor):
        x = x.array
    if x is None:
        return None
    if isinstance(x, (bool, int, float, np.number, np.bool_)) and not isinstance(x, np.complexfloating):
        return fp.constant(x.item() if isinstance(x, np.generic) else x)
    values = as_floats(unquoted(x), fp.precision.storage)
    fmt = format_of(values)
    return fp.read(values.astype(holder(fmt)), fmt, exact)  # a copy: the caller's array may change


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


def private(formula: Callable[..., Any]) -> Op:
    """An operation that only kernels run: it has no gradient and no name in `halfsim.ops`."""
    return Op(formula, None, False, list(inspect.signature(formula).parameters.values())[1:])


def kernel(op: str | Op, *operands: Any, label: str = "", precision: Precision | None = None, **options: Any) -> Tensor:
    """One operation, in the precision of tensors that stay in the first operand's format, or in ``precision``.

    It should run under ``scoped(gradients=False)``; ``label`` names the result for those who watch.
    """
    spec = SPECS[op] if isinstance(op, str) else op
    return apply(spec, operands, (), options, precision or resolve_for(operands[0].format), label)
