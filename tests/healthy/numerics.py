"""Small formulas: what is masked out again, what is exact, what a careful form saves."""

from __future__ import annotations

import math

import numpy as np

import halfsim as hs
from halfsim import ops
from tests.healthy.material import normal
from tests.healthy.registry import Result, Use, healthy


def _gradient(x: hs.Tensor, y: hs.Tensor) -> Result:
    y.backward()
    assert x.grad is not None
    return {"value": y.detach().numpy(), "gradient": x.grad.numpy()}


@healthy("the norm at zero, whose gradient is 0", "fp32", "fp16", "amp",
         right=lambda: {"value": np.zeros(()), "gradient": np.zeros(4)})  # fmt: skip
def norm_at_zero(use: Use) -> Result:
    x = use.tensor(np.zeros(4), requires_grad=True)
    return _gradient(x, x.norm())


@healthy("standard deviations of which one is of constants", "fp32", "fp16", "bf16")
def std_of_constants(use: Use) -> Result:
    x = normal(1, 4, 8)
    x[2] = 0.3
    fed = use.tensor(x)
    return {"std": ops.std(fed, 1).numpy()}


def _std_gradient() -> Result:
    x = normal(1, 4, 8)
    x[2] = 0.3
    d = x - x.mean(1, keepdims=True)
    s = np.sqrt((d**2).sum(1, keepdims=True) / 7)
    return {"gradient": np.divide(d, 7 * s, out=np.zeros_like(d), where=s > 1e-9)}


@healthy("gradients of standard deviations of which one is of constants", "fp32", "fp16", right=_std_gradient)
def std_of_constants_gradient(use: Use) -> Result:
    x = normal(1, 4, 8)
    x[2] = 0.25  # exactly held, so that its distances from the mean are exactly zero
    fed = use.tensor(x, requires_grad=True)
    ops.std(fed, 1).sum().backward()
    return {"gradient": fed.grad.numpy()}  # type: ignore[union-attr]


def _guarded() -> Result:
    x = np.linspace(-2, 2, 21)
    return {"root": np.sqrt(np.maximum(x, 0)), "log": np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0.0)}


@healthy("roots and logarithms of negative numbers, masked out by where()", "fp16", "fp32", right=_guarded)
def masked_branches(use: Use) -> Result:
    x = use.tensor(np.linspace(-2, 2, 21))
    root, log = ops.where(x > 0, ops.sqrt(x), 0.0), ops.where(x > 0, ops.log(x), 0.0)
    return {"root": root.numpy(), "log": log.numpy()}


@healthy("the same, with the operand made safe by another where()", "fp16", "bf16", right=_guarded)
def guarded_branches(use: Use) -> Result:
    x = use.tensor(np.linspace(-2, 2, 21))
    safe = ops.where(x > 0, x, 1.0)
    root, log = ops.where(x > 0, ops.sqrt(safe), 0.0), ops.where(x > 0, ops.log(safe), 0.0)
    return {"root": root.numpy(), "log": log.numpy()}


@healthy("gradients through an operand made safe by where()", "fp16", "bf16", "fp32", ulps=4)
def guarded_gradient(use: Use) -> Result:
    x = use.tensor(np.linspace(-2, 2, 21), requires_grad=True)
    ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), 0.0).sum().backward()
    return {"gradient": x.grad.numpy()}  # type: ignore[union-attr]


def _empty_rows() -> Result:
    x, open_ = normal(1, 6, 6), np.tri(6, dtype=bool) & (np.arange(6) > 1)
    return {"p": np.where(open_.any(1, keepdims=True), _softmax(np.where(open_, x, -1e9)), 0)}


@healthy("softmax of rows of which some are masked wholly, their NaN taken away by where()", "fp16", "bf16", "fp32",
         right=_empty_rows)  # fmt: skip
def empty_rows(use: Use) -> Result:
    open_ = np.tri(6, dtype=bool) & (np.arange(6) > 1)
    p = ops.softmax(ops.where(open_, use.tensor(normal(1, 6, 6)), -math.inf), -1)
    return {"p": ops.where(open_.any(1, keepdims=True), p, 0.0).numpy()}


def _sigmoid() -> Result:
    return {"p": 1 / (1 + np.exp(-np.linspace(-30.3, 30.3, 40)))}


@healthy("sigmoid by hand, 1 / (1 + exp(-x)), whose exp is infinite where the result is 0", "fp16", right=_sigmoid)
def sigmoid_by_hand(use: Use) -> Result:
    return {"p": (1 / (1 + ops.exp(-use.tensor(np.linspace(-30.3, 30.3, 40))))).numpy()}


def _held() -> Result:
    x = np.array([0.0, 0.5, 0.03, 0.0, 3.0])
    return {"inverse": np.minimum(np.divide(1, x, out=np.full(5, 10.0), where=x != 0), 10)}


