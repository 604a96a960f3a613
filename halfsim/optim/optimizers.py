"""SGD, RMSprop, Adagrad, Adadelta, ASGD and Rprop as PyTorch computes them, and Lion."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any, Unpack

import numpy as np

from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.optim.kernels import factor_of_agreement, forgotten, sign, watch_constant
from halfsim.optim.optimizer import Optimizer
from halfsim.optim.options import Options, checked, checked_betas
from halfsim.optim.weight import Weight
from halfsim.options import refused


def decayed(weight: Weight, grad: Tensor, group: dict[str, Any]) -> Tensor:
    """The gradient to descend: turned round to ``maximize``, plus ``weight_decay * p``."""
    if group["maximize"]:
        grad = kernel("neg", grad, label="grad")
    if group["weight_decay"]:
        grad = kernel("add", grad, weight.value, alpha=group["weight_decay"], label="grad")
    return grad


class SGD(Optimizer):
    """Stochastic gradient descent with PyTorch's momentum, dampening, weight decay and Nesterov's variant.

    Kernels: grad + weight_decay * p; buf * momentum; buf + (1 - dampening) * grad; p - lr * buf. Each stores
    in the parameter's format. Remedies are those of `Optimizer`. ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 1e-4).sum().backward()
    >>> SGD([w], lr=1.0).step()
    >>> w  # 1e-4 is less than half the distance from 1 to the next half below, 2**-11
    tensor([1.], float16, requires_grad=True)
    """

    execution = ("foreach", "differentiable", "fused")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float | Tensor = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov: allowed only with momentum > 0 and dampening = 0")
        given = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**given, "nesterov": nesterov, "maximize": maximize}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        momentum, grad = group["momentum"], decayed(weight, grad, group)
        if momentum and state.get("momentum_buffer") is None:
            state["momentum_buffer"] = Tensor(grad.array.copy(), grad.format)
        elif momentum:
            buf = kernel("mul", state["momentum_buffer"], momentum, label="momentum_buffer")
            alpha = 1 - group["dampening"]
            state["momentum_buffer"] = kernel("add", buf, grad, alpha=alpha, label="momentum_buffer")
        if momentum and group["nesterov"]:
            grad = kernel("add", grad, state["momentum_buffer"], alpha=momentum, label="grad")
        elif momentum:
            grad = state["momentum_buffer"]
        weight.add("add", grad, alpha=-group["lr"])
        return grad


class RMSprop(Optimizer):
    """RMSprop (Hinton) with PyTorch's kernels, momentum and centred variant.

    Kernels: v * alpha; v + (1 - alpha) * grad * grad; centered: m + (1 - alpha) * (grad - m), v - m * m; sqrt; + eps;
    then p - lr * grad / denom or, with momentum, buf * momentum; buf + grad / denom; p - lr * buf. Each stores in
    the parameter's format: in float16 eps = 1e-8 is zero, and v - m * m may be negative, its root NaN.
    ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], requires_grad=True)
    >>> (w * 1e-4).sum().backward()
    >>> RMSprop([w], lr=0.125, alpha=0.75).step()
    >>> w  # the step is lr / sqrt(1 - alpha), whatever the gradient's size, but for eps
    tensor([0.75005], float32, requires_grad=True)
    """

    execution = ("foreach", "capturable", "differentiable")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
        given = {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered}
        super().__init__(params, {**given, "weight_decay": weight_decay, "maximize": maximize}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        alpha, momentum, grad = group["alpha"], group["momentum"], decayed(weight, grad, group)
        watch_constant("RMSprop", "eps", group["eps"], weight.format)
        state["step"] = state.get("step", 0) + 1
        v = kernel("mul", weight.kept("square_avg"), alpha, label="square_avg")
        v = state["square_avg"] = kernel("addcmul", v, grad, grad, value=1 - alpha, label="square_avg")
        if group["centered"]:
            mean = weight.kept("grad_avg")
            mean = state["grad_avg"] = kernel("lerp", mean, grad, weight=1 - alpha, label="grad_avg")
            v = kernel("addcmul", v, mean, mean, value=-1, label="denom")
        denom = kernel("add", kernel("sqrt", v, label="denom"), group["eps"], label="denom")
        if momentum > 0:
            buf = kernel("mul", weight.kept("momentum_buffer"), momentum, label="momentum_buffer")
            buf = state["momentum_buffer"] = kernel("addcdiv", buf, grad, denom, label="momentum_buffer")
            weight.add("add", buf, alpha=-group["lr"])
            return buf
        weight.add("addcdiv", grad, denom, value=-group["lr"])
        return grad


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011) with PyTorch's kernels.

    Kernels: sum + grad * grad; sqrt; + eps; p - lr / (1 + (t - 1) * lr_decay) * grad / denom. Each stores in the
    parameter's format: in float16 eps = 1e-10 is zero, and ``sum`` stops growing where it swamps what is added.
    ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], requires_grad=True)
    >>> (w * 4).sum().backward()
    >>> Adagrad([w], lr=0.25).step()
    >>> w
    tensor([0.75], float32, requires_grad=True)
    """

    execution = ("foreach", "differentiable", "fused")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        checked(initial_accumulator_value=initial_accumulator_value)
        given = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**given, "initial_accumulator_value": initial_accumulator_value}, **options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            weight = self._weight(p, {})
            self.state[p] = {"step": 0, "sum": weight.zeros(group["initial_accumulator_value"])}

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        watch_constant("Adagrad", "eps", group["eps"], weight.format)
        grad = decayed(weight, grad, group)
        t = state["step"] = state["step"] + 1
        total = state["sum"] = kernel("addcmul", state["sum"], grad, grad, label="sum")
        denom = kernel("add", kernel("sqrt", total, label="denom"), group["eps"], label="denom")
        weight.add("addcdiv", grad, denom, value=-group["lr"] / (1 + (t - 1) * group["lr_decay"]))
        return grad


