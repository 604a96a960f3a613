"""Modules that hold modules or parameters, and those that only rearrange their input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from halfsim.autograd import ops
from halfsim.autograd.tensor import Tensor
from halfsim.nn.held import HeldDict, HeldList
from halfsim.nn.module import Module

_List = TypeVar("_List", bound="_ModuleSequence")


def _module(value: Any) -> Module:
    if not isinstance(value, Module):
        raise TypeError(f"modules: {type(value).__name__} is not allowed; allowed: Module")
    return value


class _ModuleSequence(HeldList):
    """What `Sequential` and `ModuleList` share."""

    _table = "_modules"

    def _refill(self, modules: Iterable[Module | None]) -> None:
        self.__dict__["_modules"] = {str(i): module for i, module in enumerate(modules)}
        self._name_parts(self._path)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self._modules[self._key(index)]
        chosen = list(self._modules.items())[index]
        named = isinstance(self, Sequential)
        part = type(self)()  # filled past add_module: these modules keep the paths they have in the whole model
        part.__dict__["_modules"] = {name if named else str(i): module for i, (name, module) in enumerate(chosen)}
        return part

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, self._key(index), _module(module))

    def __delitem__(self, index: Any) -> None:
        doomed = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        left = {name: module for name, module in self._modules.items() if name not in doomed}
        if all(name.isdecimal() for name in self._modules):
            self._refill(left.values())
        else:
            self.__dict__["_modules"] = left

    def append(self: _List, module: Module) -> _List:
        """Add a module at the end."""
        self.add_module(str(len(self)), _module(module))
        return self

    def extend(self: _List, modules: Iterable[Module]) -> _List:
        """Add modules at the end, in their order."""
        for module in [_module(module) for module in modules]:
            self._modules[str(len(self))] = module
        self._name_parts(self._path)
        return self

    def insert(self: _List, index: int, module: Module) -> _List:
        """Put a module before the one at ``index``."""
        modules = list(self)
        if not -len(modules) <= index <= len(modules):
            raise IndexError(f"index: {index} is not allowed; allowed: {-len(modules)} to {len(modules)}")
        modules.insert(index, _module(module))
        self._refill(modules)
        return self

    def pop(self, index: int = -1) -> Module:
        """Take a module out."""
        module = self[index]
        del self[index]
        return module

    def __add__(self: _List, modules: Iterable[Module]) -> _List:
        return type(self)().extend(self).extend(modules)


class Sequential(_ModuleSequence):
    """Modules applied one after another; their names are "0", "1", ... or the keys of the one dict given.

    >>> Sequential(Identity(), Identity())
    Sequential(
      (0): Identity()
      (1): Identity()
    )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, _module(module))
        else:
            for i, given in enumerate(modules):
                self.add_module(str(i), _module(given))

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_ModuleSequence):
    """A list of modules whose parameters belong to the module that holds it; it has no ``forward``."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)


class ModuleDict(HeldDict):
    """A dict of modules whose parameters belong to the module that holds it; it has no ``forward``."""

    _table = "_modules"

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, _module(module))

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add the modules of a mapping or of pairs, replacing those of equal names."""
        for key, module in self._pairs(modules):
            self[key] = module


class Identity(Module):
    """Its input; arguments of the constructor are ignored, as in PyTorch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` as one; all but the batch axis by default.

    >>> import halfsim as hs
    >>> Flatten()(hs.tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Tensor:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis ``dim`` as several of sizes ``unflattened_size``, one of which may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Tensor:
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
