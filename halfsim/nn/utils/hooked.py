"""Weight and spectral normalization by a hook before every ``forward``: PyTorch's older names and states."""

from __future__ import annotations

from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.scope import no_grad
from halfsim.autograd.tensor import Tensor
from halfsim.nn.hooks import Handle
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter
from halfsim.nn.utils.parametrizations import SpectralNorm, WeightNorm, default_dim
from halfsim.options import guarded_names

_HANDLES = "_normed"  # the attribute of a module that has its hooks, by the name of the parameter


def _hook(module: Module, name: str, hook: Any) -> Module:
    """Let ``hook`` set the attribute ``name`` before every ``forward``, and now."""
    handles: dict[str, tuple[Handle, Any]] = module.__dict__.setdefault(_HANDLES, {})
    setattr(module, name, hook(module, ()))

    def before(module: Module, args: Any) -> None:
        setattr(module, name, hook(module, args))

    handles[name] = module.register_forward_pre_hook(before), hook
    return module


def _taken(module: Module, name: str) -> Parameter:
    """The parameter of that name, which the module no longer has."""
    weight = module._parameters.get(name)
    if weight is None or name in module.__dict__.get(_HANDLES, {}):
        raise ValueError(f"name: {name!r} is not allowed; allowed: the name of a parameter, normed once")
    delattr(module, name)
    return weight


def _removed(module: Module, name: str, *suffixes: str) -> Module:
    handles = module.__dict__.get(_HANDLES, {})
    if name not in handles or not hasattr(module, name + suffixes[0]):
        raise ValueError(f"name: {name!r} is not allowed; allowed: the name of a parameter that is so normed")
    handle, hook = handles.pop(name)
    handle.remove()
    training, module.training = module.training, False  # in which no step of the power method is taken
    with no_grad():
        value = hook(module, ())
    module.training = training
    for suffix in suffixes:
        delattr(module, name + suffix)
    delattr(module, name)
    module.register_parameter(name, Parameter(value.detach()))
    return module


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """`halfsim.nn.utils.parametrizations.weight_norm` by a hook: parameters ``weight_g`` and ``weight_v``.

    >>> from halfsim import nn
    >>> list(weight_norm(nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    weight, function = _taken(module, name), WeightNorm(dim)
    with no_grad():
        length, _ = function.right_inverse(weight)
    module.register_parameter(f"{name}_g", Parameter(length.detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    return _hook(module, name, lambda m, args: function(getattr(m, f"{name}_g"), getattr(m, f"{name}_v")))


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make one parameter of the two again."""
    return _removed(module, name, "_g", "_v")


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """`halfsim.nn.utils.parametrizations.spectral_norm` by a hook: ``weight_orig``, ``weight_u`` and ``weight_v``.

    The power method begins at random, without the steps that the other one takes first.
    """
    weight = _taken(module, name)
    function = SpectralNorm(weight, n_power_iterations, default_dim(module) if dim is None else dim, eps, warm=0)
    module.register_parameter(f"{name}_orig", weight)
    for side in "uv":
        module.register_buffer(f"{name}_{side}", getattr(function, f"_{side}"))

    def value(m: Module, args: Any) -> Tensor:
        matrix = function.matrix(getattr(m, f"{name}_orig"))
        u, v = getattr(m, f"{name}_u"), getattr(m, f"{name}_v")
        if m.training and args:
            with no_grad():
                for _ in range(n_power_iterations):
                    v = function.normalized(ops.mv(matrix.T, u))
                    u = function.normalized(ops.mv(matrix, v))
            setattr(m, f"{name}_u", u)
            setattr(m, f"{name}_v", v)
        return ops.div(getattr(m, f"{name}_orig"), ops.dot(u, ops.mv(matrix, v)))

    return _hook(module, name, value)


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the parameter what it is divided by its norm now."""
    return _removed(module, name, "_orig", "_u", "_v")


guarded_names(globals(), ["weight_norm", "remove_weight_norm", "spectral_norm", "remove_spectral_norm"])