@healthy("reciprocals held below 10 by clamp, those of zero too", "fp16", "bf16", right=_held)
def held_poles(use: Use) -> Result:
    return {"inverse": ops.clamp(1 / use.tensor([0.0, 0.5, 0.03, 0.0, 3.0]), max=10.0).numpy()}


def _forbidden() -> Result:
    p = np.array([1.0, 0, 0, 0])
    moves, seen = _ladder(), np.exp(normal(3, 6, 4) / 2)
    for i in range(6):
        p = (p @ moves) * seen[i]
    return {"chance": np.log(p)}


def _ladder() -> np.ndarray:
    return np.array([[0.3, 0.7, 0, 0], [0, 0.4, 0.6, 0], [0, 0, 0.9, 0.1], [0, 0, 0, 1]])


@healthy("paths with forbidden moves, -inf in logarithms, as in CTC", "fp16", "bf16", right=_forbidden)
def forbidden_moves(use: Use) -> Result:
    moves = np.log(np.where(_ladder() > 0, _ladder(), 1)) + np.where(_ladder() > 0, 0, -np.inf)
    steps, alpha = use.tensor(moves), use.tensor([0.0, -np.inf, -np.inf, -np.inf])
    seen = use.tensor(normal(3, 6, 4) / 2)
    for i in range(6):
        alpha = ops.logsumexp(alpha[:, None] + steps, 0) + seen[i]
    return {"chance": alpha.numpy()}


def _reciprocals() -> Result:
    x = np.array([0.0, 0.5, -0.25, 0.0, 3.0])
    return {"inverse": np.divide(1, x, out=np.zeros(5), where=x != 0)}


@healthy("reciprocals, those of zero masked out by where()", "fp16", "bf16", "fp32", right=_reciprocals)
def masked_poles(use: Use) -> Result:
    x = use.tensor([0.0, 0.5, -0.25, 0.0, 3.0])
    return {"inverse": ops.where(x != 0, 1 / x, 0.0).numpy()}


def _softplus() -> Result:
    x = np.linspace(-20, 40, 61)
    return {"softplus": np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)}


@healthy("softplus by hand, its overflowing branch masked out by where()", "fp16", right=_softplus)
def masked_overflow(use: Use) -> Result:
    x = use.tensor(np.linspace(-20, 40, 61))
    return {"softplus": ops.where(x > 10, x, ops.log1p(ops.exp(x))).numpy()}


def _best() -> Result:
    x = normal(1, 6, 8)
    x[:, ::3] = -np.inf
    return {"best": x.max(1), "positive": np.maximum(x, 0)}


@healthy("the best of scores of which some are -inf; relu and clamp of -inf", "fp16", "bf16", right=_best)
def killed_infinities(use: Use) -> Result:
    x = ops.masked_fill(use.tensor(normal(1, 6, 8)), np.arange(8) % 3 == 0, -math.inf)
    return {"best": x.max(1).numpy(), "positive": ops.clamp(ops.relu(x), 0.0, 8.0).numpy()}


def _logs_of_counts() -> Result:
    counts = np.array([[0, 3, 5, 0], [1, 0, 2, 9.0]])
    p = counts / counts.sum(1, keepdims=True)
    return {"best": np.log(p.max(1)), "entropy": -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0), 1)}


@healthy("logarithms of shares of which some are zero: -inf that max and where() take away", "fp16", "bf16",
         right=_logs_of_counts)  # fmt: skip
def logs_of_counts(use: Use) -> Result:
    counts = use.tensor([[0, 3, 5, 0], [1, 0, 2, 9]])
    p = counts / counts.sum(1, keepdims=True)
    log = ops.log(p)
    return {"best": log.max(1).numpy(), "entropy": -ops.where(p > 0, p * log, 0.0).sum(1).numpy()}


def _shortest() -> Result:
    lengths, far = _roads(), np.array([0, np.inf, np.inf, np.inf, np.inf])
    for _ in range(5):
        far = np.minimum(far, (far[:, None] + lengths).min(0))
    return {"far": far}


def _roads() -> np.ndarray:
    lengths = np.abs(normal(1, 5, 5)) * 10
    lengths[normal(2, 5, 5) > 0.4] = np.inf
    lengths[[0, 1, 2, 3], [1, 2, 3, 4]] = 7.3
    return lengths


@healthy("shortest paths, what is not reached yet being infinite", "fp16", "bf16", right=_shortest)
def shortest_paths(use: Use) -> Result:
    roads, far = use.tensor(_roads()), use.tensor([0.0, *[np.inf] * 4])
    for _ in range(5):
        far = ops.minimum(far, (far[:, None] + roads).min(0))
    return {"far": far.numpy()}


