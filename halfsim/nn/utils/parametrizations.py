"""Weight and spectral normalization."""

from __future__ import annotations

from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.ops.norms import normalize
from halfsim.autograd.random import drawn_in, normal
from halfsim.autograd.scope import no_grad
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.nn.conv import ConvTranspose1d, ConvTranspose2d
from halfsim.nn.module import Module
from halfsim.nn.utils.parametrize import register_parametrization
from halfsim.options import guarded_names

__all__ = ["spectral_norm", "weight_norm"]


def _lengths(weight: Any, dim: int) -> Tensor:
    """The norms over all axes but ``dim``, or over all for -1."""
    axes = tuple(axis for axis in range(weight.ndim) if axis != dim)
    return ops.norm(weight, 2.0, axes, True) if axes else ops.abs(weight)


class WeightNorm(Module):
    """``v * (g / norm(v))``, each step an operation."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Tensor:
        return ops.mul(weight_v, ops.div(weight_g, _lengths(weight_v, self.dim)))

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        return _lengths(weight, self.dim), weight


class SpectralNorm(Module):
    """A weight by its largest singular value, which a step of the power method a call in training approaches."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float, warm: int = 15) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise ValueError(f"dim: {dim} is not allowed; allowed: {-weight.ndim} to {weight.ndim - 1}")
        if n_power_iterations <= 0:
            raise ValueError(f"n_power_iterations: {n_power_iterations} is not allowed; allowed: integers from 1")
        self.dim, self.eps, self.n_power_iterations = dim % weight.ndim, eps, n_power_iterations
        if weight.ndim > 1:
            with no_grad():
                matrix = self.matrix(weight)
                self.register_buffer("_u", self._random(matrix, 0))
                self.register_buffer("_v", self._random(matrix, 1))
                self.power(matrix, warm)

    def _random(self, matrix: Tensor, axis: int) -> Tensor:
        drawn = normal(matrix.shape[axis], format=drawn_in(matrix.format))
        return self.normalized(tensor(drawn, matrix.format))

    def normalized(self, vector: Tensor) -> Tensor:
        return normalize(vector, dim=0, eps=self.eps).detach()

    def matrix(self, weight: Any) -> Any:
        others = [axis for axis in range(weight.ndim) if axis != self.dim]
        return ops.transpose(weight, (self.dim, *others)).reshape(weight.shape[self.dim], -1)

    def power(self, matrix: Any, steps: int) -> None:
        for _ in range(steps):
            self._u = self.normalized(ops.mv(matrix, self._v))
            self._v = self.normalized(ops.mv(matrix.T, self._u))

    def forward(self, weight: Any) -> Tensor:
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = self.matrix(weight)
        if self.training:
            with no_grad():
                self.power(matrix, self.n_power_iterations)
        return ops.div(weight, ops.dot(self._u, ops.mv(matrix, self._v)))

    def right_inverse(self, value: Any) -> Any:
        return value


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Let the parameter ``name`` be a length times a direction, ``original0 * original1 / norm(original1)``.

    The norm is over all axes but ``dim``, over all for None. Each step is stored; PyTorch's kernel stores the result
    alone where ``dim`` is the first or the last axis. Returns ``module``.

    >>> from halfsim import nn
    >>> list(weight_norm(nn.Linear(3, 2, bias=False)).state_dict())
    ['parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    return register_parametrization(module, name, WeightNorm(dim), unsafe=True)


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide the parameter ``name`` by its largest singular value, as a matrix of ``dim`` by all other axes.

    In training each use takes ``n_power_iterations`` steps of the power method first. ``dim`` is 1 for transposed
    convolutions and else 0, unless it is given. Returns ``module``. ``ValueError`` for a ``dim`` that the parameter has
    not, and for fewer than one step.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"name: {name!r} is not allowed; allowed: the name of a parameter")
    function = SpectralNorm(weight, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    return register_parametrization(module, name, function)


def default_dim(module: Module) -> int:
    """The axis of the outputs of a weight."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d)) else 0


guarded_names(globals(), __all__)
public(__name__)
