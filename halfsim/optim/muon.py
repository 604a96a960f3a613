"""Muon, as PyTorch computes it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Unpack

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.tape import kernel, private
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import bfloat16, unknown, whole
from halfsim.numerics.quantize import Array
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.options import Options, checked
from halfsim.optim.weight import Weight, as_format_of

_RATES = {None: "original", "original": "original", "match_rms_adamw": "match_rms_adamw"}


class Muon(Optimizer):
    """Muon (Jordan et al. 2024), PyTorch's: a matrix moves along its momentum made orthogonal; for matrices alone.

    Kernels in the parameter's format: buf + (1 - momentum) * (grad - buf); with nesterov grad + momentum *
    (buf - grad). Then in bfloat16, whatever the parameter's format: that over its norm, which is at least ``eps``, and
    ``ns_steps`` times, for a wide matrix X, A = X @ X.T; B = b * A + c * A @ A; X = a * X + B @ X with (a, b, c) =
    ``ns_coefficients``, each stored. Then p * (1 - lr * weight_decay); p - rate * X with rate = lr * sqrt(max(1, rows
    / columns)) or, for ``adjust_lr_fn="match_rms_adamw"``, lr * 0.2 * sqrt(max(rows, columns)).
    ``ValueError`` for parameters that are no matrices and hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([[1.0, 1.0], [1.0, 1.0]], "fp16", requires_grad=True)
    >>> (w * hs.tensor([[0.5, 0.0], [0.0, 0.25]], "fp16")).sum().backward()
    >>> Muon([w], lr=0.125, weight_decay=0.0).step()
    >>> w
    tensor([[0.9136, 1.    ],
            [1.    , 0.8604]], float16, requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, weight_decay=weight_decay, momentum=momentum)
        checked(high=100, ns_steps=whole("ns_steps", ns_steps))
        if isinstance(ns_coefficients, str) or len(ns_coefficients) != 3:
            raise ValueError(f"ns_coefficients: {len(ns_coefficients)} numbers are not allowed; allowed: 3")
        if adjust_lr_fn not in _RATES:
            raise unknown("adjust_lr_fn", adjust_lr_fn, ("original", "match_rms_adamw"))
        given = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "eps": eps}
        how = {"ns_coefficients": ns_coefficients, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn}
        super().__init__(params, {**given, **how}, **options)

    def _check(self, tensors: list[Any]) -> None:
        super()._check(tensors)
        for p in tensors:
            if p.ndim != 2:
                raise ValueError(f"params: {p.name or 'a tensor'} has {p.ndim} dimensions; allowed: 2, as of a matrix")

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        lr, momentum = group["lr"], group["momentum"]
        buf = kernel("lerp", weight.kept("momentum_buffer"), grad, weight=1 - momentum, label="momentum_buffer")
        state["momentum_buffer"] = buf
        step = kernel("lerp", grad, buf, weight=momentum, label="update") if group["nesterov"] else buf
        step = as_format_of(orthogonal(step, group["ns_coefficients"], group["ns_steps"], group["eps"]), weight.format)
        rows, columns = grad.shape
        longer = 0.2 * math.sqrt(max(rows, columns))
        ratio = longer if group["adjust_lr_fn"] == "match_rms_adamw" else math.sqrt(max(1, rows / max(1, columns)))
        weight.decay(lr * group["weight_decay"])
        weight.add("add", step, alpha=-lr * ratio)
        return step


def orthogonal(x: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The matrix whose singular values are all near 1, by a quintic Newton-Schulz iteration in bfloat16."""
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = as_format_of(x, bfloat16)
    x = kernel("transpose", x, label="update") if tall else x
    norm = kernel("clamp", kernel("norm", x, label="norm"), eps, label="norm")
    x = kernel("div", x, norm, label="update")
    for _ in range(steps):
        gram = kernel("matmul", x, kernel("transpose", x, label="gram"), label="gram")
        x = kernel(
            _addmm, x, kernel(_addmm, gram, gram, gram, beta=b, alpha=c, label="gram"), x, beta=a, label="update"
        )
    return kernel("transpose", x, label="update") if tall else x


@private
def _addmm(fp: Arithmetic, x: Array, a: Array, b: Array, /, beta: float, alpha: float = 1.0) -> Any:
    """``beta * x + alpha * (a @ b)``: the product, times alpha, beta times x, the sum."""
    y = fp.matmul(a, b)
    return fp.add(y if alpha == 1 else fp.mul(y, fp.constant(alpha)), fp.mul(x, fp.constant(beta))), ()