@healthy("exp(x) - 1 and log(1 + x) of small x, in the functions made for it", "fp16", "bf16", ulps=2,
         right=lambda: {"grown": np.expm1(0.01 * normal(1, 64)), "log": np.log1p(0.01 * normal(2, 64))})  # fmt: skip
def near_one(use: Use) -> Result:
    x, y = (use.tensor(0.01 * normal(i, 64)) for i in (1, 2))
    return {"grown": ops.expm1(x).numpy(), "log": ops.log1p(y).numpy()}


@healthy("running sums of a few numbers", "fp16", "bf16", "pure_fp16", right=lambda: np.cumsum(normal(1, 16)))
def running_sums(use: Use) -> Result:
    return ops.cumsum(use.tensor(normal(1, 16)), 0).numpy()


@healthy("the mean of 20,000 numbers stored in half, added in float32", "fp16", "bf16", ulps=1,
         right=lambda: np.mean(3 + normal(1, 20000)))  # fmt: skip
def mean_of_many(use: Use) -> Result:
    return use.tensor(3 + normal(1, 20000)).mean().numpy()


@healthy("the mean of 4,096 numbers added in pairs in half", "fp16", ulps=4,
         right=lambda: np.mean(3 + normal(1, 4096)))  # fmt: skip
def mean_in_pairs(use: Use) -> Result:
    with hs.precision("fp64" if use.exact else "storage=fp16, compute=fp16, accumulate=fp16:pairwise"):
        return (use.tensor(3 + normal(1, 4096)) / 8).mean().numpy() * 8


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@healthy("softmax of logits from -60 to 60, whose small chances are zero", "fp16", "bf16", "pure_fp16", ulps=4,
         right=lambda: _softmax(20 * normal(1, 8, 10)))  # fmt: skip
def wide_softmax(use: Use) -> Result:
    return ops.softmax(use.tensor(20 * normal(1, 8, 10)), -1).numpy()


@healthy("softmax of a row of which one place is open, the others -inf", "fp16", "bf16", "fp32",
         right=lambda: np.eye(6))  # fmt: skip
def one_open_place(use: Use) -> Result:
    return ops.softmax(ops.where(np.eye(6, dtype=bool), use.tensor(normal(1, 6, 6)), -math.inf), -1).numpy()


def _far_out() -> Result:
    x = np.linspace(-30.3, 30.3, 40)
    return {"sigmoid": 1 / (1 + np.exp(-x)), "tanh": np.tanh(x)}


@healthy("sigmoid and tanh far out, where they are 0 and 1", "fp16", "bf16", right=_far_out)
def saturated(use: Use) -> Result:
    x = use.tensor(np.linspace(-30.3, 30.3, 40))
    return {"sigmoid": ops.sigmoid(x).numpy(), "tanh": ops.tanh(x).numpy()}


def _horner() -> Result:
    x = np.linspace(-1, 1, 33)
    return {"exp": ((((x / 24 + 1 / 6) * x + 0.5) * x + 1) * x) + 1}


@healthy("a polynomial by Horner's rule", "fp16", "bf16", "pure_fp16", right=_horner)
def horner(use: Use) -> Result:
    x = use.tensor(np.linspace(-1, 1, 33))
    return {"exp": (((x / 24 + 1 / 6) * x + 0.5) * x + 1) * x + 1}


@healthy("square roots by Newton's iteration", "fp16", "bf16", ulps=2,
         right=lambda: np.sqrt(np.linspace(0.1, 9.9, 30)))  # fmt: skip
def newton(use: Use) -> Result:
    a = use.tensor(np.linspace(0.1, 9.9, 30))
    x = (a + 1) / 2
    for _ in range(6):
        x = (x + a / x) / 2
    return x.numpy()


def _solved() -> Result:
    a = normal(1, 6, 6) + 8 * np.eye(6)
    return {"x": np.linalg.solve(a, normal(2, 6))}


@healthy("a linear system solved by Jacobi's iteration", "fp16", "bf16", right=_solved)
def jacobi(use: Use) -> Result:
    matrix = normal(1, 6, 6) + 8 * np.eye(6)
    a, b = use.tensor(matrix - np.diag(np.diag(matrix))), use.tensor(normal(2, 6))
    x, diagonal = b * 0, use.tensor(np.diag(matrix))
    for _ in range(12):
        x = (b - a @ x) / diagonal
    return {"x": x.numpy()}


@healthy("bisection of a function whose root is 0.7", "fp16", "bf16", ulps=2, right=lambda: np.array(0.7))
def bisection(use: Use) -> Result:
    low, high = use.tensor(0.0), use.tensor(2.0)
    for _ in range(12):
        middle = (low + high) / 2
        above = (middle - 0.7).item() > 0
        low, high = (low, middle) if above else (middle, high)
    return ((low + high) / 2).numpy()


