"""Statistics and classical learning, on samples of ordinary size."""

from __future__ import annotations

import numpy as np

from halfsim import ops
from tests.healthy.material import normal
from tests.healthy.registry import Array, Result, Use, healthy


def heights() -> Array:
    """Heights in centimetres, (200,)."""
    return 172 + 8 * normal(1, 200)


def clouds() -> Array:
    """Points around four centres, (80, 2)."""
    centres = np.array([[3.0, 0], [-3, 0.3], [0.2, 4], [-0.1, -4]])
    return np.repeat(centres, 20, 0) + 0.6 * normal(2, 80, 2)


def _moments() -> Result:
    x = heights()
    d = x - x.mean()
    return {"mean": x.mean(), "variance": x.var(), "standard": d / x.std()}


@healthy("mean, variance and standard scores of heights, the mean taken away first", "fp16", ulps=15, right=_moments)
def moments(use: Use) -> Result:
    x = use.tensor(heights())
    d = x - x.mean()
    variance = ops.square(d).mean()
    return {"mean": x.mean().numpy(), "variance": variance.numpy(), "standard": (d / ops.sqrt(variance)).numpy()}


def _columns() -> Result:
    x = normal(3, 64, 5) * np.array([1, 5, 0.2, 30, 2]) + np.array([0, 3, 1, -20, 7])
    return {"mean": x.mean(0), "std": x.std(0), "scores": (x - x.mean(0)) / x.std(0)}


@healthy("columns of a table standardised", "fp16", "bf16", "pure_fp16", right=_columns)
def columns(use: Use) -> Result:
    x = use.tensor(normal(3, 64, 5) * np.array([1, 5, 0.2, 30, 2]) + np.array([0, 3, 1, -20, 7]))
    mean, std = x.mean(0), ops.std(x, 0, correction=0)
    return {"mean": mean.numpy(), "std": std.numpy(), "scores": ((x - mean) / std).numpy()}


def _correlation() -> Result:
    a, b = normal(1, 100), 0.6 * normal(1, 100) + 0.8 * normal(2, 100)
    return {"r": np.corrcoef(a, b)[0, 1]}


@healthy("the correlation of two samples", "fp16", "bf16", right=_correlation)
def correlation(use: Use) -> Result:
    a, b = use.tensor(normal(1, 100)), use.tensor(0.6 * normal(1, 100) + 0.8 * normal(2, 100))
    a, b = a - a.mean(), b - b.mean()
    return {"r": ((a * b).mean() / ops.sqrt(ops.square(a).mean() * ops.square(b).mean())).numpy()}


def _covariance() -> Result:
    x = normal(1, 64, 4) @ normal(2, 4, 4)
    return {"covariance": np.cov(x.T)}


@healthy("a covariance matrix", "fp16", "bf16", right=_covariance)
def covariance(use: Use) -> Result:
    x = use.tensor(normal(1, 64, 4) @ normal(2, 4, 4))
    d = x - x.mean(0)
    return {"covariance": (d.T @ d / 63).numpy()}


