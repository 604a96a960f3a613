"""SGD, RMSprop and Adagrad as PyTorch computes them, and Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.optim.kernels import sign, watch_constant
from halfsim.optim.optimizer import Optimizer, Remedy, checked, checked_betas
from halfsim.optim.weight import Weight


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

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **remedy: Unpack[Remedy],
    ) -> None:
        checked(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov: allowed only with momentum > 0 and dampening = 0")
        given = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**given, "nesterov": nesterov, "maximize": maximize}, **remedy)

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

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **remedy: Unpack[Remedy],
    ) -> None:
        checked(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
        given = {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered}
        super().__init__(params, {**given, "weight_decay": weight_decay, "maximize": maximize}, **remedy)

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

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **remedy: Unpack[Remedy],
    ) -> None:
        checked(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        checked(initial_accumulator_value=initial_accumulator_value)
        given = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**given, "initial_accumulator_value": initial_accumulator_value}, **remedy)

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
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **remedy: Unpack[Remedy],
    ) -> None:
        checked(lr=lr, weight_decay=weight_decay)
        checked_betas(betas)
        super().__init__(
            params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}, **remedy
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
