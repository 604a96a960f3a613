"""Adam and its kin, as PyTorch computes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import numpy as np

from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import rounded
from halfsim.optim.kernels import maximum, watch_constant
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.optimizers import decayed
from halfsim.optim.options import Options, checked, checked_betas, is_tensor
from halfsim.optim.weight import Weight


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) with PyTorch's kernels; ``weight_decay`` is added to the gradient.

    Kernels: m + (1 - beta1) * (grad - m); v * beta2; v + (1 - beta2) * grad * grad; with amsgrad the largest v so
    far; sqrt(v); / sqrt(1 - beta2**t); + eps; p - lr / (1 - beta1**t) * m / denom. With ``decoupled_weight_decay``
    p * (1 - lr * weight_decay) comes first, and the gradient is left alone. Each stores in the parameter's format,
    so with float16 parameters eps = 1e-8 is zero and v underflows from |grad| < 5.5e-3 on: the failure to
    reproduce. Remedies are those of `Optimizer`. ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 1e-4).sum().backward()
    >>> Adam([w], lr=1e-3).step()
    >>> w
    tensor([-inf], float16, requires_grad=True)
    """

    execution = ("foreach", "capturable", "differentiable", "fused")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, eps=eps, weight_decay=weight_decay)
        if options.get("foreach") and not options.get("capturable") and any(map(is_tensor, (lr, *betas))):
            raise ValueError("foreach: True with a tensor for lr or betas; allowed: numbers, capturable=True")
        betas = checked_betas(betas)
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        kind = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**given, **kind}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        watch_constant(type(self).__name__, "eps", group["eps"], weight.format)
        beta1, beta2 = group["betas"]
        t, grad, m, v = moments(weight, grad, state, group)
        if group["amsgrad"]:
            known = weight.kept("max_exp_avg_sq")
            v = state["max_exp_avg_sq"] = kernel(maximum, known, v, label="max_exp_avg_sq")
        root = kernel("div", kernel("sqrt", v, label="denom"), (1 - beta2**t) ** 0.5, label="denom")
        denom = kernel("add", root, group["eps"], label="denom")
        weight.add("addcdiv", m, denom, value=-group["lr"] / (1 - beta1**t))
        return m


def moments(
    weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
) -> tuple[int, Tensor, Tensor, Tensor]:
    """Weight decay and both averages, as all of Adam's kin begin: the number of steps, the gradient, m and v."""
    (beta1, beta2), decay = group["betas"], group["weight_decay"]
    grad = kernel("neg", grad, label="grad") if group["maximize"] else grad
    t = state["step"] = state.get("step", 0) + 1
    if decay and group["decoupled_weight_decay"]:
        weight.decay(group["lr"] * decay)
    elif decay:
        grad = kernel("add", grad, weight.value, alpha=decay, label="grad")
    fresh = _rest(beta1, weight.format)
    m = state["exp_avg"] = kernel("lerp", weight.kept("exp_avg"), grad, weight=fresh, label="exp_avg")
    v = kernel("mul", weight.kept("exp_avg_sq"), beta2, label="exp_avg_sq")
    v = state["exp_avg_sq"] = kernel("addcmul", v, grad, grad, value=1 - beta2, label="exp_avg_sq")
    return t, grad, m, v


def _rest(beta: Any, fmt: Format) -> float:
    """``1 - beta``; of a tensor's scalar in the format of the weights, to which PyTorch casts it."""
    if isinstance(beta, (int, float)):
        return 1 - beta
    given = rounded(np.asarray(beta, np.float64), fmt)
    return float(rounded(1 - given, fmt))


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p * (1 - lr * weight_decay) comes first.

    In float16 that product is p itself for lr * weight_decay < 2.4e-4: the decay is lost. Everything else as in `Adam`.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 0).sum().backward()
    >>> AdamW([w], lr=1e-3, eps=1e-4).step()
    >>> w
    tensor([1.], float16, requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True, **options
        )


