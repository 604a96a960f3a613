"""Calls that PyTorch and halfsim take alike, and the numbers to call them with: no random generator is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


def numbers(shape: tuple[int, ...], seed: int = 0, low: float = -2.5, high: float = 2.5) -> np.ndarray:
    """Numbers without a pattern between two bounds, the same on every machine."""
    k = np.arange(int(np.prod(shape)), dtype=np.int64)
    return ((k * 7919 + seed * 4801 + 17) % 1009 / 1009 * (high - low) + low).reshape(shape)


@dataclass
class Case:
    """``place.name(*inputs, *rest, **options)``; ``place`` is "F" (functional), or one that is halfsim.ops for us:
    "T" (torch), "S" (torch.special), "L" (torch.linalg)."""

    place: str
    name: str
    shapes: list[tuple[int, ...]]
    rest: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    bounds: tuple[float, float] = (-2.5, 2.5)
    many: bool = False  # the inputs go in as one list

    @property
    def inputs(self) -> list[np.ndarray]:
        return [numbers(shape, seed, *self.bounds) for seed, shape in enumerate(self.shapes)]

    @property
    def ours(self) -> str:
        """The name in halfsim."""
        return f"linalg_{self.name}" if self.place == "L" and self.name in ("cross", "norm", "vander") else self.name

    @property
    def label(self) -> str:
        return f"{self.ours} {self.shapes} {self.rest or ''} {self.options or ''}".replace("array", "")


M, V, C = (3, 4), (5,), (2, 3, 4)
LABELS, PIXELS = np.array([2, 0, 1, 2, 2]), np.array([[0, 2, 1, 1], [2, 2, 0, 1]])
WEIGHT, POSITIVE = np.array([0.5, 2.0, 1.25]), np.array([1.5, 0.25, 3.0, 1.0])
MASK = numbers(M, 5) > 0
SIGNS, LISTS = np.where(MASK, 1.0, -1.0), np.array([[3, 0, -1, 1], [-1, 0, 1, 2], [2, 1, 3, 3]])

CASES: list[Case] = [
    *(
        Case("F", name, [M])
        for name in [
            "relu",
            "relu6",
            "leaky_relu",
            "elu",
            "selu",
            "celu",
            "gelu",
            "silu",
            "mish",
            "hardtanh",
            "hardswish",
        ]
    ),
    *(
        Case("F", name, [M])
        for name in ["hardshrink", "softshrink", "tanhshrink", "softplus", "logsigmoid", "softsign"]
    ),
    *(
        Case("F", name, [(6,)], bounds=(-40, 40))
        for name in ["gelu", "silu", "mish", "softplus", "logsigmoid", "elu", "sigmoid"]
    ),
    Case("F", "leaky_relu", [M], (0.25,)),
    Case("F", "elu", [M], (0.5,)),
    Case("F", "gelu", [M], (), {"approximate": "tanh"}),
    Case("F", "hardtanh", [M], (-0.5, 2.0)),
    Case("F", "softplus", [M], (2.0, 3.0)),
    Case("F", "threshold", [M], (0.5, 3.0)),
    Case("F", "glu", [M]),
    Case("F", "glu", [(4, 3)], (0,)),
    Case("F", "prelu", [C, (3,)]),
    Case("F", "prelu", [M, (1,)]),
    *(Case("F", name, [C], (1,)) for name in ("softmax", "log_softmax", "softmin")),
    Case("F", "linear", [C, (5, 4), (5,)]),
    Case("F", "bilinear", [(2, 3, 4), (2, 3, 5), (6, 4, 5), (6,)]),
    Case("F", "normalize", [M]),
    Case("F", "normalize", [M], (3.0, 0)),
    Case("F", "cosine_similarity", [M, M]),
    *(
        Case("T", name, [M])
        for name in [
            "abs",
            "neg",
            "exp",
            "exp2",
            "expm1",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "atan",
            "erf",
            "square",
        ]
    ),
    *(
        Case("T", name, [M], bounds=(0.1, 0.9))
        for name in ["log", "log2", "log10", "log1p", "asin", "acos", "sqrt", "rsqrt"]
    ),
    *(Case("T", "pow", [M], (k,), bounds=(0.2, 3)) for k in (0, 0.5, -0.5, 1, 2, 3, -1, -2, 2.5)),
    Case("T", "pow", [M, (4,)], bounds=(0.2, 3)),
    Case("T", "clamp", [M], (-1.0, 1.0)),
    Case("T", "clamp", [M, (4,), (3, 1)]),
    *(Case("T", name, [M, (4,)]) for name in ("maximum", "minimum")),
    *(Case("T", name, [C]) for name in ("std", "var", "prod", "max", "min", "amax")),
    *(Case("T", name, [C], (1,)) for name in ("std", "prod", "amax", "amin", "logsumexp", "cumsum")),
    Case("T", "gather", [M], (1, np.array([[2, 0, 2], [1, 1, 1]]))),
    Case("T", "index_select", [M], (1, np.array([3, 0, 3]))),
    Case("T", "take", [M], (np.array([[11, 0], [3, 3]]),)),
    Case("T", "masked_fill", [M], (MASK, -7.0)),
    Case("T", "flip", [C], ((0, 2),)),
    Case("T", "roll", [C], ((1, -2), (0, 1))),
    Case("T", "permute", [C], ((2, 0, 1),)),
    Case("T", "transpose", [M], (0, 1)),
    Case("T", "transpose", [C], (0, 2)),
    Case("T", "tril", [M], (1,)),
    Case("T", "triu", [C]),
    Case("T", "diagonal", [C], (1, 1, 2)),
    Case("T", "tile", [M], ((2, 3),)),
    Case("T", "repeat_interleave", [M], (2, 1)),
    Case("T", "unflatten", [M], (1, (2, -1))),
    Case("T", "cat", [(2, 3), (2, 1), (2, 2)], (1,), many=True),
    Case("T", "stack", [M, M], (-1,), many=True),
    Case("T", "dot", [V, V]),
    Case("T", "outer", [V, (3,)]),
    Case("T", "tensordot", [C, (3, 4, 2)]),
]
for _reduction in ("mean", "sum", "none"):
    _how = {"reduction": _reduction}
    CASES += [
        Case("F", "mse_loss", [M, M], (), _how),
        Case("F", "mse_loss", [M], (numbers(M, 9),), {**_how, "weight": numbers(M, 7, 0, 2)}),
        Case("F", "l1_loss", [M, M], (), _how),
        Case("F", "smooth_l1_loss", [M, M], (), {**_how, "beta": 0.75}),
        Case("F", "huber_loss", [M, M], (), {**_how, "delta": 1.5}),
        Case("F", "binary_cross_entropy", [M, M], (), {**_how, "weight": POSITIVE}, bounds=(0, 1)),
        Case("F", "binary_cross_entropy_with_logits", [M, M], (), _how),
        Case("F", "binary_cross_entropy_with_logits", [M, M], (), {**_how, "pos_weight": POSITIVE, "weight": POSITIVE}),
        Case("F", "kl_div", [M, M], (), _how, bounds=(0.1, 2)),
        Case("F", "kl_div", [M, M], (), {**_how, "log_target": True}),
        Case("F", "cosine_embedding_loss", [M, M], (np.array([1, -1, 1]), 0.1), _how),
        Case("F", "nll_loss", [(5, 3)], (LABELS,), {**_how, "weight": WEIGHT, "ignore_index": 0}),
        Case("F", "cross_entropy", [(5, 3)], (LABELS,), _how),
        Case("F", "cross_entropy", [(3,)], (np.array(2),), {**_how, "weight": WEIGHT}),
        Case("F", "cross_entropy", [C], (PIXELS,), {**_how, "weight": WEIGHT, "ignore_index": 1}),
        Case("F", "cross_entropy", [C], (PIXELS,), {**_how, "weight": WEIGHT, "label_smoothing": 0.25}),
        Case("F", "cross_entropy", [C], (PIXELS,), {**_how, "ignore_index": 2, "label_smoothing": 1.0}),
        Case("F", "cross_entropy", [C, C], (), {**_how, "weight": WEIGHT, "label_smoothing": 0.5}),
        Case("F", "hinge_embedding_loss", [M], (SIGNS,), {**_how, "margin": 0.75}),
        Case("F", "margin_ranking_loss", [M, M], (SIGNS,), {**_how, "margin": 0.25}),
        Case("F", "soft_margin_loss", [M], (SIGNS,), _how),
        Case("F", "triplet_margin_loss", [M, M, M], (), {**_how, "margin": 2.0}),
        Case("F", "triplet_margin_loss", [M, M, M], (), {**_how, "p": 3.0, "swap": True}),
        Case("F", "triplet_margin_with_distance_loss", [M, M, M], (), {**_how, "swap": True}),
        Case("F", "multi_margin_loss", [(5, 3)], (LABELS,), {**_how, "p": 2, "margin": 0.75, "weight": WEIGHT}),
        Case("F", "multi_margin_loss", [(5, 3)], (LABELS,), _how),
        Case("F", "multilabel_margin_loss", [M], (LISTS,), _how),
        Case("F", "multilabel_soft_margin_loss", [M], (numbers(M, 4, 0, 1),), {**_how, "weight": POSITIVE}),
        Case("F", "poisson_nll_loss", [M, M], (True, True), _how, bounds=(0.1, 3)),
        Case("F", "poisson_nll_loss", [M, M], (False,), {**_how, "eps": 0.1}, bounds=(0.1, 3)),
        Case("F", "gaussian_nll_loss", [M, M, M], (True, 0.05), _how, bounds=(0.1, 3)),
        Case("F", "gaussian_nll_loss", [M, M, (3,)], (), _how, bounds=(0.1, 3)),
    ]
CASES += [
    Case("F", "kl_div", [M, M], (), {"reduction": "batchmean"}, bounds=(0.1, 2)),
    Case("F", "multi_margin_loss", [(3,)], (np.array(1),)),
    Case("F", "multilabel_margin_loss", [(4,)], (np.array([3, 0, -1, 1]),)),
    Case("F", "pairwise_distance", [M, (4,)], (1.0, 0.1, True)),
    *(Case("F", "pdist", [M], (p,)) for p in (0.0, 1.0, 1.5, 2.0, 3.0)),
    Case("F", "rrelu", [M], (0.25, 0.75)),
]

S3, B3 = (3, 3), (2, 3, 3)
_UNIT, _ABOVE = (-0.9, 0.9), (0.2, 3.0)
CASES += [
    *(
        Case("T", name, [M])
        for name in ["asinh", "erfc", "i0", "sinc", "frac", "deg2rad", "rad2deg", "trace", "nansum"]
    ),
    *(Case("T", name, [M], bounds=_UNIT) for name in ["atanh", "erfinv"]),
    *(Case("T", name, [M], bounds=_ABOVE) for name in ["lgamma", "digamma"]),
    *(Case("S", name, [M]) for name in ["erfcx", "ndtr", "log_ndtr", "i0e", "i1", "i1e"]),
    *(Case("S", name, [M], bounds=(0.1, 0.9)) for name in ["entr", "ndtri"]),
    Case("T", "acosh", [M], bounds=(1.1, 4)),
    Case("T", "mvlgamma", [M], (3,), bounds=(1.5, 4)),
    Case("T", "logit", [M], bounds=(0.1, 0.9)),
    Case("T", "logit", [M], (0.2,), bounds=(0.1, 0.9)),
    *(Case("T", name, [M, (4,)]) for name in ["atan2", "hypot", "logaddexp", "logaddexp2", "fmod", "remainder"]),
    *(Case("T", name, [M, (4,)]) for name in ["copysign", "fmax", "fmin", "ldexp"]),
    *(Case("T", name, [M], (0.75,)) for name in ["fmod", "remainder", "clamp_min", "clamp_max"]),
    Case("T", "xlogy", [M, (4,)], bounds=_ABOVE),
    Case("S", "xlog1py", [M, (4,)], bounds=_ABOVE),
    *(Case("T", "div", [M, (4,)], (), {"rounding_mode": how}) for how in ("floor", "trunc")),
    Case("T", "round", [M], (), {"decimals": 1}),
    Case("T", "nan_to_num", [M], (0.5,)),
    Case("T", "lerp", [M, (4,), M]),
    Case("T", "rsub", [M, (4,)], (), {"alpha": 0.3}),
    Case("T", "float_power", [M], (2.5,), bounds=_ABOVE),
    # Products.
    Case("T", "vdot", [V, V]),
    Case("T", "inner", [M, (2, 4)]),
    Case("T", "kron", [(2, 3), (2,)]),
    Case("T", "cross", [(2, 3), (2, 3)]),
    Case("L", "cross", [(3, 1, 2), (3, 2, 2)], (), {"dim": 0}),
    Case("L", "vecdot", [C, (3, 4)]),
    Case("L", "multi_dot", [(2,), (2, 5), (5, 3), (3, 4), (4,)], many=True),
    Case("T", "chain_matmul", [(2, 5), (5, 3), (3, 2)]),
    *(Case("L", "matrix_power", [B3], (k,)) for k in (3, -2)),
    *(Case("T", "addmm", [(4,), (2, 3), (3, 4)], (), how) for how in ({}, {"beta": 0.3, "alpha": 0.7}, {"beta": 0})),
    Case("T", "addmv", [(2,), (2, 3), (3,)], (), {"beta": 0.3, "alpha": 0.7}),
    Case("T", "addr", [(2, 1), (2,), (3,)], (), {"beta": 0.3, "alpha": 0.7}),
    Case("T", "addbmm", [(2, 4), (3, 2, 3), (3, 3, 4)], (), {"beta": 0.3, "alpha": 0.7}),
    Case("T", "baddbmm", [(2, 4), (3, 2, 3), (3, 3, 4)], (), {"beta": 0.3, "alpha": 0.7}),
    # Norms and distances.
    *(Case("L", "vector_norm", [C], (p, 1)) for p in (0.5, 1, 1.5, 2, 3, -1.5, float("inf"), float("-inf"))),
    *(Case("L", "matrix_norm", [C], (p,)) for p in ("fro", 1, -1, float("inf"), float("-inf"))),
    Case("L", "norm", [C], (), {"dim": (0, 2)}),
    Case("L", "norm", [M], (1,)),
    Case("T", "dist", [M, M], (3,)),
    *(Case("T", "cdist", [C, (2, 5, 4)], (p,)) for p in (0.5, 1.0, 1.5, 2.0, 3.0)),
    Case("T", "cdist", [C, (2, 5, 4)], (2.0, "use_mm_for_euclid_dist")),
    Case("T", "renorm", [C], (2, 1, 2.5)),
    # Matrices.
    Case("T", "diag", [V], (1,)),
    Case("T", "diag", [M], (-1,)),
    Case("T", "diag_embed", [M], (1, 0, 2)),
    Case("T", "diagflat", [(2, 3)], (-1,)),
    Case("T", "block_diag", [(2, 3), (2,), ()]),
    Case("L", "vander", [(2, 3)]),
    *(Case("L", name, [B3]) for name in ("inv", "det")),
    Case("L", "solve", [B3, (2, 3, 2)]),
    Case("L", "solve", [S3, (2, 2, 3)], (), {"left": False}),
    Case("L", "solve", [S3, (3,)]),
    *(
        Case("L", "solve_triangular", [B3, (2, 3, 2) if left else (2, 2, 3)], (), {"upper": upper, "left": left})
        for upper in (True, False)
        for left in (True, False)
    ),
    Case("L", "solve_triangular", [S3, (3, 2)], (), {"upper": True, "unitriangular": True}),
    # Scans.
    Case("T", "cumprod", [C], (1,)),
    Case("T", "logcumsumexp", [C], (1,)),
    Case("T", "diff", [M], (2, 0)),
    Case("T", "trapezoid", [M], (), {"dx": 0.5, "dim": 0}),
    Case("T", "trapezoid", [M, (4,)]),
    Case("T", "cumulative_trapezoid", [M], (), {"dx": 0.5}),
    # Parts and shapes.
    Case("T", "narrow", [M], (1, -3, 2)),
    Case("T", "select", [M], (1, -1)),
    *(Case("T", name, [(2, 3), (2, 3)], many=True) for name in ("hstack", "vstack", "dstack", "column_stack")),
    Case("T", "rot90", [M], (3,)),
    *(Case("T", name, [M]) for name in ("fliplr", "flipud", "ravel", "t", "adjoint", "atleast_3d")),
    Case("T", "movedim", [C], ((0, 1), (-1, 0))),
    Case("T", "swapdims", [C], (0, 2)),
    Case("T", "cartesian_prod", [V, (3,), (2,)]),
    Case("T", "combinations", [V], (3, True)),
    Case("T", "repeat_interleave", [M], (np.array([2, 0, 3]), 0)),
]


EQUATIONS: dict[str, list[tuple[int, ...]]] = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "...ij,...jk->...ik": [(5, 2, 3), (3, 4)],
    "bhqd,bhkd->bhqk": [(2, 2, 3, 4), (2, 2, 3, 4)],
    "iij,jk->ik": [(3, 3, 4), (4, 2)],
    "ij,kl->": [(2, 3), (4, 2)],
    "ii": [(3, 3)],
    "bi,oij,bj->bo": [(2, 3), (4, 3, 2), (2, 2)],
    "ba,b->ab": [(2, 3), (2,)],
    "bij,bjk->bik": [(1, 2, 3), (4, 3, 2)],
}
