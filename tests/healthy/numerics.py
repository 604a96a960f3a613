"""Small formulas: what is exact, and what a careful form saves."""

from __future__ import annotations

import math

import numpy as np

import halfsim as hs
from halfsim import ops
from tests.healthy.material import normal, softmax
from tests.healthy.registry import Result, Use, healthy


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


@healthy("softmax of logits from -60 to 60, whose small chances are zero", "fp16", "bf16", "pure_fp16", ulps=4,
         right=lambda: softmax(20 * normal(1, 8, 10)))  # fmt: skip
def widesoftmax(use: Use) -> Result:
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
         right=lambda: np.log(softmax(4 * normal(1, 8, 10))))  # fmt: skip
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


@healthy("layer normalisation with BERT's eps of 1e-12", "fp16", "pure_fp16", "bf16")
def tiny_eps(use: Use) -> Result:
    return ops.layer_norm(use.tensor(normal(1, 8, 16)), (16,), eps=1e-12).numpy()


def _unit() -> Result:
    x = normal(1, 16, 8)
    return {"x": x / np.linalg.norm(x, axis=1, keepdims=True)}


@healthy("vectors normalised with the eps of 1e-12 that is the default", "fp16", "pure_fp16", "bf16", right=_unit)
def unit_vectors(use: Use) -> Result:
    return {"x": ops.normalize(use.tensor(normal(1, 16, 8))).numpy()}


def _shares() -> Result:
    x = np.abs(normal(1, 8, 6)) + 0.1
    p = x / x.sum(1, keepdims=True)
    return {"p": p, "log": np.log(p)}


@healthy("shares and their logarithms with eps of 1e-8 that were not needed", "fp16", "pure_fp16", right=_shares)
def idle_eps(use: Use) -> Result:
    x = use.tensor(np.abs(normal(1, 8, 6)) + 0.1)
    p = x / (x.sum(1, keepdims=True) + 1e-8)
    return {"p": p.numpy(), "log": ops.log(ops.clamp(p, 1e-8)).numpy()}


def _compensated() -> Result:
    return {"sum": np.sum(0.1 + np.abs(normal(1, 100, 8)), 0)}


@healthy("Kahan's compensated sum by hand, one number after another", "fp16", "pure_fp16", "bf16", ulps=1,
         right=_compensated)  # fmt: skip
def compensated_sum(use: Use) -> Result:
    x = use.tensor(0.1 + np.abs(normal(1, 100, 8)))
    total, lost = x[0], x[0] * 0
    for i in range(1, 100):
        y = x[i] - lost
        more = total + y
        lost, total = (more - total) - y, more
    return {"sum": total.numpy()}


@healthy("a product of matrices, each split into a half and what that left over", "fp16", ulps=0.01,
         right=lambda: normal(1, 12, 16) @ normal(2, 16, 6))  # fmt: skip
def split_in_two(use: Use) -> Result:
    wide = "fp64" if use.exact else "fp32"
    with hs.precision(wide):
        (a, a_rest), (b, b_rest) = (_halves(hs.tensor(normal(*n), wide)) for n in ((1, 12, 16), (2, 16, 6)))
        return (a @ b + (a @ b_rest + a_rest @ b)).numpy()


def _halves(x: hs.Tensor) -> tuple[hs.Tensor, hs.Tensor]:
    """The nearest half, and the half nearest to the rest, kept in the format of ``x`` as tensor cores add them."""
    top = x.to("fp16").to(x.format)
    return top, (x - top).to("fp16").to(x.format)


def _faded() -> Result:
    return {"signal": np.exp(-np.linspace(0, 30, 61)), "twice": 2 * np.exp(-np.linspace(0, 30, 61))}


@healthy("a signal that fades to nothing", "fp16", "pure_fp16", right=_faded)
def faded(use: Use) -> Result:
    y = ops.exp(-use.tensor(np.linspace(0, 30, 61)))
    return {"signal": y.numpy(), "twice": (y * 2).numpy()}


@healthy("300 increments of a third of an ulp, rounded at random", "fp16", ulps=16,
         right=lambda: np.full(64, 1 + 300 * 0.0003))  # fmt: skip
def random_rounding(use: Use) -> Result:
    with hs.precision("fp64" if use.exact else "storage=fp16, rounding=stochastic(seed=1)"):
        x = use.tensor(np.ones(64))
        for _ in range(300):
            x = x + 0.0003
        return x.numpy()


def _alive() -> Result:
    board = (normal(3, 16, 16) > 0).astype(float)
    for _ in range(4):
        near = sum(np.roll(board, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) - board
        board = ((near == 3) | ((near == 2) & (board == 1))).astype(float)
    return {"board": board}


@healthy("the game of life by convolutions, exactly", "fp16", "bf16", "fp8", ulps=0, right=_alive)
def game_of_life(use: Use) -> Result:
    board = use.tensor((normal(3, 16, 16) > 0).astype(float))
    kernel = use.tensor([[[[1.0, 1, 1], [1, 0, 1], [1, 1, 1]]]])
    for _ in range(4):
        wide = ops.cat([board[-1:], board, board[:1]])
        wide = ops.cat([wide[:, -1:], wide, wide[:, :1]], 1)
        near = ops.conv2d(wide[None, None], kernel)[0, 0]
        board = ops.where((near == 3) | ((near == 2) & (board == 1)), use.tensor(1.0), 0.0)
    return {"board": board.numpy()}
