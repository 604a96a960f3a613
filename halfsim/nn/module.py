"""Module: named parts of a model, each with a path and, if wanted, a precision of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from halfsim.autograd.policy import Policy, Rule, as_rule, scope, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.nn.conversion import Conversion, convert
from halfsim.nn.hooks import Handle, called
from halfsim.nn.parameter import Parameter, as_buffer
from halfsim.nn.state import IncompatibleKeys, load, snapshot
from halfsim.nn.walking import at, first_met, join, parts, walk
from halfsim.numerics.formats import bfloat16, float16, float32, float64, unknown
from halfsim.numerics.quantize import Array

_Self = TypeVar("_Self", bound="Module")

_TABLES = ("_parameters", "_buffers", "_modules")
_ALLOWED = {"_parameters": "Parameter, None", "_modules": "Module, None"}


class Module:
    """The base of all layers, used as PyTorch's: assign parameters and modules to attributes, write ``forward``.

    ``precision`` (None, a Precision, a Policy or a string such as "fp16") rules the operations inside, unless
    a scope with ``override`` is in force. ``conversion`` is the report of the latest `to`, None before it.
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | Array | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # buffers that are not in the state
    _hooks: dict[str, dict[int, tuple[Callable[..., Any], bool]]]
    _precision: Rule | None
    _path: str
    training: bool
    conversion: Conversion | None

    def __init__(self) -> None:
        fresh: dict[str, Any] = {"_parameters": {}, "_buffers": {}, "_modules": {}, "_transient": set(), "_hooks": {}}
        self.__dict__.update(fresh, _precision=None, _path="", training=True, conversion=None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._scope():
            return called(self, self._hooks, args, kwargs) if self._hooks else self.forward(*args, **kwargs)

    def _scope(self) -> Any:
        """The scope of this module's operations; a policy that names paths this model lacks is refused here."""
        here, own = scope(), self._precision
        changes: dict[str, Any] = {"path": self._path}
        if own is not None and not here.override:
            changes |= {"rule": own, "base": self._path}
        rule = changes.get("rule", here.rule)
        outermost = rule is own or not (self._path or here.path)
        if isinstance(rule, Policy) and rule.by_path and outermost and any(self._modules.values()):
            rule.check(self, (path for path, _ in self.named_modules()))
        return scoped(**changes)

    # Parts and their names.

    def __setattr__(self, name: str, value: Any) -> None:
        held = next((kind for kind in _TABLES if name in self.__dict__.get(kind, ())), None)
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else held
        if kind is None:
            object.__setattr__(self, name, value)
            return
        if kind not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning {name}")
        if kind == "_buffers":
            value = as_buffer(name, value)
        elif kind == held and value is not None and not isinstance(value, (Parameter, Module)):
            raise TypeError(f"{name}: {type(value).__name__} is not allowed there; allowed: {_ALLOWED[kind]}")
        self.__dict__.pop(name, None)
        if held is not None and held != kind:
            del self.__dict__[held][name]
        self.__dict__[kind][name] = value
        if kind != "_buffers" or isinstance(value, Tensor):
            self._name_parts(self._path)

    def __getattr__(self, name: str) -> Any:
        for kind in _TABLES:
            if name in self.__dict__.get(kind, ()):
                return self.__dict__[kind][name]
        if name in Module.__annotations__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() first")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for kind in _TABLES:
            if name in self.__dict__.get(kind, ()):
                del self.__dict__[kind][name]
                self._transient.discard(name)
                return
        object.__delattr__(self, name)

    def _register(self, kind: str, name: str, part: Any, wanted: type) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"name: {name!r} is not allowed; allowed: strings that are not empty, without '.'")
        if kind not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before registering {name}")
        if hasattr(self, name) and name not in self.__dict__[kind]:
            raise ValueError(f"name: {name!r} is an attribute already; allowed: names not in use")
        if part is not None and not isinstance(part, wanted):
            raise TypeError(f"{name}: {type(part).__name__} is not allowed there; allowed: {_ALLOWED[kind]}")
        self.__dict__[kind][name] = part
        self._name_parts(self._path)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None in its place; ``ValueError`` for a name with a dot or in use."""
        self._register("_parameters", name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | Array | None, persistent: bool = True) -> None:
        """Add a tensor that is not learned: part of the state, unless ``persistent`` is false.

        A floating-point array becomes a Tensor; integer and bool arrays stay as they are, and `to` leaves them.
        """
        self._register("_buffers", name, as_buffer(name, tensor), object)
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module under a name that need not be an identifier."""
        self._register("_modules", name, module, Module)

    register_module = add_module

    def _name_parts(self, path: str) -> None:
        """Tell every part its path from here down; the outermost module to hold a part tells it last."""
        self.__dict__["_path"] = path
        for name, part in (*self._parameters.items(), *self._buffers.items()):
            if isinstance(part, Tensor):
                part.name = join(path, name)
        for name, module in self._modules.items():
            if module is not None:
                module._name_parts(join(path, name))

    # Walking over the parts.

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Every module from this one down, each once, with its path."""
        found = walk(self, prefix)
        return first_met(found) if remove_duplicate else found

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return first_met((name, module) for name, module in self._modules.items() if module is not None)

    def children(self) -> Iterator[Module]:
        """Every module that this one holds itself, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its path, in the order of definition."""
        found: Iterator[tuple[str, Parameter]] = parts(self, "_parameters", prefix, recurse)
        return first_met(found) if remove_duplicate else found

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter once, in the order of definition."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor | Array]]:
        """Every buffer once, with its path, those outside the state included."""
        found: Iterator[tuple[str, Tensor | Array]] = parts(self, "_buffers", prefix, recurse)
        return first_met(found) if remove_duplicate else found

    def buffers(self, recurse: bool = True) -> Iterator[Tensor | Array]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at the path ``target``, as "body.1"; ``AttributeError`` that names the nearest path."""
        return at("module", target, dict(self.named_modules(remove_duplicate=False)))

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the path ``target``, as "body.1.weight"; ``AttributeError`` as above."""
        return at("parameter", target, dict(self.named_parameters(remove_duplicate=False)))

    def get_buffer(self, target: str) -> Tensor | Array:
        return at("buffer", target, dict(self.named_buffers(remove_duplicate=False)))

    def apply(self: _Self, fn: Callable[[Module], Any]) -> _Self:
        """Call ``fn`` with every module from the innermost to this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # Precision.

    @property
    def precision(self) -> Rule | None:
        return self._precision

    @precision.setter
    def precision(self, spec: object) -> None:
        object.__setattr__(self, "_precision", None if spec is None else as_rule(spec))

    def assign(self: _Self, precisions: Mapping[str, object]) -> _Self:
        """Set the precision of modules by path, as ``{"fc1": "fp16"}``; ``ValueError`` for an unknown path."""
        modules = dict(self.named_modules())
        for path in precisions:
            if path not in modules:
                raise unknown("path", path, [name for name in modules if name])
        for path, spec in precisions.items():
            modules[path].precision = spec
        return self

    def to(self: _Self, format: object = None, *, dtype: object = None) -> _Self:
        """Round every parameter (and its gradient) and every floating-point buffer to ``format``.

        This changes the weights, not the arithmetic. ``conversion`` then says what it lost, see `Conversion`; a
        `ConversionWarning` tells of values that became infinite, and of tensors of whose nonzero values more than
        one in a thousand became zero. ``dtype`` is PyTorch's name for ``format``.
        """
        self.__dict__["conversion"] = convert(self, format if dtype is None else dtype)
        return self

    def half(self: _Self) -> _Self:
        return self.to(float16)

    def bfloat16(self: _Self) -> _Self:
        return self.to(bfloat16)

    def float(self: _Self) -> _Self:
        return self.to(float32)

    def double(self: _Self) -> _Self:
        return self.to(float64)

    # State and mode.

    def state_dict(self, *, prefix: str = "") -> dict[str, Any]:
        """The values of all parameters and buffers by path (after ``prefix``), a shared one under each of its paths.

        Tensors are detached, integer buffers are copies. Operations never write into arrays, so this is a snapshot.
        """
        return snapshot(self, prefix)

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Set all parameters and buffers from tensors or arrays by path, rounded to each one's format.

        Under a Precision whose storage is wider than that format they take the wider one. Without ``strict`` missing
        and unexpected keys are allowed and returned. ``ValueError`` that lists every wrong and unfit key; then
        nothing is changed. ``TypeError`` for what is no mapping.
        """
        return load(self, state, strict)

    def train(self: _Self, mode: bool = True) -> _Self:
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: _Self) -> _Self:
        return self.train(False)

    def requires_grad_(self: _Self, requires_grad: bool = True) -> _Self:
        """Let every parameter take a gradient, or none."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every gradient: ``grad`` is None, or zero without ``set_to_none``."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                zero = None if set_to_none else Tensor(np.zeros_like(parameter.grad.array), parameter.grad.format)
                parameter.grad = zero

    # Hooks and looks.

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, args)`` before every ``forward``; what it returns, if not None, replaces ``args``.

        With ``with_kwargs`` it is ``hook(module, args, kwargs)``, which returns None or both. The handle's
        ``remove()`` takes the hook away.
        """
        return Handle(self._hooks, "before", hook, with_kwargs, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, args, output)`` after every ``forward``; what it returns, if not None, is the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``.
        """
        return Handle(self._hooks, "after", hook, with_kwargs, prepend)

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        inner = [f"  ({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        body = "\n" + "\n".join(inner) + "\n" if inner else self.extra_repr()
        return f"{type(self).__name__}({body})"
