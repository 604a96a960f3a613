"""A black box that adds: a product of two matrices or a sum, asked for sums of terms that are chosen one by one."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.numerics.quantize import Array

SHAPE = (64, 64)  # of every product that a box is asked for: it takes one way through its kernels


class Box:
    """``f``, and how to put terms into it. ``product`` is False where it sums one array, ``calls`` counts its calls.

    ``shape`` is that of every product that it is asked for.
    """

    def __init__(self, f: Callable[..., Any], product: bool, shape: tuple[int, int] = SHAPE) -> None:
        self.f, self.product, self.shape, self.calls = f, product, shape, 0
        self._torch = False

    def __call__(self, *operands: Array) -> Array:
        """What ``f`` gives for float32 arrays, in float64 and as an array."""
        self.calls += 1
        given = [np.ascontiguousarray(x, np.float32) for x in operands]
        with np.errstate(all="ignore"):
            out = np.asarray(self._called(given))
            if out.dtype.kind in "cSUMm":
                raise TypeError(f"f: a result of dtype {out.dtype} is not allowed; allowed: real numbers")
            return np.asarray(out, np.float64)

    def _called(self, given: list[Array]) -> Any:
        torch = sys.modules.get("torch")
        if not self._torch:
            try:
                out = self.f(*given)
            except (TypeError, AttributeError):
                if torch is None:
                    raise
                self._torch = True  # it takes tensors alone
        if self._torch and torch is not None:
            out = self.f(*(torch.from_numpy(x) for x in given))
        return out.detach().cpu().double().numpy() if torch is not None and isinstance(out, torch.Tensor) else out

    def terms(self, rows: Array) -> Array:
        """The sums of ``rows`` (P, n), each as ``f`` forms it; of a product, term k is one of factors of like size."""
        if not self.product:
            return np.array([self._number(self(row)) for row in rows])
        m, e = np.frexp(rows)  # 0.5 <= m < 1
        low = (e - 1) // 2
        return self.pairs(np.ldexp(2 * m, e - 1 - low), np.ldexp(np.float64(rows != 0), low))

    def pairs(self, a: Array, b: Array) -> Array:
        """The sums of products of rows of ``a`` (P, n) and ``b`` (P, n), on the diagonal of products of matrices.

        Of a sum, the terms are the products.
        """
        if not self.product:
            return self.terms(a * b)
        step = min(self.shape)
        return np.concatenate([np.diagonal(self._part(a, b, k, k, step)) for k in range(0, len(a), step)])

    def whole(self, a: Array, b: Array) -> Array:
        """The product of matrices of any shape, (P, n) times (n, Q), in parts of the shape that ``f`` is asked for."""
        rows, columns = self.shape
        return np.block([[self._part(a, b.T, i, j, max(rows, columns)) for j in range(0, b.shape[1], columns)]
                         for i in range(0, len(a), rows)])  # fmt: skip

    def _part(self, a: Array, b: Array, i: int, j: int, most: int) -> Array:
        """The product of some rows of ``a``, from the i-th on, and of ``b``, from the j-th on; the others are zero."""
        left, right = (np.zeros((size, a.shape[1]), np.float32) for size in self.shape)
        x, y = (z[k : k + min(most, size)] for z, k, size in zip((a, b), (i, j), self.shape, strict=True))
        left[: len(x)], right[: len(y)] = x, y
        found = self(left, right.T)
        if found.shape != self.shape:
            raise ValueError(f"f: a result of shape {found.shape} is not allowed; allowed: that of a product, "
                             f"{self.shape}")  # fmt: skip
        return found[: len(x), : len(y)]

    @staticmethod
    def _number(out: Array) -> float:
        if out.size != 1:
            raise ValueError(f"f: a result of shape {out.shape} is not allowed; allowed: one number, the sum")
        return float(out.reshape(()))


def takes_two(f: Callable[..., Any]) -> bool:
    """Whether ``f`` needs two operands; ``TypeError`` where it cannot be told.

    >>> takes_two(np.matmul), takes_two(np.sum), takes_two(lambda a, b: a @ b)
    (True, False, True)
    """
    if isinstance(f, np.ufunc):
        return f.nin == 2
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return _by_trial(f)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    if len(needed) in (1, 2):
        return len(needed) == 2
    raise TypeError(f"f: a function of {len(needed)} operands is not allowed; allowed: f(a, b), a product; f(x), a sum")


def _by_trial(f: Callable[..., Any]) -> bool:
    """For functions written in C that do not say what they take."""
    for count in (1, 2):
        box = Box(f, count == 2)
        try:
            box(*[np.ones((2, 2))] * count)
        except Exception:  # whatever a foreign function raises says no
            continue
        return count == 2
    raise TypeError("f: this function takes neither one array nor two; allowed: f(a, b), a product; f(x), a sum")
