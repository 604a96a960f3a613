"""How a tensor comes to hold other values: operations in place, which everything sees that shares memory with it.

No array is written into. A tensor gets a new array and the place on the tape of the operation that made it; views of it
follow, and one that is changed itself changes the tensor that it is a view of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from halfsim.autograd.observer import active
from halfsim.autograd.operators import OPS
from halfsim.autograd.scope import resolve_for, scope, scoped
from halfsim.autograd.storage import Storage, View, view
from halfsim.numerics.formats import Integer, bool_
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class

if TYPE_CHECKING:
    from halfsim.autograd.tape import Node
    from halfsim.autograd.tensor import Tensor


class InPlace:
    """Methods by which a tensor takes other values."""

    __slots__ = ()
    node: Any  # slots of the tensor
    hooks: Any
    views: Any

    def detach_(self: Any) -> Tensor:
        """Take this tensor off the tape."""
        self._before()
        self.node, self.requires_grad = None, False
        return self

    def in_place(self: Any, op: str, *operands: Any, **options: Any) -> Tensor:
        """Let this tensor hold what the operation ``op`` makes of it, as ``x.add_(y)`` and ``x += y`` do.

        It gets a new array of its own format, which everything sees that shares memory with it in PyTorch. So
        ``p -= lr * p.grad`` under `halfsim.no_grad` moves a parameter, rounded to its format. ``RuntimeError`` for a
        leaf that takes a gradient where gradients are recorded, as in PyTorch, and for results of another shape.
        """
        if not scope().gradients:
            return self.receive(OPS[op](self, *operands, **options))
        self._changeable()
        before = self._before()  # for this tensor is about to stand elsewhere on the tape
        result = OPS[op](before, *(before if x is self else x for x in operands), **options)
        if result is before:
            return self
        if before.requires_grad and not result.requires_grad and result.shape == self.shape:
            result = OPS["copy"](before, result)  # from where on nothing depends on the values that were there
        return self.receive(result)

    def _changeable(self: Any) -> None:
        """``RuntimeError`` for a leaf that takes a gradient, and for its views."""
        x = self
        while isinstance(x.storage, View):
            if x.storage.base.requires_grad and not x.requires_grad:
                raise RuntimeError("in place: the view was made under no_grad; allowed: to change it there, detach()")
            x = x.storage.base
        if x.requires_grad and x.node is None:
            what = "a leaf that takes a gradient" if x is self else "a view of a leaf that takes a gradient"
            raise RuntimeError(f"in place: {what} is not changed on the tape; allowed: hs.no_grad()")

    def _before(self: Any) -> Tensor:
        """A tensor that stands where this one stands on the tape now, for an operation that is about to change it."""
        before, node = self.bare(), self.node
        if node is not None and node.left is not None and node.left is not self:
            node.left.storage, before = before.storage, node.left
        before.node, before.hooks, before.shadow = node, self.hooks, self.shadow
        if node is not None:
            node.left = before
        return before

    def receive(self: Any, result: Tensor) -> Tensor:
        """Take the values of ``result`` and its place on the tape, in the format that this tensor has."""
        if result.shape != self.shape:
            raise RuntimeError(f"in place: shape {result.shape} does not fit {self.shape}; allowed: the same shape")
        fmt, made = self.format, result.format
        if isinstance(fmt, Integer) and (not isinstance(made, Integer) or (fmt is bool_ and made is not bool_)):
            allowed = "bools" if fmt is bool_ else "integers"
            raise RuntimeError(f"in place: {made} does not fit a tensor of {fmt}; allowed: {allowed}")
        result, observer = result.to(fmt), active()
        leaf = self if self.leaf is None else self.leaf
        if leaf.requires_grad and leaf.node is None and observer is not None:
            observer.replaced(leaf, result)
        leaf.shadow = self.shadow = result.shadow
        storage = self.storage
        if result.node is None:
            storage.write(result.array)
            return self
        if isinstance(storage, View):  # its root goes on the tape, and all views of that follow it
            storage.root.in_place("put_at", result, places=storage.targets())
        else:
            storage.write(result.array)
            self._stand(result.node)
        return self

    def _stand(self: Any, node: Node) -> None:
        """Stand on the tape at ``node`` from now on, and let the views of this tensor stand there as its parts."""
        self.node, self.requires_grad, self.hooks = node, True, None
        for x in list((self.views or {}).values()):
            if isinstance(x.storage, View) and x.storage.base is self and not (x.requires_grad and x.node is None):
                x._before()
                x._stand(x.storage.move.node(self))

    def turn(self: Any, op: str, *options: Any) -> Tensor:
        """Become what the operation ``op``, which moves values, makes of this tensor, as ``x.t_()`` does."""
        if self.requires_grad and self.node is None and scope().gradients:
            raise RuntimeError(
                "in place: a leaf that takes a gradient keeps its shape; allowed: x = x.t() and its like"
            )
        before, storage = self._before(), self.storage  # of which this tensor becomes a view
        if isinstance(storage, View):
            view(before, storage.base, storage.move)
        else:
            before.storage = storage
        with scoped(rule=resolve_for(self.format), base="", gradients=self.node is not None):
            result = OPS[op](before, *options)
        before.leaf, before.views, self.views = self.leaf, self.views, None
        for x in list((before.views or {}).values()):
            if isinstance(x.storage, View) and x.storage.base is self:
                x.storage.base = before
        self.storage, self.node, self.hooks = Storage(result.array), result.node, None
        view(self, before, result.storage.move)
        return self

    def take_shape(self: Any, array: Array) -> Tensor:
        """Take an array of another shape, off the tape."""
        self.array, self.shadow = array, None
        return self

    def hold(self: Any, result: Tensor) -> Tensor:
        """Take the array of ``result``, of this tensor's shape and format, and what is known of it."""
        self.array, self.shadow = result.array, result.shadow
        return self

    def copy_(self: Any, source: Any, non_blocking: bool = False) -> Tensor:
        """The values of ``source``, broadcast and rounded to this tensor's format, in place."""
        return self.in_place("copy", source)


guarded_class(InPlace, ("copy_", "in_place", "turn"))