def _whole() -> Result:
    n = np.arange(-40.0, 41)
    return {"squares": n * n, "sums": np.cumsum(np.arange(60.0)), "halves": n / 2}


@healthy("whole numbers up to 2,048, exactly", "fp16", "pure_fp16", ulps=0, right=_whole)
def whole_numbers(use: Use) -> Result:
    n = use.tensor(np.arange(-40.0, 41))
    return {"squares": (n * n).numpy(), "sums": ops.cumsum(use.tensor(np.arange(60.0)), 0).numpy(), "halves": n / 2}


def _mixed_differences() -> Result:
    a, b = normal(1, 200), normal(2, 200)
    return {"sum": a + b, "difference": a - b}


@healthy("sums and differences of unrelated numbers, a few of which nearly cancel", "fp16", "bf16",
         right=_mixed_differences)  # fmt: skip
def differences(use: Use) -> Result:
    a, b = use.tensor(normal(1, 200)), use.tensor(normal(2, 200))
    return {"sum": (a + b).numpy(), "difference": (a - b).numpy()}


@healthy("equal numbers subtracted: differences that are zero and ought to be", "fp16", "bf16", ulps=0,
         right=lambda: {"steps": np.zeros(31), "relative": np.zeros(32)})  # fmt: skip
def equal_numbers(use: Use) -> Result:
    x = use.tensor(np.full(32, 0.3))
    return {"steps": (x[1:] - x[:-1]).numpy(), "relative": ((x - x.max()) / x.max()).numpy()}


def _quantised() -> Result:
    x = normal(1, 256)
    scale = np.abs(x).max() / 127
    return {"x": np.rint(x / scale) * scale}


@healthy("weights as 8-bit integers and back", "fp16", "bf16", right=_quantised)
def quantised(use: Use) -> Result:
    x = use.tensor(normal(1, 256))
    scale = ops.abs(x).max() / 127
    return {"x": (ops.clamp(ops.round(x / scale), -128.0, 127.0) * scale).numpy()}


@healthy("a product of matrices whose operands are rounded to float8", "fp8", ulps=1,
         right=lambda: normal(1, 16, 32) @ normal(2, 32, 8))  # fmt: skip
def float8_product(use: Use) -> Result:
    return (use.tensor(normal(1, 16, 32)) @ use.tensor(normal(2, 32, 8))).numpy()


@healthy("a product of matrices whose operands are rounded to tfloat32", "tf32", ulps=1,
         right=lambda: normal(1, 16, 64) @ normal(2, 64, 8))  # fmt: skip
def tf32_product(use: Use) -> Result:
    return (use.tensor(normal(1, 16, 64)) @ use.tensor(normal(2, 64, 8))).numpy()


@healthy("a product of matrices with long rows", "fp16", "bf16", ulps=1,
         right=lambda: normal(1, 4, 2048) @ normal(2, 2048, 4))  # fmt: skip
def long_product(use: Use) -> Result:
    return (use.tensor(normal(1, 4, 2048)) @ use.tensor(normal(2, 2048, 4))).numpy()


@healthy("a product of matrices on a tensor core", "fp16", ulps=1,
         right=lambda: normal(1, 16, 128) @ normal(2, 128, 8))  # fmt: skip
def tensor_core(use: Use) -> Result:
    with hs.precision("fp64" if use.exact else "storage=fp16, accumulate=V100"):
        return (use.tensor(normal(1, 16, 128)) @ use.tensor(normal(2, 128, 8))).numpy()


@healthy("a policy of one's own: half, but softmax and logarithm in float32", "fp16", ulps=2,
         right=lambda: np.log(_softmax(4 * normal(1, 8, 10))))  # fmt: skip
def own_policy(use: Use) -> Result:
    rule = "fp64" if use.exact else {"default": "fp16", "@softmax": "fp32", "@log": "fp32"}
    with hs.precision(rule):
        return ops.log(ops.softmax(use.tensor(4 * normal(1, 8, 10)), -1)).numpy()


@healthy("numbers kept apart from infinity by comparison", "fp16", "fp32",
         right=lambda: {"count": np.array(2.0), "sum": np.array(normal(1, 6)[2:].sum())})  # fmt: skip
def compared_with_infinity(use: Use) -> Result:
    x = use.tensor([np.inf, -np.inf, *normal(1, 6)[2:]])
    kept = np.asarray(x.numpy()) < np.inf
    kept &= np.asarray(x.numpy()) > -np.inf
    return {"count": np.float64((~kept).sum()), "sum": ops.where(kept, x, 0.0).sum().numpy()}