class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016), PyTorch's kernels and momentum schedule.

    Kernels: the averages of `Adam`; v / (1 - beta2**t); sqrt; + eps; p - lr * (1 - mu) / (1 - product) * grad / denom;
    p - lr * next_mu / (1 - product * next_mu) * m / denom, with mu = beta1 * (1 - 0.96**(t * momentum_decay) / 2) and
    their product, Python numbers. Each stores in the parameter's format. ``ValueError`` for hyper-parameters out of
    range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 0.5).sum().backward()
    >>> NAdam([w], lr=0.125).step()
    >>> w
    tensor([0.868], float16, requires_grad=True)
    """

    execution = ("foreach", "capturable", "differentiable")
    scalars = ("step", "mu_product")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        betas = checked_betas(betas)
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay}
        kind = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**given, **kind}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        watch_constant("NAdam", "eps", group["eps"], weight.format)
        (beta1, beta2), lr = group["betas"], group["lr"]
        t, grad, m, v = moments(weight, grad, state, group)
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (s * group["momentum_decay"])) for s in (t, t + 1))
        single = np.float32(state.get("mu_product", 1)) * np.float32(mu)  # a float32 tensor in PyTorch
        product = state["mu_product"] = float(single)
        root = kernel("sqrt", kernel("div", v, 1 - beta2**t, label="denom"), label="denom")
        denom = kernel("add", root, group["eps"], label="denom")
        weight.add("addcdiv", grad, denom, value=-lr * (1 - mu) / (1 - product))
        weight.add("addcdiv", m, denom, value=-lr * following / (1 - product * following))
        return m


class RAdam(Optimizer):
    """Adam whose first steps, while v says little, are those of momentum alone (Liu et al. 2020), PyTorch's kernels.

    Kernels: the averages of `Adam`; m / (1 - beta1**t); * lr; once rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t),
    with rho_inf = 2 / (1 - beta2) - 1, is above 5: sqrt(v); + eps; 1 / that; * sqrt(1 - beta2**t); the product with
    it; * the root of (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho); p - that. Each stores in
    the parameter's format: in float16 eps = 1e-8 is zero, and the reciprocal is infinite where v underflows.
    ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 0.5).sum().backward()
    >>> RAdam([w], lr=0.125).step()
    >>> w  # the first step is lr * grad
    tensor([0.9375], float16, requires_grad=True)
    """

    execution = ("foreach", "capturable", "differentiable")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, eps=eps, weight_decay=weight_decay)
        given = {"lr": lr, "betas": checked_betas(betas), "eps": eps, "weight_decay": weight_decay}
        kind = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**given, **kind}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        watch_constant("RAdam", "eps", group["eps"], weight.format)
        beta1, beta2 = group["betas"]
        t, grad, m, v = moments(weight, grad, state, group)
        correction, longest = 1 - beta2**t, 2 / (1 - beta2) - 1
        rho = longest - 2 * t * (beta2**t) / correction
        step = kernel("mul", kernel("div", m, 1 - beta1**t, label="update"), group["lr"], label="update")
        if rho > 5.0:
            denom = kernel("add", kernel("sqrt", v, label="denom"), group["eps"], label="denom")
            rate = kernel("mul", kernel("reciprocal", denom, label="rate"), correction**0.5, label="rate")
            rect = ((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)) ** 0.5
            step = kernel("mul", kernel("mul", step, rate, label="update"), rect, label="update")
        weight.add("add", step, alpha=-1.0)
        return step


class Adamax(Optimizer):
    """Adam with the largest gradient, slowly forgotten, in place of the root (Kingma and Ba 2015), PyTorch's kernels.

    Kernels: m + (1 - beta1) * (grad - m); u * beta2; abs(grad) + eps; the larger of the two is u; p - lr /
    (1 - beta1**t) * m / u. Each stores in the parameter's format: in float16 eps = 1e-8 is zero, and a gradient that
    was never anything but zero gives 0 / 0. ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 0.5).sum().backward()
    >>> Adamax([w], lr=0.125).step()
    >>> w  # the first step is lr, whatever the gradient
    tensor([0.875], float16, requires_grad=True)
    """

    execution = ("foreach", "capturable", "differentiable")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, eps=eps, weight_decay=weight_decay)
        given = {"lr": lr, "betas": checked_betas(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**given, "maximize": maximize}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        watch_constant("Adamax", "eps", group["eps"], weight.format)
        (beta1, beta2), grad = group["betas"], decayed(weight, grad, group)
        t = state["step"] = state.get("step", 0) + 1
        m = state["exp_avg"] = kernel("lerp", weight.kept("exp_avg"), grad, weight=1 - beta1, label="exp_avg")
        before = kernel("mul", weight.kept("exp_inf"), beta2, label="exp_inf")
        now = kernel("add", kernel("abs", grad, label="exp_inf"), group["eps"], label="exp_inf")
        u = state["exp_inf"] = kernel(maximum, before, now, label="exp_inf")
        weight.add("addcdiv", m, u, value=-group["lr"] / (1 - beta1**t))
        return m
