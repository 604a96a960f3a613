"""Module and Parameter: named parts of a model, each with a path and, if wanted, a precision of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from halfsim.autograd.policy import Rule, as_rule, scoped
from halfsim.autograd.tensor import Tensor, plain, tensor
from halfsim.numerics.formats import as_format, float16, float32, float64, unknown


class Parameter(Tensor):
    """A tensor that a module learns; its ``name`` is its path in the outermost module, as "0.weight"."""

    __slots__ = ()

    def __init__(self, data: Tensor) -> None:
        super().__init__(data.data, data.format, requires_grad=True)


class Module:
    """The base of all layers, used as PyTorch's: assign parameters and modules to attributes, write ``forward``.

    ``precision`` (None, a Precision, a Policy or a string such as "fp16") rules the operations inside, unless
    a scope with ``override`` is in force.
    """

    _parameters: dict[str, Parameter]
    _modules: dict[str, Module]
    training: bool

    def __init__(self) -> None:
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_precision", None)
        object.__setattr__(self, "_path", "")
        object.__setattr__(self, "training", True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        rule = self._precision
        with scoped(path=self._path) if rule is None else scoped(path=self._path, rule=rule):
            return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Parameter, Module)):
            if "_modules" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning {name}")
            self.__dict__.pop(name, None)
            self._parameters.pop(name, None)
            self._modules.pop(name, None)
            (self._parameters if isinstance(value, Parameter) else self._modules)[name] = value  # type: ignore[index]
            self._name_parts(self._path)
        elif name in self.__dict__.get("_parameters", {}) and value is None:
            del self._parameters[name]
            object.__setattr__(self, name, None)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_modules"):
            found = self.__dict__.get(table, {}).get(name)
            if found is not None:
                return found
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _name_parts(self, path: str) -> None:
        """Tell every part its path from here down; the outermost module to hold a part tells it last."""
        object.__setattr__(self, "_path", path)
        for name, parameter in self._parameters.items():
            parameter.name = f"{path}.{name}" if path else name
        for name, module in self._modules.items():
            module._name_parts(f"{path}.{name}" if path else name)

    @property
    def precision(self) -> Rule | None:
        return self._precision  # type: ignore[no-any-return]

    @precision.setter
    def precision(self, spec: object) -> None:
        object.__setattr__(self, "_precision", None if spec is None else as_rule(spec))

    def assign(self, precisions: Mapping[str, object]) -> Module:
        """Set the precision of modules by path, as ``{"fc1": "fp16"}``; ``ValueError`` for an unknown path."""
        modules = dict(self.named_modules())
        for path in precisions:
            if path not in modules:
                raise unknown("path", path, [name for name in modules if name])
        for path, spec in precisions.items():
            modules[path].precision = spec
        return self

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside it, each with its path."""
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def children(self) -> Iterator[Module]:
        yield from self._modules.values()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its path, in the order of definition."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, parameter in module._parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{path}.{name}" if path else name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once, in the order of definition."""
        return (parameter for _, parameter in self.named_parameters())

    def state_dict(self) -> dict[str, Tensor]:
        """The values of all parameters by path. Operations never write into arrays, so this is a snapshot."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set all parameters from tensors or arrays by path, rounded to each parameter's format.

        ``ValueError`` that lists every missing, unexpected and misshapen key; then nothing is changed.
        """
        own = dict(self.named_parameters())
        wrong = [f"missing {key}" for key in own if key not in state]
        wrong += [f"unexpected {key}" for key in state if key not in own]
        for key in own.keys() & state.keys():
            shape = np.shape(plain(state[key]))
            if shape != own[key].shape:
                wrong.append(f"{key} has shape {shape}, not {own[key].shape}")
        if wrong:
            raise ValueError(f"state: {'; '.join(sorted(wrong))}")
        loaded = {key: tensor(state[key], parameter.format).data for key, parameter in own.items()}
        for key, parameter in own.items():
            parameter.data = loaded[key]

    def to(self, format: object) -> Module:
        """Round every parameter (and its gradient) to ``format``; this changes the weights, not the arithmetic."""
        fmt = as_format(format)
        for parameter in self.parameters():
            parameter.data = tensor(parameter, fmt).data
            parameter.format = fmt
            if parameter.grad is not None:
                parameter.grad = tensor(parameter.grad, fmt)
        return self

    def half(self) -> Module:
        return self.to(float16)

    def float(self) -> Module:
        return self.to(float32)

    def double(self) -> Module:
        return self.to(float64)

    def train(self, mode: bool = True) -> Module:
        for _, module in self.named_modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Module:
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget every gradient: ``grad`` is None."""
        for parameter in self.parameters():
            parameter.grad = None

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        inner = [f"  ({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        body = "\n" + "\n".join(inner) + "\n" if inner else self.extra_repr()
        return f"{type(self).__name__}({body})"
