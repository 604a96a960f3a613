"""Habits of training: scales, clipping, accumulation, optimizers and their remedies, averages, loops by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halfsim as hs
from halfsim import nn, ops
from tests.healthy.material import Made, images, normal, sgd, train, weights
from tests.healthy.registry import Array, Result, Use, healthy


def regression(seed: int = 1) -> tuple[Array, Array]:
    """Standardised features (48, 6), and targets (48, 1) that depend on them, with noise."""
    x = normal(seed, 48, 6)
    y = np.tanh(x @ normal(9, 6, 1) / 2) + 0.1 * normal(seed + 1, 48, 1)
    return x, (y - y.mean()) / y.std()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))


def fit(use: Use, make: Made, steps: int = 8, loss: Callable[..., hs.Tensor] = ops.mse_loss) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    return train(use, model, lambda: loss(model(fed), target), make, steps)


def _optimizer(name: str, title: str, make: Made, *precisions: str, ulps: float = 4) -> None:
    def body(use: Use) -> Result:
        return fit(use, make)

    body.__name__, body.__module__ = name, __name__
    healthy(title, *precisions, ulps=ulps)(body)


opt: Any = hs.optim
_optimizer("sgd", "regression by SGD", lambda p: opt.SGD(p, lr=0.1), "amp", "fp16", "bf16")
_optimizer("nesterov", "regression by SGD with Nesterov's momentum and weight decay",
           lambda p: opt.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-2), "amp", "fp16")  # fmt: skip
_optimizer("adam", "regression by Adam", lambda p: opt.Adam(p, lr=1e-2), "amp", "amp_bf16", "bf16")
_optimizer("adamw", "regression by AdamW with weight decay", lambda p: opt.AdamW(p, lr=1e-2, weight_decay=0.1),
           "amp", "amp_bf16")  # fmt: skip
_optimizer("amsgrad", "regression by AMSGrad", lambda p: opt.Adam(p, lr=1e-2, amsgrad=True), "amp")
_optimizer("nadam", "regression by NAdam", lambda p: opt.NAdam(p, lr=1e-2), "amp")
_optimizer("rmsprop", "regression by RMSprop", lambda p: opt.RMSprop(p, lr=1e-2), "amp")
_optimizer("rmsprop_centered", "regression by centred RMSprop with momentum, eps 1e-3",
           lambda p: opt.RMSprop(p, lr=1e-3, eps=1e-3, centered=True, momentum=0.9), "amp")  # fmt: skip
_optimizer("adagrad", "regression by Adagrad", lambda p: opt.Adagrad(p, lr=0.05), "amp", "bf16")
_optimizer("lion", "regression by Lion, in whose steps every sign counts", lambda p: opt.Lion(p, lr=1e-3), "amp")
_optimizer("master", "regression with master weights, learning rate 1e-4",
           lambda p: opt.AdamW(p, lr=1e-4, master_weights=True), "fp16", "bf16")  # fmt: skip
_optimizer("master_sgd", "regression by SGD with master weights",
           lambda p: opt.SGD(p, lr=1e-3, momentum=0.9, master_weights=True), "fp16", "bf16")  # fmt: skip
_optimizer("kahan", "regression by SGD, its updates compensated (kahan=True)",
           lambda p: opt.SGD(p, lr=1e-3, momentum=0.9, kahan=True), "fp16", "bf16")  # fmt: skip
_optimizer("kahan_adam", "regression by Adam, its updates compensated (kahan=True)",
           lambda p: opt.Adam(p, lr=1e-3, betas=(0.9, 0.99), eps=1e-4, kahan=True), "bf16")  # fmt: skip
_optimizer("dithered", "regression by SGD with stochastic rounding",
           lambda p: opt.SGD(p, lr=0.05, rounding="stochastic"), "fp16", "bf16")  # fmt: skip


@healthy("steps clipped in the right order: unscale_, clip, step", "amp", "fp16", "bf16")
def clipped(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    before = weights(model)
    optimizer, norms = opt.SGD(model.parameters(), lr=0.05, momentum=0.9, master_weights=True), []
    scaler = hs.amp.GradScaler(init_scale=4096.0)
    for _ in range(6):
        optimizer.zero_grad()
        scaler.scale(ops.mse_loss(model(fed), target)).backward()
        scaler.unscale_(optimizer)
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
        scaler.step(optimizer)
        scaler.update()
    return {"norms": np.array(norms), "moved": weights(model, optimizer) - before}


@healthy("gradients of four batches accumulated, then one step", "amp", "fp16", "bf16")
def accumulated(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    before = weights(model)
    optimizer = opt.SGD(model.parameters(), lr=0.05, momentum=0.9, master_weights=True)
    scaler = hs.amp.GradScaler(init_scale=4096.0)
    for _ in range(3):
        optimizer.zero_grad()
        for i in range(0, 48, 12):
            scaler.scale(ops.mse_loss(model(fed[i : i + 12]), target[i : i + 12]) / 4).backward()
        scaler.step(optimizer)
        scaler.update()
    return {"moved": weights(model, optimizer) - before}


@healthy("the scaler's default scale of 65536, found too large, halved, and grown until it is too large again", "amp")
def growing_scale(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    before = weights(model)
    optimizer, scaler, taken = opt.SGD(model.parameters(), lr=1e-3), hs.amp.GradScaler(growth_interval=1), 0
    while taken < 8:
        optimizer.zero_grad()
        scaler.scale(ops.mse_loss(20 * model(fed), 20 * target)).backward()
        scaler.step(optimizer)
        scaler.update()
        taken += not scaler.history[-1].found_inf
    skipped = [i for i, record in enumerate(scaler.history) if record.found_inf]
    assert use.exact or skipped[0] == 0 < 10 <= skipped[-1], (
        "it is to be too large at first, and again when it has grown"
    )
    return {"moved": weights(model, optimizer) - before}


@healthy("a loss scale that stays as it is", "fp16", "amp")
def static_scale(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    before = weights(model)
    optimizer = opt.SGD(model.parameters(), lr=0.05, master_weights=True)
    for _ in range(6):
        optimizer.zero_grad()
        (ops.mse_loss(model(fed), target) * 128).backward()
        for p in model.parameters():
            p.grad = p.grad.to("fp32") / 128 if use.rule == "amp" else p.grad / 128
        optimizer.step()
    return {"moved": weights(model, optimizer) - before}


@healthy("an average of the weights in float32", "bf16", "fp16")
def averaged(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    optimizer = opt.SGD(model.parameters(), lr=0.05, momentum=0.9)
    ema = hs.optim.EMA(model, decay=0.9, format="fp64" if use.exact else "fp32")
    for _ in range(8):
        optimizer.zero_grad()
        ops.mse_loss(model(fed), target).backward()
        optimizer.step()
        ema.update()
    return {"averages": np.concatenate([np.ravel(a.numpy()) for a in ema.averages])}


@healthy("a learning rate that warms up and falls along a cosine", "amp", "bf16")
def scheduled(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    before = weights(model)
    optimizer = opt.SGD(model.parameters(), lr=0.1, momentum=0.9)
    rates = opt.lr_scheduler
    warm, fall = rates.LinearLR(optimizer, 0.1, total_iters=3), rates.CosineAnnealingLR(optimizer, 6, eta_min=0.02)
    schedule = rates.SequentialLR(optimizer, [warm, fall], [3])
    for _ in range(9):
        optimizer.zero_grad()
        ops.mse_loss(model(fed), target).backward()
        optimizer.step()
        schedule.step()
    return {"moved": weights(model, optimizer) - before}


@healthy("dropout, in training and out of it", "fp16", "amp", "bf16")
def dropout(use: Use) -> Result:
    x, y = images()
    model = use.model(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)))
    fed = use.tensor(x)
    found = dict(train(use, model, lambda: nn.cross_entropy(model(fed), y), sgd, 4))
    with hs.no_grad():
        return {"logits": model.eval()(fed).numpy(), "losses": found["losses"]}


@healthy("penalties of weights by hand: the norms of all parameters, one of them zero", "amp", "fp16", "fp32")
def norms_with_zero_bias(use: Use) -> Result:
    x, y = regression()
    model, fed, target = network(), use.tensor(x), use.tensor(y)
    for p in model.parameters():
        if p.ndim == 1:
            nn.init.zeros_(p)
    model = use.model(model)

    def loss() -> hs.Tensor:
        return ops.mse_loss(model(fed), target) + 0.01 * sum(p.norm() for p in model.parameters())

    return train(use, model, loss, sgd)


@healthy("an L1 penalty of weights", "amp", "fp16")
def lasso(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(nn.Linear(6, 1)), use.tensor(x), use.tensor(y)
    return train(use, model, lambda: ops.mse_loss(model(fed), target) + 0.02 * ops.abs(model.weight).sum(), sgd)


def _by_hand() -> Result:
    x, y = regression()
    w, steps = np.zeros((6, 1)), []
    for _ in range(10):
        steps.append(np.mean((x @ w - y) ** 2))
        w = w - 0.1 * 2 * x.T @ (x @ w - y) / 48
    return {"losses": np.array(steps), "w": w}


@healthy("gradient descent by hand under no_grad, w -= lr * grad", "fp16", "bf16", "fp32", right=_by_hand)
def update_by_hand(use: Use) -> Result:
    x, y = (use.tensor(a) for a in regression())
    w, losses = use.tensor(np.zeros((6, 1)), requires_grad=True), []
    for _ in range(10):
        loss = ops.square(x @ w - y).mean()
        loss.backward()
        losses.append(loss.item())
        assert w.grad is not None
        with hs.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
    return {"losses": np.array(losses), "w": w.detach().numpy()}


@healthy("the same, w = w - lr * grad", "fp16", "bf16", right=_by_hand)
def new_weights_by_hand(use: Use) -> Result:
    x, y = (use.tensor(a) for a in regression())
    w, losses = use.tensor(np.zeros((6, 1)), requires_grad=True), []
    for _ in range(10):
        loss = ops.square(x @ w - y).mean()
        loss.backward()
        losses.append(loss.item())
        assert w.grad is not None
        with hs.no_grad():
            w = (w - 0.1 * w.grad).detach().requires_grad_()
    return {"losses": np.array(losses), "w": w.detach().numpy()}


class SignDescent(hs.optim.Optimizer):
    """An optimizer of one's own, as one writes them for PyTorch: its own `step`, over the groups."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:
        with hs.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        state = self.state.setdefault(p, {"mean": p.grad * 0})
                        state["mean"] = 0.5 * state["mean"] + 0.5 * p.grad
                        p -= group["lr"] * state["mean"]


