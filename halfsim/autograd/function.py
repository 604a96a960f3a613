"""Gradients asked for by name, and operations of a user's own: PyTorch's ``autograd.grad`` and ``Function``."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.gradients import gradients
from halfsim.autograd.making import tensor
from halfsim.autograd.operators import OPS
from halfsim.autograd.scope import no_grad, scope, scoped
from halfsim.autograd.tape import Node, Op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.precision import native
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_names


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _zeros(x: Tensor) -> Tensor:
    return Tensor(np.zeros_like(x.array), x.format)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``, tensors or lists, as a tuple; no ``grad`` is set.

    ``grad_outputs`` are the gradients to begin with, of the shapes of ``outputs``; 1 where an output has one element.
    With ``create_graph`` the gradients are on the tape, so that a penalty on them has gradients too; operations whose
    formulas cannot be run so are refused by name. An input that the outputs do not depend on gives None with
    ``allow_unused``, zeros with ``materialize_grads``, else ``RuntimeError``. With ``is_grads_batched`` the first axis
    of ``grad_outputs`` and of the results counts several passes.

    >>> from halfsim import tensor
    >>> x = tensor([2.0], requires_grad=True)
    >>> (g,) = grad(x**3, x, create_graph=True)
    >>> g.item(), grad(g, x)[0].item()
    (12.0, 12.0)
    """
    if not only_inputs:
        raise ValueError("only_inputs: False is not allowed; allowed: True, and backward(), which sets grad")
    if is_grads_batched:
        return _one_after_another(
            outputs, inputs, _listed(grad_outputs), retain_graph, create_graph, allow_unused, materialize_grads
        )
    roots, wanted = _listed(outputs), _listed(inputs)
    starts = [None] * len(roots) if grad_outputs is None else _listed(grad_outputs)
    if len(starts) != len(roots):
        raise ValueError(f"grad_outputs: {len(starts)} for {len(roots)} outputs; allowed: one for each")
    for x in wanted:
        if not isinstance(x, Tensor) or not x.requires_grad:
            raise RuntimeError("inputs: one of them requires no gradient; allowed: tensors with requires_grad=True")
    found: dict[int, Tensor] = {}
    keep = create_graph if retain_graph is None else retain_graph
    with np.errstate(all="ignore"):
        for out, g, _ in gradients(roots, starts, keep, create_graph):
            found[id(out)] = g
    results: list[Tensor | None] = []
    for x in wanted:
        given = found.get(id(x))
        if given is None and materialize_grads:
            given = _zeros(x)
        if given is None and not allow_unused:
            raise RuntimeError("inputs: one of them was not used in the outputs; allowed: with allow_unused=True")
        results.append(given)
    return tuple(results)


def _one_after_another(
    outputs: Any, inputs: Any, starts: list[Any], keep: bool | None, *options: Any
) -> tuple[Any, ...]:
    create_graph, allow_unused, materialize = options
    count, passes = len(starts[0]), []
    for i in range(count):
        last = i == count - 1 and not (create_graph if keep is None else keep)
        given = [x[i] for x in starts]
        passes.append(
            grad(outputs, inputs, given, not last, create_graph, True, allow_unused, materialize_grads=materialize)
        )
    return tuple(None if rows[0] is None else OPS["stack"](list(rows)) for rows in zip(*passes, strict=True))


def Variable(data: Any, requires_grad: bool = False) -> Tensor:  # PyTorch's name of old
    """A tensor of the values of ``data``, which it shares, off its tape."""
    return data.detach().requires_grad_(requires_grad)


