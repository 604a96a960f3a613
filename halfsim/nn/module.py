"""Module and Parameter: named parts of a model, each with a path and, if wanted, a precision of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from halfsim.autograd.policy import Rule, as_rule, scoped
from halfsim.autograd.tensor import Tensor, tensor
from halfsim.numerics.formats import as_format, float16, float32, float64, unknown

_Named = TypeVar("_Named")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _once(pairs: Iterable[tuple[str, _Named]]) -> Iterator[tuple[str, _Named]]:
    """The pairs whose second part is met for the first time."""
    seen: set[int] = set()
    for name, part in pairs:
        if id(part) not in seen:
            seen.add(id(part))
            yield name, part


class Parameter(Tensor):
    """A tensor that a module learns; its ``name`` is its path in the outermost module, as "0.weight"."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        values = data if isinstance(data, Tensor) else tensor(data)
        super().__init__(values.data, values.format, requires_grad=True)


class Module:
    """The base of all layers, used as PyTorch's: assign parameters and modules to attributes, write ``forward``.

    ``precision`` (None, a Precision, a Policy or a string such as "fp16") rules the operations inside, unless
    a scope with ``override`` is in force.
    """

    _parameters: dict[str, Parameter | None]
    _modules: dict[str, Module | None]
    _precision: Rule | None
    _path: str
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
        tables: dict[str, dict[str, Any]] = {kind: self.__dict__.get(kind, {}) for kind in ("_parameters", "_modules")}
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if kind is None:
            held = next((table for table in tables.values() if name in table), None)
            if held is None:
                object.__setattr__(self, name, value)
            elif value is None:
                held[name] = None
            else:
                allowed = "Parameter, None" if held is tables["_parameters"] else "Module, None"
                raise TypeError(f"{name}: {type(value).__name__} is not allowed there; allowed: {allowed}")
            return
        if kind not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning {name}")
        self.__dict__.pop(name, None)
        tables["_modules" if kind == "_parameters" else "_parameters"].pop(name, None)
        tables[kind][name] = value
        self._name_parts(self._path)

    def __getattr__(self, name: str) -> Any:
        for kind in ("_parameters", "_modules"):
            if name in self.__dict__.get(kind, {}):
                return self.__dict__[kind][name]
        if name in ("_parameters", "_modules", "_precision", "_path", "training"):
            raise AttributeError(f"{type(self).__name__}: call super().__init__() first")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for kind in ("_parameters", "_modules"):
            if name in self.__dict__.get(kind, {}):
                del self.__dict__[kind][name]
                return
        object.__delattr__(self, name)

    def _name_parts(self, path: str) -> None:
        """Tell every part its path from here down; the outermost module to hold a part tells it last."""
        object.__setattr__(self, "_path", path)
        for name, parameter in self._parameters.items():
            if parameter is not None:
                parameter.name = _join(path, name)
        for name, module in self._modules.items():
            if module is not None:
                module._name_parts(_join(path, name))

    @property
    def precision(self) -> Rule | None:
        return self._precision

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

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Every module from this one down, each once, with its path."""
        return _once(self._walk(""))

    def _walk(self, path: str) -> Iterator[tuple[str, Module]]:
        """Every module from this one down as often as it is held."""
        yield path, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module._walk(_join(path, name))

    def _held(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter as often as it is held."""
        for path, module in self._walk(""):
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    yield _join(path, name), parameter

    def children(self) -> Iterator[Module]:
        return (module for module in self._modules.values() if module is not None)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its path, in the order of definition."""
        return _once(self._held())

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once, in the order of definition."""
        return (parameter for _, parameter in self.named_parameters())

    def state_dict(self) -> dict[str, Tensor]:
        """The values of all parameters by path, a shared one under each of its paths.

        Operations never write into arrays, so this is a snapshot.
        """
        return {name: parameter.detach() for name, parameter in self._held()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set all parameters from tensors or arrays by path, rounded to each parameter's format.

        ``ValueError`` that lists every missing, unexpected and unfit key; then nothing is changed. ``TypeError`` for
        what is no mapping.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state: {type(state).__name__} is not allowed; allowed: a mapping from names to arrays")
        own, loaded = dict(self._held()), {}
        wrong = [f"missing {key}" for key in own if key not in state]
        wrong += [f"unexpected {key}" for key in state if key not in own]
        for key in own.keys() & state.keys():
            try:
                loaded[key] = tensor(state[key], own[key].format).data
            except (TypeError, ValueError, RuntimeError) as error:
                wrong.append(f"{key}: {error}")
                continue
            if loaded[key].shape != own[key].shape:
                wrong.append(f"{key} has shape {loaded[key].shape}, not {own[key].shape}")
        if wrong:
            raise ValueError(f"state: {'; '.join(sorted(wrong))}")
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
            module.training = mode
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