def _means() -> Result:
    x, centres = clouds(), clouds()[[0, 20, 40, 60]]
    for _ in range(3):
        near = ((x[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack([x[near == k].mean(0) for k in range(4)])
    return {"centres": centres, "near": near}


@healthy("three rounds of k-means", "fp16", "bf16", right=_means)
def k_means(use: Use) -> Result:
    x, centres = use.tensor(clouds()), use.tensor(clouds()[[0, 20, 40, 60]])
    for _ in range(3):
        near = np.asarray(ops.argmin(ops.square(x[:, None] - centres).sum(-1), 1))
        centres = ops.stack([x[np.flatnonzero(near == k)].mean(0) for k in range(4)])
    return {"centres": centres.numpy(), "near": near}


def _component() -> Result:
    x = normal(1, 64, 6) * np.array([3, 1, 1, 0.5, 0.5, 0.2])
    x = x - x.mean(0)
    vector = np.linalg.svd(x)[2][0]
    return {"vector": vector * np.sign(vector[0])}


@healthy("the first principal component by power iteration", "fp16", "bf16", right=_component)
def principal_component(use: Use) -> Result:
    x = use.tensor(normal(1, 64, 6) * np.array([3, 1, 1, 0.5, 0.5, 0.2]))
    x = x - x.mean(0)
    v = use.tensor(np.ones(6) / np.sqrt(6))
    for _ in range(15):
        v = x.T @ (x @ v) / 64
        v = v / v.norm()
    return {"vector": (v * ops.sign(v[0])).numpy()}


def _softmax_regression() -> Result:
    x, y = clouds() / 4, np.repeat(np.eye(4), 20, 0)
    w = np.zeros((2, 4))
    for _ in range(12):
        e = np.exp(x @ w)
        w = w - 0.5 * x.T @ (e / e.sum(1, keepdims=True) - y) / 20
    return {"w": w}


@healthy("softmax regression by gradients written by hand", "fp16", "bf16", right=_softmax_regression)
def softmax_regression(use: Use) -> Result:
    x, y = use.tensor(clouds() / 4), use.tensor(np.repeat(np.eye(4), 20, 0))
    w = use.tensor(np.zeros((2, 4)))
    for _ in range(12):
        w = w - 0.5 * (x.T @ (ops.softmax(x @ w, -1) - y)) / 20
    return {"w": w.numpy()}


def _density() -> Result:
    x, at = normal(1, 60), np.linspace(-3, 3, 25)
    return {"density": np.exp(-0.5 * ((at[:, None] - x) / 0.4) ** 2).mean(1) / (0.4 * np.sqrt(2 * np.pi))}


@healthy("a kernel density estimate, most of whose terms are next to nothing", "fp16", "bf16", right=_density)
def kernel_density(use: Use) -> Result:
    x, at = use.tensor(normal(1, 60)), use.tensor(np.linspace(-3, 3, 25))
    terms = ops.exp(-0.5 * ops.square((at[:, None] - x) / 0.4))
    return {"density": (terms.mean(1) / (0.4 * np.sqrt(2 * np.pi))).numpy()}


def _smoothed() -> Result:
    x, level, levels = 20 + normal(1, 50).cumsum() * 0.3, 20.0, []
    for value in x:
        level = level + 0.25 * (value - level)
        levels.append(level)
    return {"levels": np.array(levels)}


@healthy("temperatures smoothed exponentially, a quarter at a time", "fp16", "bf16", right=_smoothed)
def smoothed(use: Use) -> Result:
    x, level, levels = use.tensor(20 + normal(1, 50).cumsum() * 0.3), use.tensor(20.0), []
    for i in range(50):
        level = level + 0.25 * (x[i] - level)
        levels.append(level.item())
    return {"levels": np.array(levels)}


def _running_mean() -> Result:
    return {"mean": np.mean(2 + normal(1, 40))}


@healthy("a running mean of 40 numbers, acc + (x - acc) / n", "fp16", "bf16", right=_running_mean)
def running_mean(use: Use) -> Result:
    x = use.tensor(2 + normal(1, 40))
    mean = x[0]
    for i in range(1, 40):
        mean = mean + (x[i] - mean) / (i + 1)
    return {"mean": mean.numpy()}


def _bayes() -> Result:
    x = normal(1, 8, 6) - 3
    joint = np.log([0.5, 0.3, 0.2])[:, None, None] - 0.5 * (x - np.array([-3, -2, -4])[:, None, None]) ** 2
    joint = joint.sum(-1)
    e = np.exp(joint - joint.max(0))
    return {"posterior": e / e.sum(0)}


@healthy("naive Bayes in logarithms", "fp16", "bf16", right=_bayes)
def naive_bayes(use: Use) -> Result:
    x, centres = use.tensor(normal(1, 8, 6) - 3), use.tensor(np.array([-3, -2, -4])[:, None, None])
    prior = use.tensor(np.log([0.5, 0.3, 0.2])[:, None, None])
    return {"posterior": ops.softmax((prior - 0.5 * ops.square(x - centres)).sum(-1), 0).numpy()}


def _neighbours() -> Result:
    x = clouds()
    return {"near": np.sqrt(((x[:20, None] - x[20:]) ** 2).sum(-1)).min(1)}


@healthy("distances to nearest neighbours in other clouds", "fp16", "bf16", right=_neighbours)
def neighbours(use: Use) -> Result:
    x = use.tensor(clouds())
    return {"near": ops.sqrt(ops.square(x[:20, None] - x[20:]).sum(-1)).amin(1).numpy()}


def _ranks() -> Result:
    m = np.where(normal(5, 6, 6) > 0, 1.0, 0.0) + np.roll(np.eye(6), 1, 1)
    m, r = m / m.sum(0), np.full(6, 1 / 6)
    for _ in range(20):
        r = 0.85 * m @ r + 0.15 / 6
    return {"rank": r}


@healthy("ranks of pages by PageRank, until they stand still", "fp16", "bf16", right=_ranks)
def page_rank(use: Use) -> Result:
    m = np.where(normal(5, 6, 6) > 0, 1.0, 0.0) + np.roll(np.eye(6), 1, 1)
    links, r = use.tensor(m / m.sum(0)), use.tensor(np.full(6, 1 / 6))
    for _ in range(20):
        r = 0.85 * (links @ r) + 0.15 / 6
    return {"rank": r.numpy()}


def _houses() -> Array:
    """Square feet and years, whole numbers, (40, 2)."""
    return np.rint(np.stack([2300 + 800 * normal(1, 40), 1975 + 20 * normal(2, 40)], -1))


@healthy("whole numbers past 2,048 as features: areas of houses, scaled", "fp16", "bf16",
         right=lambda: {"scaled": _houses()[:, 0] / 1000})  # fmt: skip
def whole_features(use: Use) -> Result:
    return {"scaled": (use.tensor(_houses()[:, 0]) / 1000).numpy()}
