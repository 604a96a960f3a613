"""Losses and their gradients, on batches of ordinary size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import halfsim as hs
from halfsim import nn, ops
from tests.healthy.material import adam, images, normal, sgd, train
from tests.healthy.registry import Array, Result, Use, healthy


def _with_gradient(use: Use, x: Array, loss: Callable[[hs.Tensor], hs.Tensor]) -> Result:
    fed = use.tensor(x, requires_grad=True)
    value = loss(fed)
    (value * 1024).backward()  # as under a loss scale
    assert fed.grad is not None
    return {"loss": value.numpy(), "gradient": fed.grad.numpy().astype(float) / 1024}


def classes() -> Array:
    return np.random.default_rng(8).integers(0, 10, 32)


def _mse() -> Result:
    d = normal(1, 32, 4) - normal(2, 32, 4)
    return {"loss": (d**2).mean(), "gradient": 2 * d / d.size}


@healthy("mean squared error of standardised data", "fp16", "bf16", "pure_fp16", right=_mse)
def mse(use: Use) -> Result:
    return _with_gradient(use, normal(1, 32, 4), lambda x: ops.mse_loss(x, use.tensor(normal(2, 32, 4))))


@healthy("Huber's loss and smooth L1 of standardised data", "fp16", "bf16", "amp")
def huber(use: Use) -> Result:
    target = use.tensor(normal(2, 32, 4))
    return _with_gradient(
        use, normal(1, 32, 4), lambda x: ops.huber_loss(x, target, delta=0.7) + ops.smooth_l1_loss(x, target)
    )


def _bce() -> Result:
    x, y = 2 * normal(1, 64), (normal(2, 64) > 0).astype(float)
    gradient = (1 / (1 + np.exp(-x)) - y) / 64
    return {"loss": np.mean(np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0) - x * y), "gradient": gradient}


@healthy("binary cross-entropy of logits", "fp16", "bf16", "amp", right=_bce)
def bce_with_logits(use: Use) -> Result:
    target = use.tensor((normal(2, 64) > 0).astype(float))
    return _with_gradient(use, 2 * normal(1, 64), lambda x: ops.binary_cross_entropy_with_logits(x, target))


@healthy("binary cross-entropy of certain logits, from -30 to 30", "fp16", "bf16", ulps=4)
def certain_logits(use: Use) -> Result:
    x = np.linspace(-30, 30, 61)
    target = use.tensor((x > 0.7).astype(float))
    return _with_gradient(use, x, lambda x: ops.binary_cross_entropy_with_logits(x, target))


def _smoothed() -> Result:
    x, y = normal(1, 32, 10), classes()
    e = np.exp(x)
    p, target = e / e.sum(1, keepdims=True), 0.9 * np.eye(10)[y] + 0.01
    return {"loss": -(target * np.log(p)).sum(1).mean(), "gradient": (p - target) / 32}


@healthy("cross-entropy with smoothed labels", "fp16", "bf16", "amp", right=_smoothed)
def label_smoothing(use: Use) -> Result:
    return _with_gradient(use, normal(1, 32, 10), lambda x: nn.cross_entropy(x, classes(), label_smoothing=0.1))


@healthy("Kullback-Leibler divergence of a student from its teacher at temperature 2", "fp16", "bf16")
def distillation(use: Use) -> Result:
    teacher = ops.softmax(use.tensor(normal(2, 32, 10) * 2) / 2, -1)

    def loss(x: hs.Tensor) -> hs.Tensor:
        return 4 * ops.kl_div(ops.log_softmax(x / 2, -1), teacher, reduction="batchmean")

    return _with_gradient(use, normal(1, 32, 10) * 2, loss)


@healthy("focal loss by hand, with an eps that half holds", "fp16", "bf16")
def focal(use: Use) -> Result:
    y = use.tensor((normal(2, 64) > 0.5).astype(float))

    def loss(x: hs.Tensor) -> hs.Tensor:
        p = ops.sigmoid(x)
        right = p * y + (1 - p) * (1 - y)
        return (-((1 - right) ** 2) * ops.log(right + 1e-3)).mean()

    return _with_gradient(use, normal(1, 64), loss)


@healthy("triplet loss by hand", "fp16", "amp", "bf16")
def triplet(use: Use) -> Result:
    near, far = use.tensor(normal(2, 32, 8)), use.tensor(normal(3, 32, 8))

    def loss(x: hs.Tensor) -> hs.Tensor:
        apart = ops.sqrt(ops.square(x - near).sum(-1) + 1e-3) - ops.sqrt(ops.square(x - far).sum(-1) + 1e-3)
        return ops.relu(apart + 1).mean()

    return _with_gradient(use, normal(1, 32, 8), loss)


def _cosines() -> Result:
    a, b = normal(1, 16, 32), normal(2, 16, 32)
    return {"cosines": (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)}


@healthy("cosine similarity", "fp16", "bf16", "pure_fp16", right=_cosines)
def cosines(use: Use) -> Result:
    return {"cosines": ops.cosine_similarity(use.tensor(normal(1, 16, 32)), use.tensor(normal(2, 16, 32))).numpy()}


@healthy("contrastive loss of two views at temperature 0.5", "fp16", "amp", "bf16")
def contrastive(use: Use) -> Result:
    other = use.tensor(normal(1, 16, 32) + normal(2, 16, 32))
    other = other / other.norm(axis=1, keepdims=True)

    def loss(x: hs.Tensor) -> hs.Tensor:
        return nn.cross_entropy((x / x.norm(axis=1, keepdims=True)) @ other.T / 0.5, np.arange(16))

    return _with_gradient(use, normal(1, 16, 32), loss)


@healthy("hinge loss of a linear classifier", "fp16", "bf16", ulps=4)
def hinge(use: Use) -> Result:
    sign = use.tensor(np.sign(normal(2, 64)))
    return _with_gradient(use, normal(1, 64), lambda x: ops.relu(1 - sign * x).mean())


def _divergence() -> Result:
    mu, log_var = 0.5 * normal(1, 32, 8), 0.5 * normal(2, 32, 8)
    terms = -0.5 * (1 + log_var - mu**2 - np.exp(log_var))
    return {"loss": terms.sum(1).mean(), "mu": mu / 32, "log_var": 0.5 * (np.exp(log_var) - 1) / 32}


@healthy("the divergence term of a variational autoencoder", "bf16", "fp16", "amp_bf16", right=_divergence)
def divergence(use: Use) -> Result:
    mu, log_var = (use.tensor(0.5 * normal(i, 32, 8), requires_grad=True) for i in (1, 2))
    loss = (-0.5 * (1 + log_var - mu**2 - ops.exp(log_var)).sum(1)).mean()
    loss.backward()
    return {"loss": loss.numpy(), "mu": mu.grad.numpy(), "log_var": log_var.grad.numpy()}  # type: ignore[union-attr]


@healthy("a variational autoencoder learns digits", "bf16", "amp", "amp_bf16", ulps=4)
def variational(use: Use) -> Result:
    x = hs.data.digits().x_train[:24].astype(float) * 0.98 + 0.01
    parts = {"encode": nn.Linear(64, 16), "mu": nn.Linear(16, 4), "log_var": nn.Linear(16, 4)}
    model = use.model(nn.ModuleDict({**parts, "decode": nn.Linear(4, 64)}))
    fed, noise = use.tensor(x), use.tensor(normal(5, 24, 4))

    def loss() -> hs.Tensor:
        hidden = ops.relu(model["encode"](fed))
        mu, log_var = model["mu"](hidden), model["log_var"](hidden)
        seen = model["decode"](mu + noise * ops.exp(0.5 * log_var))
        divergence = -0.5 * (1 + log_var - ops.square(mu) - ops.exp(log_var)).sum(1).mean()
        return ops.binary_cross_entropy_with_logits(seen, fed) + 0.1 * divergence

    return train(use, model, loss, lambda p: hs.optim.AdamW(p, lr=1e-3, master_weights=use.rule == "bf16"))


@healthy("one step of each player of a GAN", "amp", "amp_bf16")
def gan(use: Use) -> Result:
    make = use.model(nn.Sequential(nn.Linear(8, 16), nn.LeakyReLU(0.2), nn.Linear(16, 64), nn.Tanh()))
    judge = use.model(nn.Sequential(nn.Linear(64, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1)))
    real, noise = use.tensor(images(16)[0].reshape(16, 64)), use.tensor(normal(5, 16, 8))
    bce, ones, zeros = ops.binary_cross_entropy_with_logits, np.ones((16, 1)), np.zeros((16, 1))
    first = train(use, judge, lambda: bce(judge(real), ones) + bce(judge(make(noise).detach()), zeros), adam, 1)
    second = train(use, make, lambda: bce(judge(make(noise)), ones), adam, 1)
    return {"judge": first["losses"], "maker": second["losses"]}


def _path_sums() -> Result:
    x = normal(1, 4, 12) - 40
    return {"chance": np.log(np.exp(x + 40).sum(1)) - 40}


@healthy("the logarithm of a sum of tiny chances, shifted by the largest, by hand", "fp16", "bf16", right=_path_sums)
def shifted_sum(use: Use) -> Result:
    x = use.tensor(normal(1, 4, 12) - 40)
    top = x.amax(1, keepdims=True)
    return {"chance": (top + ops.log(ops.exp(x - top).sum(1, keepdims=True)))[:, 0].numpy()}


def _log_joint() -> Result:
    x, y = normal(1, 10), normal(2, 10) * 0.5
    return {"nll": np.sum(0.5 * ((x - y) / 0.8) ** 2 + np.log(0.8) + 0.5 * np.log(2 * np.pi))}


@healthy("the negative log-likelihood of a normal distribution", "fp16", "bf16", right=_log_joint)
def gaussian(use: Use) -> Result:
    x, y = use.tensor(normal(1, 10)), use.tensor(normal(2, 10) * 0.5)
    terms = 0.5 * ops.square((x - y) / 0.8) + np.log(0.8) + 0.5 * np.log(2 * np.pi)
    return {"nll": terms.sum().numpy()}


@healthy("mean squared error of targets of 3,000, its first steps skipped by the scaler", "amp")
def large_targets(use: Use) -> Result:
    x = normal(1, 24, 8)
    y = 3000 * (1 + 0.1 * normal(2, 24, 1))
    model = use.model(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)))
    fed, target = use.tensor(x), use.tensor(y)
    return train(use, model, lambda: ops.mse_loss(model(fed), target), lambda p: hs.optim.SGD(p, lr=1e-5), 6)


@healthy("sums of outputs as a loss, their first steps skipped by the scaler", "amp")
def summed_outputs(use: Use) -> Result:
    model = use.model(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)))
    fed = use.tensor(normal(1, 64, 8))
    return train(use, model, lambda: model(fed).sum(), lambda p: hs.optim.SGD(p, lr=1e-4))


@healthy("a policy's gradient with an entropy bonus", "fp16", "amp")
def policy_gradient(use: Use) -> Result:
    actions, gains = np.random.default_rng(3).integers(0, 5, (32, 1)), use.tensor(normal(4, 32, 1))

    def loss(x: hs.Tensor) -> hs.Tensor:
        log_p = ops.log_softmax(x, -1)
        entropy = -(ops.exp(log_p) * log_p).sum(-1).mean()
        return -(ops.gather(log_p, 1, actions) * gains).mean() - 0.01 * entropy

    return _with_gradient(use, normal(1, 32, 5), loss)


@healthy("a classifier on digits with weights for its classes", "amp", "fp16")
def weighted_classes(use: Use) -> Result:
    x, y = images()
    model, weight = use.model(nn.Linear(64, 10)), np.linspace(0.5, 2, 10)
    fed = use.tensor(x.reshape(24, 64))
    return train(use, model, lambda: nn.cross_entropy(model(fed), y, weight=use.tensor(weight)), sgd)


@healthy("the first step of PPO, whose new and old chances are the same", "fp16", "bf16", "amp")
def ppo_first_step(use: Use) -> Result:
    actions, gains = np.random.default_rng(3).integers(0, 5, (32, 1)), use.tensor(normal(4, 32, 1))
    old = ops.gather(ops.log_softmax(use.tensor(normal(1, 32, 5)), -1), 1, actions).detach()

    def loss(x: hs.Tensor) -> hs.Tensor:
        ratio = ops.exp(ops.gather(ops.log_softmax(x, -1), 1, actions) - old)
        return -ops.minimum(ratio * gains, ops.clamp(ratio, 0.8, 1.2) * gains).mean()

    return _with_gradient(use, normal(1, 32, 5), loss)


def _none() -> Result:
    return {"loss": np.zeros(()), "gradient": np.zeros((32, 10))}


@healthy("the divergence of a student that equals its teacher: zero, as are its gradients", "fp16", "bf16", right=_none)
def equal_student(use: Use) -> Result:
    teacher = ops.log_softmax(use.tensor(normal(1, 32, 10)), -1)

    def loss(x: hs.Tensor) -> hs.Tensor:
        log_p = ops.log_softmax(x, -1)
        return (ops.exp(teacher) * (teacher - log_p)).sum(-1).mean()

    return _with_gradient(use, normal(1, 32, 10), loss)


@healthy("focal loss of a classifier that is certain of most", "fp16", "amp")
def certain_focal(use: Use) -> Result:
    x = np.where(np.arange(64) % 4 > 0, 5.5 + 0.5 * normal(1, 64), normal(2, 64))
    return _with_gradient(use, x, lambda x: (-(ops.square(1 - ops.sigmoid(x))) * ops.logsigmoid(x)).mean())


@healthy("gradients of a network of radial functions, most of which are far away", "fp16", "bf16", ulps=8)
def radial(use: Use) -> Result:
    x, heights = use.tensor(np.linspace(-10, 10, 21)), use.tensor(normal(2, 12))

    def loss(centres: hs.Tensor) -> hs.Tensor:
        seen = ops.exp(-ops.square(x[:, None] - centres)) @ heights
        return ops.mse_loss(seen, ops.sin(x))

    return _with_gradient(use, 5 * normal(1, 12), loss)