def once_differentiable(fn: Any) -> Any:
    """A decorator of a `Function`'s ``backward``: its gradients have none, as if what it computes were constants."""

    @functools.wraps(fn)
    def backward(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            return fn(ctx, *grads)

    return backward


class Context:
    """What the ``forward`` of a `Function` leaves for its ``backward``."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.saved_tensors: tuple[Any, ...] = ()
        self._constant: set[int] = set()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors, which ``saved_tensors`` gives back."""
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say of outputs that they take no gradient."""
        self._constant |= {id(x) for x in tensors}

    def mark_dirty(self, *tensors: Any) -> None:
        """Say of inputs that they were changed in place; nothing depends on it here."""

    def set_materialize_grads(self, value: bool) -> None:
        """Whether outputs that were not used give zeros; they always do here."""

    def differentiable(self, x: Any) -> bool:
        """Whether an output takes a gradient."""
        return isinstance(x, Tensor) and x.is_floating_point() and id(x) not in self._constant


class Function:
    """An operation of one's own, as ``torch.autograd.Function``.

    A subclass has static methods ``forward(ctx, *args)`` (or ``forward(*args)`` and ``setup_context(ctx, inputs,
    output)``), and ``backward(ctx, *grads)``, which returns a gradient, or None, for every argument of ``forward``. It
    is called as ``Class.apply(*args)``. Both are made of tensors' operations and follow the precision in force.

    >>> from halfsim import tensor
    >>> class Double(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2.0
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2.0
    >>> x = tensor([1.0], requires_grad=True)
    >>> Double.apply(x).backward()
    >>> x.grad
    tensor([2.], float32)
    """

    @staticmethod
    def forward(*args: Any) -> Any:
        """What the operation computes; a subclass says it."""
        raise NotImplementedError("forward: the subclass does not say it; allowed: a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradients of the arguments; a subclass says it."""
        raise NotImplementedError("backward: the subclass does not say it; allowed: backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the operation, and leave it on the tape."""
        needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in args)
        ctx, setup = Context(needs), getattr(cls, "setup_context", None)
        with no_grad():
            result = cls.forward(ctx, *args) if setup is None else cls.forward(*args)
        if setup is not None:
            setup(ctx, args, result)
        outs = list(result) if isinstance(result, tuple) else [result]
        if not (any(needs) and scope().gradients):
            return result
        made = _on_tape(cls, ctx, args, outs)
        return tuple(made) if isinstance(result, tuple) else made[0]


def _on_tape(cls: type[Function], ctx: Context, args: Sequence[Any], outs: Sequence[Any]) -> list[Any]:
    """The outputs as parts of one vector, whose node calls ``backward``: a node has one result."""
    parts = [x for x in outs if ctx.differentiable(x)]
    if not parts:
        return list(outs)
    fmt = parts[0].format
    if any(x.format != fmt for x in parts):
        raise RuntimeError(f"{cls.__name__}: outputs of several formats are not allowed; allowed: one format")
    ends = np.cumsum([prod(x.shape) for x in parts])
    joint = Tensor(np.concatenate([x.array.reshape(-1) for x in parts]), fmt, requires_grad=True)
    call = _Call(cls, ctx, args, [x.shape for x in parts], [ctx.differentiable(x) for x in outs])
    joint.node = Node(call.spec, scope().path, native(fmt), args, call.pullbacks, None, call.with_tape)
    pieces = iter(zip(parts, ends, strict=True))
    made = []
    for x in outs:
        if not ctx.differentiable(x):
            made.append(x)
            continue
        part, end = next(pieces)
        made.append(OPS["reshape"](OPS["getitem"](joint, slice(int(end) - prod(part.shape), int(end))), part.shape))
    return made


class _Call:
    """One call of a `Function`: its backward, run once for the gradients of all arguments."""

    def __init__(
        self, cls: type[Function], ctx: Context, args: Sequence[Any], shapes: list[tuple[int, ...]], given: list[bool]
    ) -> None:
        self.cls, self.ctx, self.args, self.shapes, self.given = cls, ctx, args, shapes, given
        self.spec = Op(_formula(cls.__name__), None, True, [])
        self.pullbacks = [self._pullback(i) for i in range(len(args))]
        self._last: tuple[Array, list[Any]] | None = None

    def _pullback(self, i: int) -> Any:
        def pull(fp: Arithmetic, g: Array) -> Array:
            if self._last is None or self._last[0] is not g:
                with scoped(phase="backward", gradients=False):
                    self._last = g, self._run(tensor(g, fp.precision.storage))
            found = self._last[1][i]
            return np.zeros(np.shape(plain(self.args[i])), g.dtype) if found is None else np.asarray(plain(found))

        return pull

    def _run(self, g: Tensor) -> list[Any]:
        start, parts, shapes = 0, [], iter(self.shapes)
        for given in self.given:
            if given:
                shape = next(shapes)
                parts.append(OPS["reshape"](OPS["getitem"](g, slice(start, start + prod(shape))), shape))
                start += prod(shape)
            else:
                parts.append(None)
        found = self.cls.backward(self.ctx, *parts)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) < len(self.args) or any(x is not None for x in found[len(self.args) :]):
            raise RuntimeError(f"{self.cls.__name__}: backward gave {len(found)} gradients; allowed: {len(self.args)}")
        for i, (x, given) in enumerate(zip(self.args, found, strict=False)):
            shape, own = np.shape(plain(given)), np.shape(plain(x))
            if isinstance(x, Tensor) and given is not None and shape != own and not _expanded(shape, own):
                raise RuntimeError(f"{self.cls.__name__}: gradient {i} has shape {shape}; allowed: {own}")
        return found

    def with_tape(self, g: Tensor, wanted: Sequence[tuple[int, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """The gradients of the arguments, on the tape themselves."""
        with scoped(phase="backward", gradients=True):
            found = self._run(g)
        return [
            (x, Tensor(np.zeros_like(x.array), x.format) if found[i] is None else _summed(found[i], x).to(x.format))
            for i, x in wanted
        ]


def _summed(g: Tensor, x: Tensor) -> Tensor:
    """A gradient that was broadcast, in the shape of its tensor."""
    return g if g.shape == x.shape else OPS["sum_to_size"](g, x.shape)


def _expanded(shape: tuple[int, ...], own: tuple[int, ...]) -> bool:
    """Whether a gradient is that of ``own``, broadcast."""
    try:
        return np.broadcast_shapes(shape, own) == shape
    except ValueError:
        return False


def _formula(name: str) -> Any:
    """Something of that name; what it computes is the user's own."""

    def formula(fp: Arithmetic) -> Any:
        raise NotImplementedError

    formula.__name__ = name
    return formula


guarded_names(globals(), ["grad", "Variable", "once_differentiable"])
