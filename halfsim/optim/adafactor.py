"""Adafactor, as PyTorch computes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.optim.kernels import watch_constant
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.options import Options, checked
from halfsim.optim.weight import Weight


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern 2018), PyTorch's: second moments of a matrix kept as a row and a column.

    Kernels for a gradient of two or more dimensions, the last two of which are rows and columns: the norm of each row,
    its square, over the number of columns; row_var + t**beta2_decay * (that - row_var); the same of columns; the
    product row_var @ col_var; over the mean of row_var, which is at least eps[0]. For others variance +
    t**beta2_decay * (grad * grad - variance). Then at least eps[0]**2; 1 / sqrt; * grad; p - rate * that, with
    rate = max(eps[1], rms(p)) * min(lr, 1 / sqrt(t)) / max(1, rms(update) / d), Python numbers of norms that are
    stored. ``eps[0]`` None is the eps of the format. Each stores in the parameter's format: in float16 the square of
    a row's norm is zero for norms below 1.7e-4, and infinite from 256 on, after which every weight is NaN.
    Weight decay, p * (1 - lr * weight_decay), comes first. ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([[1.0, 1.0]], "fp16", requires_grad=True)
    >>> (w * hs.tensor([0.5, 0.25], "fp16")).sum().backward()
    >>> optimizer = Adafactor([w], lr=0.125)
    >>> optimizer.step()
    >>> w
    tensor([[0.875, 0.875]], float16, requires_grad=True)
    """

    execution = ("foreach",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        if not isinstance(eps, (tuple, list)) or len(eps) != 2:
            raise TypeError(f"eps: {eps!r} is not allowed; allowed: a pair, whose first may be None")
        checked(lr=lr, weight_decay=weight_decay, eps1=eps[0] or 0.0, eps2=eps[1])
        checked(low=1.0, d=d)
        if not beta2_decay <= 0:
            raise ValueError(f"beta2_decay: {beta2_decay!r} is not allowed; allowed: numbers up to 0")
        given = {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay}
        super().__init__(params, {**given, "maximize": maximize}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        least, smallest = _both(group["eps"], weight)
        watch_constant("Adafactor", "eps", least * least, weight.format)
        grad = kernel("neg", grad, label="grad") if group["maximize"] else grad
        t = state["step"] = state.get("step", 0) + 1
        share = float(t) ** group["beta2_decay"]
        rate = max(smallest, _rms(weight.value)) * min(group["lr"], 1 / t**0.5)
        if group["weight_decay"]:
            weight.decay(group["lr"] * group["weight_decay"])
        variance = (_factored if grad.ndim > 1 else _whole)(weight, grad, state, share, least)
        root = kernel("rsqrt", kernel("clamp", variance, least * least, label="denom"), label="denom")
        update = kernel("mul", root, grad, label="update")
        weight.add("add", update, alpha=-rate / max(1.0, _rms(update) / group["d"]))
        return update

    def _state_shapes(self, p: Tensor) -> set[tuple[int, ...]]:
        if p.ndim < 2:
            return super()._state_shapes(p)
        return {p.shape, (), (*p.shape[:-1], 1), (*p.shape[:-2], 1, p.shape[-1])}


def _both(eps: Any, weight: Weight) -> tuple[float, float]:
    """The least variance and the least size of a weight; a number alone, as a fix may set it, is the first."""
    least, smallest = eps if isinstance(eps, (tuple, list)) else (eps, 1e-3)
    return weight.format.eps if least is None else least, smallest


def _rms(x: Tensor) -> float:
    """The root mean square, of a norm that is stored."""
    return kernel("norm", x, label="norm").item() / max(1, x.size) ** 0.5


def _whole(weight: Weight, grad: Tensor, state: dict[str, Any], share: float, least: float) -> Tensor:
    squares = kernel("mul", grad, grad, label="variance")
    variance = state["variance"] = kernel("lerp", weight.kept("variance"), squares, weight=share, label="variance")
    return variance


def _factored(weight: Weight, grad: Tensor, state: dict[str, Any], share: float, least: float) -> Tensor:
    for key, axis in (("row_var", -1), ("col_var", -2)):
        norm = kernel("norm", grad, axis=axis, keepdims=True, label=key)
        mean = kernel("div", kernel("mul", norm, norm, label=key), grad.shape[axis], label=key)
        state[key] = kernel("lerp", weight.kept(key, shape=mean.shape), mean, weight=share, label=key)
    rows = state["row_var"]
    mean = kernel("clamp", kernel("mean", rows, axis=-2, keepdims=True, label="denom"), least, label="denom")
    return kernel("div", kernel("matmul", rows, state["col_var"], label="variance"), mean, label="variance")
