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
    """``place.name(*inputs, *rest, **options)``; ``place`` is "F" (functional) or "T" (torch, halfsim.ops)."""

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
    def label(self) -> str:
        return f"{self.name} {self.shapes} {self.rest or ''} {self.options or ''}".replace("array", "")


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
