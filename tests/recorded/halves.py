"""Functions that PyTorch and halfsim compute in half alike, bit for bit, and the operands at which they are compared.

Those of one operand are compared at every half, or at ordinary numbers where a shape is given; those of two at all
pairs of special numbers (both zeros, infinities, NaN, subnormal and largest numbers, kinks and their neighbours) and at
ordinary ones. Compared are the value and the gradients for a gradient of 1 and for one that takes every value.
``unlike`` says at how many operands halfsim differs on purpose, in float16 and in bfloat16, and ``why``; ``nan`` that
it differs at NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

FORMATS = ("float16", "bfloat16")
CODES = np.arange(65536, dtype=np.uint16)

_ACCURATE = "PyTorch's vectorised functions are less accurate (erf by a polynomial, exp within an ulp), or flush"
_BRANCHES = "a branch of PyTorch's vectorised CPU kernel: its scalar and CUDA kernels do as halfsim does"
_ADDED = "PyTorch's CPU kernels round a number that is added to half first, its CUDA kernels do not"
_SUMS = "PyTorch's CPU kernel keeps the sum of the exponentials, and its logarithm, in half, its CUDA kernel does not"
_BUFFER = "PyTorch's CPU kernel keeps exp(-abs(x)) in half for the gradient, its CUDA kernel forms it anew"
_GATE = "PyTorch's CPU kernel keeps the sigmoid in half for the gradient, its CUDA kernel forms it anew"
_QUOTIENT = "PyTorch's vectorised fmod is NaN where the quotient is too large for it; C's is exact"
_FIRST = "PyTorch's vectorised CPU kernel takes the other one of two zeros, and NaN for some NaN"
_ROOT = "PyTorch's CPU kernel for float16 is C's pow: 0 for -0 and inf for -inf, where the others take the root"


@dataclass(frozen=True)
class Case:
    """``place.name(x, [t,] *args, **options)``; ``place`` is "F" (functional) or "T" (torch, halfsim.ops)."""

    place: str
    name: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    operands: str = (
        "one"  # or "pairs", "signs" (a third, 1 or -1), "variances" (a third, not negative), "probabilities"
    )
    weights: tuple[str, ...] = ()  # options that are tensors of 0.3
    shape: tuple[int, ...] = ()  # of each of ``count`` operands, of ordinary numbers
    count: int = 1
    free: int = 9  # how many operands take a gradient
    unlike: tuple[int, int] = (0, 0)
    why: str = ""
    nan: bool = False

    @property
    def label(self) -> str:
        rest = ", ".join([*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.options.items()), *self.weights])
        return f"{self.name}({rest})"

    def call(self, library: Any, tensor: Callable[[float], Any]) -> Callable[..., Any]:
        """The function, of tensors; ``library`` is torch or halfsim, ``tensor`` makes a weight of one element."""
        functions = library.ops if library.__name__ == "halfsim" else library
        module = library.nn.functional if self.place == "F" else functions
        options = {**self.options, **{name: tensor(0.3) for name in self.weights}}
        if (self.operands != "one" and "loss" in self.name) or self.name.startswith(("kl_", "binary_")):
            options["reduction"] = "none"
        return lambda *x: getattr(module, self.name)(*x, *self.args, **options)


def _losses() -> list[Case]:
    pairs: dict[str, Any] = {"operands": "pairs"}
    logits = "binary_cross_entropy_with_logits"
    return [
        Case("F", "mse_loss", **pairs),
        Case("F", "l1_loss", **pairs),
        Case("F", "smooth_l1_loss", **pairs),
        Case("F", "smooth_l1_loss", (), {"beta": 0.3}, **pairs),
        Case("F", "huber_loss", **pairs),
        Case("F", "huber_loss", (), {"delta": 0.3}, **pairs),
        Case("F", "kl_div", **pairs),
        Case("F", "kl_div", (), {"log_target": True}, **pairs),
        Case("F", logits, **pairs),
        Case("F", logits, weights=("weight",), **pairs),
        Case("F", logits, weights=("pos_weight",), **pairs),
        Case("F", logits, weights=("weight", "pos_weight"), **pairs),
        Case("F", "binary_cross_entropy", operands="probabilities"),
        Case("F", "binary_cross_entropy", operands="probabilities", weights=("weight",)),
        *(Case("T", name, **pairs) for name in ("mul", "div", "maximum", "minimum", "pow")),
        Case("F", "soft_margin_loss", free=1, **pairs),
        Case("F", "hinge_embedding_loss", free=1, **pairs),
        Case("F", "hinge_embedding_loss", (0.3,), free=1, **pairs),
        Case("F", "margin_ranking_loss", operands="signs"),
        Case("F", "margin_ranking_loss", (0.3,), operands="signs", unlike=(245, 638), why=_ADDED),
        Case("F", "poisson_nll_loss", **pairs),
        Case("F", "poisson_nll_loss", (False,), unlike=(0, 26), why=_ADDED, **pairs),
        Case("F", "poisson_nll_loss", (True, True), **pairs),
        Case("F", "poisson_nll_loss", (False, True), unlike=(0, 26), why=_ADDED, **pairs),
        Case("F", "poisson_nll_loss", (True, True), {"eps": 0.1}, free=1, **pairs),
        Case("F", "gaussian_nll_loss", operands="variances"),
        Case("F", "gaussian_nll_loss", (), {"full": True, "eps": 0.1}, "variances", unlike=(582, 462), why=_ADDED),
    ]


def _activations() -> list[Case]:
    return [
        *(Case("F", name) for name in ("relu", "leaky_relu", "tanhshrink", "softsign", "tanh", "hardsigmoid")),
        *(Case("F", name, nan=True, why=_BRANCHES) for name in ("relu6", "selu", "hardtanh", "hardswish")),
        *(Case("F", name, nan=True, why=_BRANCHES) for name in ("elu", "celu", "hardshrink", "softshrink")),
        Case("F", "elu", (0.7,), nan=True, unlike=(0, 1), why=f"{_BRANCHES}; {_ACCURATE}"),
        Case("F", "celu", (0.7,), nan=True, why=_BRANCHES),
        Case("F", "leaky_relu", (0.1,)),
        Case("F", "hardtanh", (-0.1, 0.3), nan=True, why=_BRANCHES),
        Case("F", "hardshrink", (0.3,), nan=True, why=_BRANCHES),
        Case("F", "softshrink", (0.3,), nan=True, why=_BRANCHES),
        Case("F", "threshold", (0.1, 0.3)),
        Case("F", "threshold", (-0.3, 20.1)),
        Case("F", "silu", unlike=(2, 0), why=_ACCURATE),
        Case("F", "softplus", unlike=(1, 0), why=_ACCURATE),
        Case("F", "softplus", (2.0, 3.0), unlike=(1, 0), why=_ACCURATE),
        Case("F", "sigmoid", unlike=(6, 8), why=_ACCURATE),
        Case("F", "mish", unlike=(3, 1), why=_ACCURATE),
        Case("F", "gelu", unlike=(254, 6), why=_ACCURATE),
        Case("F", "gelu", (), {"approximate": "tanh"}, unlike=(61, 4), why=_ACCURATE),
        Case("F", "logsigmoid", unlike=(8229, 910), why=_BUFFER),
        *(
            Case("T", "clamp", bounds)
            for bounds in ((-0.1, 0.1), (None, 0.1), (0.3, None), (0.3, 0.1), (1e-8, 6e4), (0.0, 1.0), (-1.0, -0.0))
        ),
    ]


def _functions() -> list[Case]:
    names = "abs neg sign floor ceil round trunc reciprocal square sqrt rsqrt exp exp2 expm1 log log2 log10 log1p tan"
    return [
        *(Case("T", name) for name in [*names.split(), "acos", "atan"]),
        *(Case("T", name, unlike=(2, 0), why=_ACCURATE) for name in ("sin", "cos", "asin")),
        *(Case("T", name, unlike=(0, 2), why=_ACCURATE) for name in ("sinh", "cosh")),
        Case("T", "erf", unlike=(6584, 28690), why=_ACCURATE),
        *(Case("T", "pow", (k,)) for k in (2, 3, -1, -2, 1, 0, 2.5, 4, 0.1, 1 / 3)),
        *(Case("T", "pow", (k,), unlike=(2, 0), why=_ROOT) for k in (0.5, -0.5)),
    ]


def _more_functions() -> list[Case]:
    """Those of two operands at pairs, and those with a number."""
    accurate: dict[str, Any] = {"why": _ACCURATE}
    names = "acosh atanh erfc erfinv sinc frac deg2rad rad2deg nan_to_num"
    pairs: dict[str, Any] = {"operands": "pairs"}
    by_number = [*((name, k) for name in ("fmod", "remainder") for k in (0.3, 2)), ("xlogy", 0.3)]
    return [
        *(Case("T", name) for name in names.split()),
        Case("T", "asinh", unlike=(4, 0), **accurate),
        Case("T", "lgamma", unlike=(12, 2), **accurate),
        Case("T", "nan_to_num", (0.3, 7.7, -0.3)),
        *(Case("T", "round", (), {"decimals": n}) for n in (2, -2)),
        *(Case("T", name, **pairs) for name in ("atan2", "hypot", "logaddexp", "xlogy", "copysign")),
        Case("T", "logaddexp2", unlike=(1, 3), **pairs, **accurate),
        *(Case("T", name, unlike=(0, 897), why=_QUOTIENT, **pairs) for name in ("fmod", "remainder")),
        *(Case("T", name, unlike=(2, 3), nan=True, why=_FIRST, **pairs) for name in ("fmax", "fmin")),
        *(Case("T", "div", (), {"rounding_mode": how}, **pairs) for how in ("floor", "trunc")),
        *(Case("T", name, (k,), unlike=(0, 458 * (k == 0.3)), why=_QUOTIENT) for name, k in by_number[:-1]),
        Case("T", *by_number[-1][:1], args=by_number[-1][1:]),
    ]


def _rows() -> list[Case]:
    """What PyTorch composes of sums and of functions."""
    rows: dict[str, Any] = {"shape": (32, 64), "operands": "rows"}
    return [
        *(Case("T", name, (), {"value": k}, count=3, **rows) for name in ("addcmul", "addcdiv") for k in (1, 0.3)),
        *(Case("T", name, axis, **rows) for name in ("var", "std") for axis in ((), ((1,),), ((0,),))),
        *(Case("T", "norm", args, **rows) for args in ((), (2, 1), (1,))),
        Case("T", "logsumexp", (1,), **rows),
        Case("T", "lerp", (0.3,), count=2, **rows),
        Case("F", "multilabel_soft_margin_loss", count=2, unlike=(258, 287), why=_BUFFER, **rows),
        Case("F", "multilabel_soft_margin_loss", weights=("weight",), count=2, unlike=(233, 285), why=_BUFFER, **rows),
        Case("F", "triplet_margin_loss", count=3, **rows),
        Case("F", "triplet_margin_loss", (), {"p": 1.0, "swap": True}, count=3, **rows),
        Case("F", "pairwise_distance", count=2, **rows),
        *(Case("F", "cosine_similarity", axis, count=2, **rows) for axis in ((1,), (0,))),
        *(Case("F", "normalize", args, **rows) for args in ((), (1.0, 0), (3.0, 1))),
        Case("F", "prelu", weights=("weight",), **rows),
        Case("F", "glu", (1,), unlike=(758, 815), why=_GATE, **rows),
        *(Case("F", name, (1,), **rows) for name in ("softmax", "softmin")),
        Case("F", "log_softmax", (1,), unlike=(196, 305), why=_SUMS, **rows),
        *(Case("T", name, count=3, **rows) for name in ("lerp", "clamp")),
        *(Case("T", "norm", (p, 1), **rows) for p in (3, 0.5, 2.5, -1.5, float("inf"))),
        *(Case("T", name, (1,), **rows) for name in ("cumsum", "cumprod", "logcumsumexp", "nansum")),
        Case("T", "trapezoid", (), {"dx": 0.3}, **rows),
        *(Case("T", name, count=2, **rows) for name in ("inner", "ldexp")),
        Case("T", "dist", (3,), count=2, **rows),
        Case("T", "renorm", (2, 0, 5.0), **rows),
        Case("T", "addmm", (), {"beta": 0.3, "alpha": 0.7}, count=3, shape=(32, 32), operands="rows"),
        Case("T", "trace", shape=(32, 32), operands="rows"),
    ]


CASES = [*_losses(), *_activations(), *_functions(), *_more_functions(), *_rows()]

_SPECIAL = {
    "float16": "0 1 2 3ff 400 401 1400 2c00 2e66 2e67 3400 3555 37ff 3800 3801 399a 3bfe 3bff 3c00 3c01 3c02 3e00 4000 "
    "4248 4600 4900 5640 5bff 5c00 6400 7000 7bfe 7bff 7c00 7e00",
    "bfloat16": "0 1 2 7f 80 81 2000 3000 3dcc 3dcd 3dce 3e80 3eaa 3eff 3f00 3f01 3f33 3f7e 3f7f 3f80 3f81 3f82 3fc0 "
    "4000 4049 40c0 4120 42c8 437f 4780 5f00 7e00 7f7e 7f7f 7f80 7fc0",
}
ONE = {"float16": 0x3C00, "bfloat16": 0x3F80}


def scattered(count: int, seed: int, below: int = 65536) -> np.ndarray:
    """Codes without a pattern, the same on every machine."""
    return ((np.arange(count, dtype=np.int64) * 40503 + seed * 7919 + 12345) % 65521 % below).astype(np.uint16)


def ordinary(fmt: str, count: int, seed: int) -> np.ndarray:
    """Codes of numbers between -4 and 4."""
    x = (scattered(count, seed) / 65521 * 8 - 4).astype(np.float32)
    return x.astype(np.float16).view(np.uint16) if fmt == "float16" else (x.view(np.uint32) >> 16).astype(np.uint16)


def operands(case: Case, fmt: str) -> list[np.ndarray]:
    """The codes of each operand, of one length, a multiple of 64 (PyTorch treats what is left over otherwise)."""
    if case.operands == "one":
        return [CODES]
    if case.operands == "rows":
        return [ordinary(fmt, int(np.prod(case.shape)), seed) for seed in range(case.count)]
    special = np.array([int(code, 16) for code in _SPECIAL[fmt].split()], np.uint16)
    special = np.concatenate([special, special | 0x8000])
    if case.operands == "probabilities":
        one = ONE[fmt]
        special = special[((special & 0x7FFF) <= one) & ((special < 0x8000) | (special == 0x8000))]
        more = [scattered(3000, seed, one) for seed in (1, 2)]
    else:
        more = [np.concatenate([ordinary(fmt, 2000, seed), scattered(2000, seed + 5)]) for seed in (1, 2)]
    grid = [axis.ravel() for axis in np.meshgrid(special, special)]
    length = (len(grid[0]) + len(more[0])) // 64 * 64
    pairs = [np.concatenate(pair)[:length] for pair in zip(grid, more, strict=True)]
    third = {
        "signs": np.where(scattered(length, 21) % 2, ONE[fmt], ONE[fmt] | 0x8000).astype(np.uint16),
        "variances": scattered(length, 22, 0x7C01 if fmt == "float16" else 0x7F81),
    }
    return [*pairs, third[case.operands]] if case.operands in third else pairs


def gradients(fmt: str, count: int) -> list[np.ndarray]:
    """The codes of two gradients: 1, and everything."""
    return [np.full(count, ONE[fmt], np.uint16), scattered(count, 11)]


def is_nan(codes: np.ndarray, fmt: str) -> np.ndarray:
    return (codes & 0x7FFF) > (0x7C00 if fmt == "float16" else 0x7F80)


def differing(a: list[np.ndarray], b: list[np.ndarray], fmt: str) -> np.ndarray:
    """Where any of several results differ; all NaN are alike."""
    unlike = [(x != y) & ~(is_nan(x, fmt) & is_nan(y, fmt)) for x, y in zip(a, b, strict=True)]
    most = max(len(x) for x in unlike)
    return np.any([np.pad(x, (0, most - len(x))) for x in unlike], axis=0)  # a sum has fewer elements


def sums(results: list[np.ndarray], fmt: str, skip: np.ndarray, block: int = 1024) -> np.ndarray:
    """A checksum of every block of every result, without the elements ``skip`` and with one NaN."""
    found = []
    for codes in results:
        codes = np.where(is_nan(codes, fmt), np.uint16(0x7FFF), codes)
        codes[skip[skip < len(codes)]] = 0
        found += [crc32(codes[i : i + block].astype("<u2").tobytes()) for i in range(0, len(codes), block)]
    return np.array(found, np.uint32)
