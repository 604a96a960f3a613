"""Lists and dicts of parameters, which belong to the module that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from halfsim.autograd.tensor import Tensor
from halfsim.nn.held import HeldDict, HeldList
from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter


def _parameter(value: Any) -> Parameter:
    if not isinstance(value, Tensor):
        raise TypeError(f"values: {type(value).__name__} is not allowed; allowed: Parameter, Tensor")
    return value if isinstance(value, Parameter) else Parameter(value)


class _Parameters(Module):
    """What both share: how they print."""

    _table = "_parameters"

    def extra_repr(self) -> str:
        rows = self._parameters.items()
        return "\n".join(f"({name}): Parameter of {p.format}, shape {p.shape}" for name, p in rows if p is not None)


class ParameterList(_Parameters, HeldList):
    """A list of parameters; a Tensor among the values becomes a `Parameter`. It has no ``forward``."""

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = type(self)()  # filled past register_parameter: these keep the names they have in the whole model
            chosen = list(self._parameters.values())[index]
            part.__dict__["_parameters"] = {str(i): parameter for i, parameter in enumerate(chosen)}
            return part
        return self._parameters[self._key(index)]

    def __setitem__(self, index: int, value: Tensor) -> None:
        setattr(self, self._key(index), _parameter(value))

    def append(self, value: Tensor) -> ParameterList:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self


class ParameterDict(_Parameters, HeldDict):
    """A dict of parameters; a Tensor among the values becomes a `Parameter`. It has no ``forward``.

    >>> import halfsim as hs
    >>> ParameterDict({"scale": hs.tensor([1.0])})["scale"].requires_grad
    True
    """

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None) -> None:
        super().__init__()
        self.update({} if parameters is None else parameters)

    def __setitem__(self, key: str, value: Tensor) -> None:
        self.register_parameter(key, _parameter(value))

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._parameters)

    def __or__(self, other: Mapping[str, Tensor] | ParameterDict) -> ParameterDict:
        return self.copy().update(other)

    def __ior__(self, other: Mapping[str, Tensor] | ParameterDict) -> ParameterDict:
        return self.update(other)

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter under ``key``, or ``default``."""
        return self._parameters.get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter under ``key``, which is ``default`` if there was none."""
        if key not in self:
            self[key] = default
        return self[key]

    def popitem(self) -> tuple[str, Any]:
        """Take the last one out, with its key."""
        if not self:
            raise KeyError("popitem: the dict is empty; allowed: one that holds a parameter")
        return self._parameters.popitem()

    def copy(self) -> ParameterDict:
        """A dict of the same parameters."""
        return type(self)(dict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A dict with ``default`` under each key."""
        return type(self)((key, default) for key in keys)

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | ParameterDict) -> ParameterDict:
        """Add the parameters of a mapping or of pairs, replacing those of equal names."""
        for key, value in self._pairs(parameters):
            self[key] = value
        return self
