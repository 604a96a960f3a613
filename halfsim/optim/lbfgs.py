"""L-BFGS, as PyTorch computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any, Unpack

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import scoped
from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format, float32, unknown
from halfsim.optim.line_search import strong_wolfe
from halfsim.optim.optimizer import Optimizer, check_gradient
from halfsim.optim.options import Options, checked, number
from halfsim.optim.weight import as_format_of


class LBFGS(Optimizer):
    """L-BFGS (Liu and Nocedal 1989), PyTorch's: the direction of Newton's method, from the last gradients and steps.

    ``step(closure)`` calls ``closure``, which computes loss and gradients anew, up to ``max_eval`` times (a quarter
    more than ``max_iter``) and moves up to ``max_iter`` times, by ``lr`` or as far as the line search "strong_wolfe"
    finds good. It ends early when the largest gradient is at most ``tolerance_grad``, or loss or weights change by
    less than ``tolerance_change``. All parameters form one vector, in the widest of their formats; there is one group.

    Kernels, on that vector: y = grad - before, s = direction * step, y . s; where this is above 1e-10 they are kept,
    up to ``history_size`` of them; for each, from the last, al = (s . q) / (y . s) and q - al * y; q * (y . s) /
    (y . y); for each, from the first, r + (al - (y . r) / (y . s)) * s; p + step * r. Vectors and products are stored
    in the format: in float16 y . s underflows, and the curvature is forgotten, near a minimum. What the line search
    does with losses and slopes are Python numbers. ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (hs.tensor([1.0, 10.0]) * (w - hs.tensor([3.0, 2.0])) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)
    tensor(14., float32, requires_grad=True)
    >>> w
    tensor([2.9999995, 2.0000002], float32, requires_grad=True)
    """

    scalars = ("func_evals", "n_iter")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise unknown("line_search_fn", line_search_fn, ("strong_wolfe", "None"))
        given = {"lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        ends = {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size}
        super().__init__(params, {**given, **ends, "line_search_fn": line_search_fn}, **options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group; ``ValueError`` for a second."""
        if self.param_groups:
            raise ValueError("params: a second group is not allowed, for all parameters form one vector; allowed: one")
        super().add_param_group(param_group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move up to ``max_iter`` times; returns the first loss."""
        if not callable(closure):
            raise TypeError(
                f"closure: {type(closure).__name__} is not allowed; allowed: a function that gives the loss"
            )
        self._stepping = self._stepping and "base"  # moves are told here, one by one
        with scoped(phase="optimizer", gradients=False):
            return self._iterate(closure)

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group, state = self.param_groups[0], self.state[self.param_groups[0]["params"][0]]
        lr, most = float(number("lr", group["lr"])), group["max_iter"]
        state["func_evals"], state["n_iter"] = state.get("func_evals", 0) + 1, state.get("n_iter", 0)
        first = _evaluated(closure)
        loss, grad, evaluations = float(first), self._gradient(), 1
        if _largest(grad) <= group["tolerance_grad"]:
            return first
        for i in range(most):
            state["n_iter"] += 1
            d = self._direction(state, grad, group["history_size"])
            state["prev_flat_grad"], before = grad, loss
            state["prev_loss"] = loss
            t = state["t"] = _first_step(grad, lr) if state["n_iter"] == 1 else lr
            slope = _dot(grad, d)
            if slope.item() > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:

                def evaluate(t: float, d: Tensor = d) -> tuple[float, Tensor]:
                    return self._tried(closure, t, d)

                start, allowed = (loss, grad, slope.item()), group["max_eval"] - evaluations
                loss, grad, t, calls = strong_wolfe(evaluate, t, _largest(d), *start, _slope(d), most=allowed)
                self._move(t, d)
            else:
                self._move(t, d)
                calls = int(i + 1 < most)  # PyTorch saves the last, which only the next step would look at
                if calls:
                    loss, grad = float(_evaluated(closure)), self._gradient()
            state["t"] = t
            evaluations += calls
            state["func_evals"] += calls
            moved = kernel("mul", d, t, label="step")
            if (
                evaluations >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(moved) <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, state: dict[str, Any], grad: Tensor, most: int) -> Tensor:
        """Minus the gradient times the inverse Hessian that the kept changes of gradients (y) and steps (s) imply."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            d = state["d"] = kernel("neg", grad, label="direction")
            return d
        ys, ss, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y = kernel("sub", grad, state["prev_flat_grad"], label="y")
        s = kernel("mul", state["d"], state["t"], label="s")
        curvature = _dot(y, s)
        if curvature.item() > 1e-10:
            if len(ys) == most:
                for kept in (ys, ss, ro):
                    kept.pop(0)
            ys.append(y)
            ss.append(s)
            ro.append(kernel("reciprocal", curvature, label="ro"))
            state["H_diag"] = kernel("div", curvature, _dot(y, y), label="H_diag")
        q, factors = kernel("neg", grad, label="direction"), state.setdefault("al", [None] * most)
        for i in reversed(range(len(ys))):
            factors[i] = kernel("mul", _dot(ss[i], q), ro[i], label="al")
            q = kernel("add", q, ys[i], alpha=-factors[i].item(), label="direction")
        r = kernel("mul", q, state["H_diag"], label="direction")
        for y, s, inverse, factor in zip(ys, ss, ro, factors, strict=False):
            back = kernel("mul", _dot(y, r), inverse, label="be")
            r = kernel("add", r, s, alpha=kernel("sub", factor, back, label="al").item(), label="direction")
        state["d"] = r
        return r

    def _format(self) -> Format:
        """The widest of the formats in which parameters are updated."""
        formats = [self._working_format(p) for p in self._parameters()]
        return reduce(lambda a, b: a if a.contains(b) else b if b.contains(a) else float32, formats)

    def _gradient(self) -> Tensor:
        """All gradients in one vector, zeros where there are none."""
        fmt, pieces = self._format(), []
        for p in self._parameters():
            if p.grad is not None:
                check_gradient(p)
            grad = Tensor(np.zeros_like(p.array), p.format) if p.grad is None else p.grad
            pieces.append(kernel("reshape", as_format_of(grad, fmt), shape=(-1,), label="grad"))
        return kernel("cat", *pieces, axis=0, label="grad")

    def _move(self, t: float, d: Tensor, told: bool = True) -> None:
        """Add ``t * d`` to the parameters."""
        at = 0
        for p in self._parameters():
            piece = Tensor(d.array[at : at + p.size].reshape(p.shape), d.format)
            at += p.size
            with scoped(path=p.name):
                weight = self._weight(p, self.state[p])
                weight.add("add", as_format_of(piece, weight.format), alpha=t)
                self._settle(weight, piece, told and bool(t))

    def _tried(self, closure: Callable[[], Any], t: float, d: Tensor) -> tuple[float, Tensor]:
        """Loss and gradient a step ``t`` along ``d``; parameters are afterwards what they were."""
        names = ("master", "compensation")
        kept = [(p, p.array, p.shadow, {n: self.state[p].get(n) for n in names}) for p in self._parameters()]
        self._move(t, d, told=False)
        loss, grad = float(_evaluated(closure)), self._gradient()
        for p, array, shadow, own in kept:
            p.array, p.shadow = array, shadow
            for name in names:
                self.state[p].pop(name, None)
            self.state[p].update({name: value for name, value in own.items() if value is not None})
        return loss, grad

    def _loaded(self, p: Tensor, values: Mapping[str, Any]) -> dict[str, Any]:
        own = {name: values[name] for name in ("master", "compensation") if name in values}
        return {**{key: self._kept(key, value) for key, value in values.items()}, **super()._loaded(p, own)}

    def _kept(self, key: str, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._kept("", x) for x in value]
        if key in self.scalars:
            return int(np.asarray(value))
        return tensor(value, self._format()) if isinstance(value, (Tensor, np.ndarray)) else value


def _evaluated(closure: Callable[[], Any]) -> Any:
    """The loss, computed as in a forward pass, with gradients."""
    with scoped(phase="forward", gradients=True):
        return closure()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return kernel("dot", a, b, label="dot")


def _slope(d: Tensor) -> Callable[[Tensor], float]:
    """The product of a gradient with the direction ``d``, as a number."""
    return lambda grad: _dot(grad, d).item()


def _largest(x: Tensor) -> float:
    """The largest magnitude, exactly."""
    return float(np.abs(x.array).max())


def _first_step(grad: Tensor, lr: float) -> Any:
    """``lr``, or less where the gradient's absolute values have a sum above 1."""
    inverse = kernel("reciprocal", kernel("sum", kernel("abs", grad, label="t"), label="t"), label="t")
    return kernel("mul", inverse, lr, label="t").item() if inverse.item() < 1 else lr