@healthy("an optimizer class of one's own, with its own step()", "amp", "fp16", "bf16")
def own_optimizer(use: Use) -> Result:
    return fit(use, lambda p: SignDescent(p, 0.1))


@healthy("a line fitted until nothing is left to learn", "fp16", "bf16", "amp", ulps=2)
def converged(use: Use) -> Result:
    x = normal(1, 32, 2)
    true = np.array([[1.5], [-0.75]])
    model, fed, target = use.model(nn.Linear(2, 1, bias=False)), use.tensor(x), use.tensor(x @ true)
    optimizer = opt.SGD(model.parameters(), lr=0.25)
    for _ in range(30):
        optimizer.zero_grad()
        ops.mse_loss(model(fed), target).backward()
        optimizer.step()
    return {"weights": weights(model)}


@healthy("gradients of two tasks weighed against each other", "amp", "bf16")
def two_tasks(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(nn.Linear(6, 2)), use.tensor(x), use.tensor(y)

    def loss() -> hs.Tensor:
        out = model(fed)
        return ops.mse_loss(out[:, :1], target) + 0.3 * ops.binary_cross_entropy_with_logits(out[:, 1:], y > 0)

    return train(use, model, loss, sgd)


@healthy("a learning rate that warms up from zero", "bf16", "fp16", "amp")
def warm_up(use: Use) -> Result:
    x, y = regression()
    model, fed, target = use.model(network()), use.tensor(x), use.tensor(y)
    before = weights(model)
    optimizer = opt.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = opt.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step / 6) ** 3))
    for _ in range(12):
        optimizer.zero_grad()
        ops.mse_loss(model(fed), target).backward()
        optimizer.step()
        schedule.step()
    return {"moved": weights(model, optimizer) - before}


@healthy("fine-tuning of what is learnt already, at no more than its noise", "amp")
def learnt_already(use: Use) -> Result:
    x = normal(1, 32, 4)
    model = nn.Linear(4, 3)
    y = np.argmax(x[:, :3], 1)
    model.load_state_dict({"weight": 40 * np.eye(3, 4), "bias": np.zeros(3)})
    model, fed = use.model(model), use.tensor(x)
    return train(use, model, lambda: nn.cross_entropy(model(fed), y), sgd, 4)
