"""What the engine tells whoever watches it: the methods of an `Observer`, and which observer is in force.

A trace, the recorder of a comparison, the ledger of what a model costs and the counters of flags are observers. For
each operation the engine asks who is in force, takes from it the unit to compute with, and tells it of the result.
With nobody in force it does neither. Watching changes no bit of any result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from halfsim.contexts import Context, Pile

if TYPE_CHECKING:
    from halfsim.autograd.arithmetic import Arithmetic
    from halfsim.autograd.tape import Node, Op
    from halfsim.autograd.tensor import Tensor
    from halfsim.numerics.formats import Format
    from halfsim.numerics.precision import Precision
    from halfsim.numerics.quantize import Array


class Observer:
    """Is told of every operation; this one takes no notice, and subclasses override what they want to hear of.

    An observer must not change the tensors and arrays that it is shown. What it wants to remember of a tensor it may
    leave in the tensor's ``shadow``, which goes wherever the array goes.

    >>> import halfsim as hs
    >>> from halfsim.autograd.observer import Observer, observing
    >>> class Names(Observer):
    ...     def result(self, spec, fp, out, operands, arrays, options, label):
    ...         print(spec.name, out.shape)
    >>> with observing(Names()):
    ...     y = hs.tensor([1.0, 2.0]).exp().sum()
    exp (2,)
    sum ()
    """

    over = False  # whether it is to be told nothing more

    def unit(self, precision: Precision, label: str) -> Arithmetic | None:
        """The unit that the next operation computes with, or None for a plain one."""
        return None

    def result(
        self,
        spec: Op,
        fp: Arithmetic,
        out: Tensor,
        operands: Sequence[Any],
        arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]],
        label: str,
    ) -> Any:
        """An operation has stored its result, ``out``.

        ``spec`` is the operation, ``fp`` the unit that computed it, ``operands`` what it was given, ``arrays`` the same
        as they were read (None where one is left out), ``options`` its further arguments by position and by name;
        ``label`` names the result where the operation alone does not say. What this returns comes back with the
        gradients, as ``node.seen``.
        """

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        """Backward has taken the gradient ``g`` of a result to the operands of its operation, ``node``.

        ``found`` has for each operand that takes a gradient its position, itself, the gradient, and the unit.
        """

    def total(self, path: str, x: Tensor, fp: Arithmetic, total: Tensor, a: Tensor, b: Tensor) -> None:
        """Backward has added two gradients of ``x``, ``a`` and ``b``, on its way through the module at ``path``."""

    def begins(self, root: Tensor) -> None:
        """A backward pass begins at ``root``."""

    def given(self, values: Array, made: Tensor, known: bool) -> None:
        """A tensor, ``made``, was made of ``values``; ``known`` says that these are another tensor's numbers."""

    def narrowed(self, made: Tensor) -> None:
        """A tensor of another format was made of a float16 array: NumPy had rounded its numbers before."""

    def replaced(self, target: Tensor, result: Tensor) -> None:
        """A tensor that no operation made is about to take the array of ``result``, as by ``target += x``."""

    def compared(self, *tensors: Any) -> None:
        """Tensors were compared with something; the answer is an array of bools."""

    def rounded(self, x: Array, y: Array, flags: Array, fmt: Format, label: str) -> None:
        """An optimizer has rounded ``x`` to ``y``, numbers of ``fmt``; ``flags`` has a `Flag` mask per element."""

    def updated(self, p: Tensor, same: Array, direction: Tensor, own: bool = False) -> None:
        """An optimizer, or with ``own`` the user's code, has moved ``p`` along ``direction``.

        ``same`` is True for the elements that are the same as before.
        """

    def shrunk(self, op: str, before: Tensor, after: Tensor) -> None:
        """``op``, which makes all weights smaller, as weight decay does, has made ``after`` of ``before``."""

    def averaged(self, before: Array, after: Array, goal: Array, fmt: Format, label: str) -> None:
        """A running average has moved from ``before`` to ``after``, on its way to ``goal``."""

    def hyperparameter(self, op: str, name: str, value: float, fmt: Format) -> None:
        """The optimizer ``op`` is about to use its hyperparameter ``name`` in ``fmt``, which may not hold it."""

    def scaled(self, loss: Tensor, scale: float) -> None:
        """A scaler has multiplied a loss; ``loss`` is the product."""

    def unscaled(self, p: Tensor, scale: float) -> None:
        """A scaler has divided the gradient of ``p``, which is the new one already, by ``scale``."""

    def clipped(self, leaves: Sequence[Tensor], norm: Tensor | None) -> None:
        """Gradients are about to be clipped; ``norm`` is their norm, None where each value is clipped alone."""

    def advance(self, skipped: bool = False) -> None:
        """An optimizer's step is over, or a scaler has ``skipped`` it."""

    def note_scale(self, scale: float, skipped: bool) -> None:
        """A scaler has finished a step that it took at ``scale``."""


_OBSERVERS: Pile[tuple[Observer, ...]] = Pile("halfsim_observers", ())  # the innermost last
_STANDING_BY: list[tuple[Callable[[], bool], Callable[[], Observer]]] = []


def active() -> Observer | None:
    """Who watches, if anybody does."""
    others = _OBSERVERS.get()
    if others and (found := around()) is not None:
        return found
    for wanted, observer in _STANDING_BY:
        if wanted():
            return observer()
    return None


def stand_by(wanted: Callable[[], bool], make: Callable[[], Observer]) -> None:
    """Let the observer that ``make`` gives, once, watch whenever ``wanted()`` is true and no other is in force."""
    _STANDING_BY.append((wanted, cache(make)))


_Kind = TypeVar("_Kind", bound=Observer)


class observing(Context, Generic[_Kind]):  # noqa: N801  # used as a function
    """A context in which ``observer`` watches, in the place of the one around it.

    Left before one that was entered after it, it goes alone, and the other stays.
    """

    def __init__(self, observer: _Kind) -> None:
        self.observer = observer

    def __enter__(self) -> _Kind:
        _OBSERVERS.enter(self, lambda others: (*others, self.observer))
        return self.observer

    def __exit__(self, *exception: object) -> None:
        leave(self, "observing")


def leave(context: object, name: str) -> None:
    """End the watch that ``context`` began; ``RuntimeError``, which says ``name``, if it began none in this thread."""
    _OBSERVERS.leave(context, name)


def around() -> Observer | None:
    """The observer that a context has put in force, those that stand by apart."""
    for observer in reversed(_OBSERVERS.get()):
        if not observer.over:
            return observer
    return None
