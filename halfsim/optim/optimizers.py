"""SGD and Adam, as PyTorch computes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.optim.optimizer import Optimizer, checked, kernel, watch_constant


class SGD(Optimizer):
    """Stochastic gradient descent with PyTorch's momentum, dampening, weight decay and Nesterov's variant.

    Kernels: grad + weight_decay * p; buf * momentum; buf + (1 - dampening) * grad; p - lr * buf. Each stores
    in the parameter's format. ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 1e-4).sum().backward()
    >>> SGD([w], lr=1.0).step()
    >>> w  # 1e-4 is less than half the distance from 1 to the next half below, 2**-11
    tensor([1.], float16, requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        checked(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov: allowed only with momentum > 0 and dampening = 0")
        given = {"lr": lr, "momentum": momentum, "dampening": dampening}
        super().__init__(params, {**given, "weight_decay": weight_decay, "nesterov": nesterov})

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        momentum = group["momentum"]
        if group["weight_decay"]:
            grad = kernel("add", grad, p, alpha=group["weight_decay"], label="grad")
        if momentum and "momentum_buffer" not in state:
            state["momentum_buffer"] = Tensor(grad.data.copy(), grad.format)
        elif momentum:
            buf = kernel("mul", state["momentum_buffer"], momentum, label="momentum_buffer")
            alpha = 1 - group["dampening"]
            state["momentum_buffer"] = kernel("add", buf, grad, alpha=alpha, label="momentum_buffer")
        if momentum and group["nesterov"]:
            grad = kernel("add", grad, state["momentum_buffer"], alpha=momentum, label="grad")
        elif momentum:
            grad = state["momentum_buffer"]
        return kernel("add", p, grad, alpha=-group["lr"], label="param"), grad


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) with PyTorch's kernels; ``weight_decay`` is added to the gradient.

    Kernels: m + (1 - beta1) * (grad - m); v * beta2; v + (1 - beta2) * grad * grad; sqrt(v);
    / sqrt(1 - beta2**t); + eps; p - lr / (1 - beta1**t) * m / denom. Each stores in the parameter's format, so with
    float16 parameters eps = 1e-8 is zero and v underflows from |grad| < 5.5e-3 on: the failure to
    reproduce. ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 1e-4).sum().backward()
    >>> Adam([w], lr=1e-3).step()
    >>> w
    tensor([-inf], float16, requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        checked(lr=lr, eps=eps, weight_decay=weight_decay)
        checked(high=1.0, beta1=betas[0], beta2=betas[1])
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        (beta1, beta2), eps = group["betas"], group["eps"]
        if not state:
            zero = Tensor(np.zeros_like(p.data), p.format)
            state.update(step=0, exp_avg=zero, exp_avg_sq=zero)
        watch_constant(p, "Adam", "eps", eps)
        t = state["step"] = state["step"] + 1
        if group["weight_decay"]:
            grad = kernel("add", grad, p, alpha=group["weight_decay"], label="grad")
        m = state["exp_avg"] = kernel("lerp", state["exp_avg"], grad, weight=1 - beta1, label="exp_avg")
        v = kernel("mul", state["exp_avg_sq"], beta2, label="exp_avg_sq")
        v = state["exp_avg_sq"] = kernel("addcmul", v, grad, grad, value=1 - beta2, label="exp_avg_sq")
        root = kernel("div", kernel("sqrt", v, label="denom"), (1 - beta2**t) ** 0.5, label="denom")
        denom = kernel("add", root, eps, label="denom")
        return kernel("addcdiv", p, m, denom, value=-group["lr"] / (1 - beta1**t), label="param"), m