class Lion(Optimizer):
    """Lion (Chen et al. 2023): the sign of an interpolated momentum; PyTorch has none of it.

    Kernels: p * (1 - lr * weight_decay); c = m * beta1; c + (1 - beta1) * grad; p - lr * sign(c); m * beta2;
    m + (1 - beta2) * grad. Each stores in the parameter's format. Every weight moves by lr, which must be
    more than half an ulp of it; nothing divides and nothing is squared. The sign of NaN is 0, as PyTorch's.
    ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 1e-4).sum().backward()
    >>> Lion([w], lr=0.25).step()
    >>> w
    tensor([0.75], float16, requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, weight_decay=weight_decay)
        betas = checked_betas(betas)
        super().__init__(
            params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}, **options
        )

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        (beta1, beta2), lr = group["betas"], group["lr"]
        grad = kernel("neg", grad, label="grad") if group["maximize"] else grad
        if group["weight_decay"]:
            weight.decay(lr * group["weight_decay"])
        m = weight.kept("exp_avg")
        c = kernel("add", kernel("mul", m, beta1, label="update"), grad, alpha=1 - beta1, label="update")
        direction = kernel(sign, c, label="update")
        weight.add("add", direction, alpha=-lr)
        m = kernel("mul", m, beta2, label="exp_avg")
        state["exp_avg"] = kernel("add", m, grad, alpha=1 - beta2, label="exp_avg")
        return direction


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012) with PyTorch's kernels: every weight moves by the root mean square of its last moves.

    Kernels: v * rho; v + (1 - rho) * grad * grad; v + eps; sqrt; delta + eps; sqrt; the second over the first; * grad;
    delta * rho; delta + (1 - rho) * update * update; p - lr * update. Each stores in the parameter's format: in
    float16 eps = 1e-6 is the 17th subnormal number, and its root sets the size of the first steps.
    ``ValueError`` for hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 0.5).sum().backward()
    >>> Adadelta([w], eps=0.25).step()
    >>> w
    tensor([0.5234], float16, requires_grad=True)
    """

    execution = ("foreach", "capturable", "differentiable")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, eps=eps, weight_decay=weight_decay)
        checked(high=np.nextafter(1, 2), rho=rho)
        given = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, given, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        rho, eps, grad = group["rho"], group["eps"], decayed(weight, grad, group)
        watch_constant("Adadelta", "eps", eps, weight.format)
        state["step"] = state.get("step", 0) + 1
        v = kernel("mul", weight.kept("square_avg"), rho, label="square_avg")
        v = state["square_avg"] = kernel("addcmul", v, grad, grad, value=1 - rho, label="square_avg")
        moves = weight.kept("acc_delta")
        std, size = (kernel("sqrt", kernel("add", x, eps, label="denom"), label="denom") for x in (v, moves))
        update = kernel("mul", kernel("div", size, std, label="update"), grad, label="update")
        moves = kernel("mul", moves, rho, label="acc_delta")
        state["acc_delta"] = kernel("addcmul", moves, update, update, value=1 - rho, label="acc_delta")
        weight.add("add", update, alpha=-group["lr"])
        return update


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992) with PyTorch's kernels.

    Kernels: p * (1 - lambd * eta); p - eta * grad; then in state "ax" the average, p itself at first, and from step
    ``t0`` + 3 on ax + mu * (p - ax), whose difference and product are kernels. For step t + 1, eta is lr / (1 + lambd *
    lr * t)**alpha and mu is 1 / max(1, t - t0), float32 numbers as PyTorch keeps them. ``ValueError`` for
    hyper-parameters out of range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> (w * 0.5).sum().backward()
    >>> optimizer = ASGD([w], lr=0.125)
    >>> optimizer.step()
    >>> w, optimizer.state[w]["ax"]
    (tensor([0.9375], float16, requires_grad=True), tensor([0.9375], float16))
    """

    execution = ("foreach", "capturable", "differentiable")
    scalars = ("step", "eta", "mu")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr, weight_decay=weight_decay)
        checked(low=-np.inf, lambd=lambd, alpha=alpha, t0=t0)
        given = {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay}
        super().__init__(params, {**given, "maximize": maximize}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        lr, lambd, grad = group["lr"], group["lambd"], decayed(weight, grad, group)
        t = state["step"] = state.get("step", 0) + 1
        eta, mu = state.get("eta", float(np.float32(lr))), state.get("mu", 1.0)
        weight.decay(lambd * eta)
        weight.add("add", grad, alpha=-eta)
        now, average = weight.moved(), weight.kept("ax")
        if mu != 1:
            change = kernel("mul", kernel("sub", now, average, label="ax"), mu, label="ax")
            now = kernel("add", average, change, label="ax")
        state["eta"] = float(np.float32(lr / ((1 + lambd * lr * t) ** group["alpha"])))
        state["mu"] = float(np.float32(1 / max(1, t - group["t0"])))
        state["ax"] = Tensor(now.array.copy(), now.format)
        return grad


class Rprop(Optimizer):
    """Resilient propagation (Riedmiller and Braun 1993) with PyTorch's kernels: signs and a step size for each weight.

    Kernels: grad * prev, whose sign says whether the gradient has turned; step_size * etas[1] where it has not,
    * etas[0] where it has, and there the gradient counts as 0; step_size within ``step_sizes``; p - sign(grad) *
    step_size. Each stores in the parameter's format: in float16 the product of gradients below 1.7e-4 is zero, so
    their step sizes never change, and 1e-6 is the 17th subnormal number. ``ValueError`` for hyper-parameters out of
    range.

    >>> import halfsim as hs
    >>> w = hs.tensor([1.0], "fp16", requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.125)
    >>> for gradient in (0.5, 0.25):
    ...     w.grad = hs.tensor([gradient], "fp16")
    ...     optimizer.step()
    >>> w  # 1 - 0.125 - 1.2 * 0.125
    tensor([0.725], float16, requires_grad=True)
    """

    execution = ("foreach", "capturable", "differentiable")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        checked(lr=lr)
        for name, pair in (("etas", etas), ("step_sizes", step_sizes)):
            if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(x, Real) for x in pair)):
                raise refused(name, pair, "a pair of numbers")
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"etas: {tuple(etas)!r} is not allowed; allowed: 0 < etas[0] < 1 < etas[1]")
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}, **options)

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        minus, plus = group["etas"]
        grad = kernel("neg", grad, label="grad") if group["maximize"] else grad
        state["step"] = state.get("step", 0) + 1
        product = kernel("mul", grad, weight.kept("prev"), label="product")
        factor = kernel(factor_of_agreement, product, minus=minus, plus=plus, label="factor")
        size = kernel("mul", weight.kept("step_size", group["lr"]), factor, label="step_size")
        size = state["step_size"] = kernel("clamp", size, *group["step_sizes"], label="step_size")
        grad = state["prev"] = kernel(forgotten, grad, factor, minus=minus, label="prev")
        direction = kernel(sign, grad, label="update")
        weight.add("addcmul", direction, size, value=-1.0)
        return direction
