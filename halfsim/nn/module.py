"""Module: named parts of a model, each with a path and, if wanted, a precision of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from halfsim.autograd.policy import Policy, Rule, as_rule
from halfsim.autograd.scope import scope, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.card import Card
from halfsim.markup import Lines
from halfsim.names import near
from halfsim.nn.conversion import Conversion, convert, loaded
from halfsim.nn.hooks import Handle, Table, called
from halfsim.nn.parameter import Buffer, Parameter, as_buffer
from halfsim.nn.placement import check_device, placed, wanted_format
from halfsim.nn.state import IncompatibleKeys, State, load, snapshot
from halfsim.nn.walking import at, described, first_met, join, parts, unseen, walk
from halfsim.numerics.formats import bfloat16, float16, float32, float64, unknown
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_class
from halfsim.text import counted

_Self = TypeVar("_Self", bound="Module")

_TABLES = ("_parameters", "_buffers", "_modules")
_ALLOWED = {"_parameters": "Parameter, None", "_modules": "Module, None"}


class Module(Card):
    """The base of all layers, used as PyTorch's: assign parameters and modules to attributes, write ``forward``.

    ``precision`` (None, a Precision, a Policy or a string such as "fp16") rules the operations inside, unless
    a scope with ``override`` is in force. ``conversion`` is the report of the latest `to`, or
    `load_state_dict` that rounded; None before.
    """

    __argument__ = "a Module"
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | Array | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # buffers that are not in the state
    _hooks: Table
    _precision: Rule | None
    _path: str
    training: bool
    conversion: Conversion | None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Layers of this package take PyTorch's ``device`` and ``dtype``, see `placed`."""
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("halfsim.nn."):
            guarded_class(cls)
            if "__init__" in vars(cls):
                cls.__init__ = placed(cls.__init__)  # type: ignore[method-assign]

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
        if isinstance(value, Buffer) and name not in self.__dict__.get("_buffers", ()):
            self.register_buffer(name, value, value.persistent)
            return
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
        alike = [one for one in dir(self) if one[0] == name[:1] != "_"]  # few, since hasattr() comes here too
        hint = "".join(f"; did you mean {one!r}?" for one in near(name, alike))
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for kind in _TABLES for name in self.__dict__.get(kind, ()))})

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

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Every module from this one down, each once, with its path; those in ``memo`` are left out and new ones added.

        As in PyTorch, a module's parts are left out with it.
        """
        if not remove_duplicate:
            return walk(self, prefix)
        return unseen(self, prefix, set() if memo is None else memo)

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

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put ``module`` at the path ``target``; with ``strict`` only in the place of another."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if strict and name not in owner._modules:
            at("module", target, dict(self.named_modules(remove_duplicate=False)))
        setattr(owner, name, module)

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

    def to(
        self: _Self,
        format: object = None,
        *flags: object,
        dtype: object = None,
        device: object = None,
        non_blocking: bool = False,
        memory_format: object = None,
    ) -> _Self:
        """Round every parameter (and its gradient) and every floating-point buffer to ``format``.

        This changes the weights, not the arithmetic. ``conversion`` then says what it lost, see `Conversion`; a
        `ConversionWarning` tells of values that became infinite, and of tensors of whose nonzero values more than
        one in a thousand became zero. ``dtype`` is PyTorch's name for ``format``. A device, in the place of the format
        or before it, and PyTorch's other arguments change nothing; of a tensor its format is taken.

        >>> import halfsim as hs
        >>> hs.nn.Linear(2, 1).to("cuda", "fp16").weight.format.name
        'float16'
        """
        wanted = wanted_format(format, *flags, device=device, dtype=dtype)
        if wanted is not None:
            self.__dict__["conversion"] = convert(self, wanted)
        return self

    def type(self: _Self, dst_type: object) -> _Self:
        """`to` by the name of a format."""
        return self.to(dst_type)

    def half(self: _Self) -> _Self:
        return self.to(float16)

    def bfloat16(self: _Self) -> _Self:
        return self.to(bfloat16)

    def float(self: _Self) -> _Self:
        return self.to(float32)

    def double(self: _Self) -> _Self:
        return self.to(float64)

    # Devices, which change nothing here.

    def cpu(self: _Self) -> _Self:
        return self

    def cuda(self: _Self, device: object = None) -> _Self:
        check_device(device)
        return self

    def xpu(self: _Self, device: object = None) -> _Self:
        check_device(device)
        return self

    def to_empty(self: _Self, *, device: object, recurse: bool = True) -> _Self:
        """The module: what it holds is kept."""
        check_device(device)
        return self

    def share_memory(self: _Self) -> _Self:
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: there is nothing to compile."""

    # State and mode.

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The values of all parameters and buffers by path (after ``prefix``), a shared one under each of its paths.

        Tensors are detached, unless ``keep_vars``, integer buffers are copies. Operations never write into arrays, so
        this is a snapshot. With ``destination`` they are added to that dict.
        """
        return snapshot(self, State() if destination is None else destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Set all parameters and buffers from tensors or arrays by path, rounded to each one's format.

        Under a Precision whose storage is wider than that format they take the wider one, with ``assign`` that of the
        tensor given. Where values were rounded ``conversion`` says what that cost, as after `to`, with the same
        warning. Without ``strict`` missing and unexpected keys are allowed and returned. ``ValueError`` that lists
        every wrong and unfit key; then nothing is changed. ``TypeError`` for anything but a mapping.
        """
        keys, rounded = load(self, state_dict, strict, assign)
        if rounded:
            self.__dict__["conversion"] = loaded(rounded)
        return keys

    def get_extra_state(self) -> Any:
        """What else belongs to the state, under "_extra_state"; a subclass that has it defines this and the next."""
        raise NotImplementedError(f"{type(self).__name__}: get_extra_state is not defined")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise NotImplementedError(f"{type(self).__name__}: set_extra_state is not defined")

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
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Handle:
        """Call ``hook(module, args, output)`` after every ``forward``; what it returns, if not None, is the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``; with ``always_call`` it is called after an
        error too, with None for the output.
        """
        return Handle(self._hooks, "after", hook, with_kwargs, prepend, always_call)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_output)`` when the gradients of the results are known, before they go on.

        ``grad_output`` is a tuple with a tensor for each result of ``forward``, or None; what the hook returns, if not
        None, takes its place.
        """
        return Handle(self._hooks, "backward before", hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the positional arguments are known.

        Both are tuples of tensors and None; what the hook returns, if not None, takes the place of ``grad_input``.
        Where no argument takes a gradient it is called with those of the results, as in PyTorch.
        """
        return Handle(self._hooks, "backward", hook, prepend=prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, prefix, keep_vars)`` before `state_dict` reads this module."""
        return Handle(self._hooks, "state before", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after it, which may change the dict."""
        return Handle(self._hooks, "state", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)`` before loading.

        The dict is a copy, which the hook may change; what it adds to the three lists is told with the rest.
        """
        return Handle(self._hooks, "load before", hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, incompatible_keys)`` before wrong keys are refused; it may change the lists."""
        return Handle(self._hooks, "load", hook)

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        return described(self)

    def _card(self) -> Any:
        formats = sorted({str(p.format) for p in self.parameters()})
        held = counted(sum(p.size for p in self.parameters()), "parameter")
        return [("", Lines(repr(self))), ("", f"{held} in {', '.join(formats)}" if formats else held)]


guarded_class(Module)
