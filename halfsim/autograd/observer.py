"""Who watches: what the engine tells an observer, and nothing of what it does with it.

A trace, the recorder of a comparison, a ledger of memory and the watchers of flags are observers. The engine asks once
an operation who is in force, takes its unit from there and tells it of the result; with nobody in force it does
neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from halfsim.autograd.arithmetic import Arithmetic
    from halfsim.autograd.tape import Node, Op
    from halfsim.autograd.tensor import Tensor
    from halfsim.numerics.formats import Format
    from halfsim.numerics.precision import Precision
    from halfsim.numerics.quantize import Array


class Observer:
    """One who watches every operation; this one takes no notice, and others override what they want to hear of.

    What an observer knows of a tensor it may leave in the tensor's ``shadow``, which goes wherever the array goes.
    """

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
        """An operation has stored ``out``; what this returns is kept on the tape as the node's ``seen``."""

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        """Backward has pulled ``g`` through ``node``: for each operand its number, itself, its gradient, the unit."""

    def total(self, path: str, x: Tensor, fp: Arithmetic, total: Tensor, a: Tensor, b: Tensor) -> None:
        """Backward has added two gradients of ``x``."""

    def begins(self, root: Tensor) -> None:
        """A backward pass begins at ``root``."""

    def given(self, values: Array, made: Tensor, known: bool) -> None:
        """A tensor was made of ``values``; ``known`` says that they are those of another tensor."""

    def narrowed(self, made: Tensor) -> None:
        """NumPy had rounded to float16 what a tensor of another format was made of."""

    def replaced(self, target: Tensor, result: Tensor) -> None:
        """A leaf is about to take the array of ``result``, as ``target += x`` does outside the tape."""

    def compared(self, *tensors: Any) -> None:
        """Tensors were compared with something; the answer is an array of bools."""

    def rounded(self, x: Array, y: Array, flags: Array, fmt: Format, label: str) -> None:
        """An optimizer has rounded ``x`` to ``y``."""

    def updated(self, p: Tensor, same: Array, direction: Tensor, own: bool = False) -> None:
        """An optimizer, perhaps a user's ``own``, has moved ``p`` along ``direction`` where it is not the ``same``."""

    def shrunk(self, op: str, before: Tensor, after: Tensor) -> None:
        """A step that shrinks all weights has made ``after`` of ``before``."""

    def averaged(self, before: Array, after: Array, goal: Array, fmt: Format, label: str) -> None:
        """A running average has moved from ``before`` to ``after``, on its way to ``goal``."""

    def hyperparameter(self, op: str, name: str, value: float, fmt: Format) -> None:
        """An optimizer is about to use a number in ``fmt``."""

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


_OBSERVERS: ContextVar[tuple[Observer, ...]] = ContextVar("halfsim_observers", default=())  # the innermost last
_STANDING_BY: list[tuple[Callable[[], bool], Observer]] = []


def active() -> Observer | None:
    """Who watches, if anybody does."""
    found = _OBSERVERS.get()
    if not found:
        for wanted, observer in _STANDING_BY:
            if wanted():
                return observer
        return None
    return found[-1]


def stand_by(wanted: Callable[[], bool], observer: Observer) -> None:
    """Let ``observer`` watch whenever ``wanted()`` and no other is in force."""
    _STANDING_BY.append((wanted, observer))


_Kind = TypeVar("_Kind", bound=Observer)


@contextmanager
def observing(observer: _Kind) -> Iterator[_Kind]:
    """A context in which ``observer`` watches, in the place of the one around it.

    Left before one that was entered after it, it goes alone, and the other stays.
    """
    _OBSERVERS.set((*_OBSERVERS.get(), observer))
    try:
        yield observer
    finally:
        others = list(_OBSERVERS.get())
        at = max((i for i, other in enumerate(others) if other is observer), default=len(others))
        _OBSERVERS.set(tuple(others[:at] + others[at + 1 :]))


def around() -> Observer | None:
    """The observer that a context has put in force, those that stand by apart."""
    return next(reversed(_OBSERVERS.get()), None)
