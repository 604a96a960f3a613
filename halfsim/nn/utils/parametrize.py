"""Parametrizations: a parameter of a module becomes a function of others, which are learnt in its place."""

from __future__ import annotations

from typing import Any

from halfsim.autograd.scope import no_grad
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.nn.containers import ModuleDict, ModuleList
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter
from halfsim.options import guarded_names

__all__ = ["ParametrizationList", "is_parametrized", "register_parametrization", "remove_parametrizations"]


class ParametrizationList(ModuleList):
    """The functions that make one parameter, in order, and what they make it of.

    That is ``original``, or ``original0``, ``original1`` ... where the ``right_inverse`` of the first gives several.
    """

    def __init__(self, modules: list[Module], original: Any) -> None:
        super().__init__()
        first = modules[0]
        with no_grad():
            parts = first.right_inverse(original) if hasattr(first, "right_inverse") else original
        self.__dict__["several"] = isinstance(parts, (tuple, list))
        learnt = original.requires_grad
        if self.several:
            for i, part in enumerate(parts):
                setattr(self, f"original{i}", Parameter(part.detach(), requires_grad=learnt))
        else:
            self.original = original if parts is original else Parameter(parts.detach(), requires_grad=learnt)
        self.extend(modules)

    def forward(self) -> Tensor:
        first, *others = self
        originals = [p for p in self._parameters.values() if p is not None]
        value = first(*originals)
        for function in others:
            value = function(value)
        return value

    def take(self, value: Any) -> None:
        """Set the originals so that the functions make ``value`` of them, by their ``right_inverse``."""
        with no_grad():
            for function in reversed(list(self)):
                if not hasattr(function, "right_inverse"):
                    kind = type(function).__name__
                    raise RuntimeError(f"{kind}: has no right_inverse; allowed: with one, for a value that is assigned")
                value = function.right_inverse(value)
            for own, part in zip(self._parameters.values(), value if self.several else [value], strict=True):
                assert own is not None
                own.array = part.to(own.format).array


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let ``parametrization`` make the parameter ``tensor_name`` of ``module``, which it returns.

    ``module.weight`` is computed whenever it is read; what is learnt stands under ``parametrizations.weight`` in the
    state. A ``right_inverse`` says of what a given value is made. A second one takes what the first one makes.
    ``ValueError`` for a name that is no parameter, and unless ``unsafe`` for a value of another shape.

    >>> from halfsim import nn
    >>> class Double(nn.Module):
    ...     def forward(self, x): return 2 * x
    >>> layer = register_parametrization(nn.Linear(1, 1), "weight", Double())
    >>> layer.weight.item() == 2 * layer.parametrizations.weight.original.item()
    True
    """
    if is_parametrized(module, tensor_name):
        module.parametrizations[tensor_name].append(parametrization)
    else:
        original = module._parameters.get(tensor_name)
        if original is None:
            names = ", ".join(name for name, p in module._parameters.items() if p is not None) or "none"
            raise ValueError(f"tensor_name: {tensor_name!r} is not allowed; allowed: {names}")
        made = ParametrizationList([parametrization], original)
        value = made()
        if not unsafe and value.shape != original.shape:
            raise ValueError(f"parametrization: gives shape {value.shape}; allowed: {original.shape}, or unsafe=True")
        if not is_parametrized(module):
            _change_class(module)
            module.parametrizations = ModuleDict()
        delattr(module, tensor_name)
        module.parametrizations[tensor_name] = made
        setattr(type(module), tensor_name, property(lambda self: self.parametrizations[tensor_name]()))
    return module


def _change_class(module: Module) -> None:
    """Give ``module`` a class of its own, on which properties may be put."""
    kind = type(module)

    def assign(self: Any, name: str, value: Any) -> None:
        if name in self._modules.get("parametrizations", ()):
            self.parametrizations[name].take(value)
        else:
            kind.__setattr__(self, name, value)

    fresh = type(f"Parametrized{kind.__name__}", (kind,), {"__setattr__": assign, "__module__": kind.__module__})
    object.__setattr__(module, "__class__", fresh)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a parametrization makes the parameter ``tensor_name`` of ``module``, or any."""
    made = module.__dict__.get("_modules", {}).get("parametrizations")
    return isinstance(made, ModuleDict) and (tensor_name is None or tensor_name in made)


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parameter of its own of ``tensor_name`` again: of its value now, or else of the original.

    ``ValueError`` for what is not parametrized, and for several originals that should stay.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"tensor_name: {tensor_name!r} is not allowed; allowed: parametrized parameters")
    made = module.parametrizations[tensor_name]
    if not leave_parametrized and made.several:
        raise ValueError("leave_parametrized: False is not allowed; allowed: True for several originals")
    with no_grad():
        value = made() if leave_parametrized else made.original
    learnt = any(p.requires_grad for p in made.parameters(recurse=False))
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        delattr(module, "parametrizations")
        object.__setattr__(module, "__class__", type(module).__mro__[1])
    module.register_parameter(tensor_name, Parameter(value.detach(), requires_grad=learnt))
    return module


guarded_names(globals(), __all__)
public(__name__)
