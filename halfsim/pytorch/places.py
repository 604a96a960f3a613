"""Where a kernel runs: the module's path, the parameter that an optimizer updates, and its state."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from halfsim.autograd.observer import active
from halfsim.autograd.scope import scope, scoped

State = tuple[str, str]  # a parameter's path, and what of it: "param", "exp_avg"


class Places:
    """Names of modules and parameters as the outermost module has them, and the hooks that learn of them.

    A module that is called by itself has the path that an outer one gave it before, else it is a root.
    """

    def __init__(self) -> None:
        self._paths: WeakKeyDictionary[torch.nn.Module, str] = WeakKeyDictionary()
        self._roots: WeakKeyDictionary[torch.nn.Module, int] = WeakKeyDictionary()
        self._names: dict[int, str] = {}  # by the parameter's memory
        self._open: list[tuple[torch.nn.Module | None, Any]] = []
        self._stepping: list[tuple[torch.optim.Optimizer, Any]] = []
        self._states: dict[int, State] = {}
        self._known = 0
        self._hooks: list[Any] = []
        self.latest = ""  # the parameter that the step is at

    def __enter__(self) -> Places:
        self._hooks = [
            register_module_forward_pre_hook(self._before),
            register_module_forward_hook(self._after, always_call=True),
            register_optimizer_step_pre_hook(self._steps),
            register_optimizer_step_post_hook(self._stepped),
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        for hook in self._hooks:
            hook.remove()
        for _, context in [*self._open, *self._stepping][::-1]:
            with suppress(RuntimeError):
                context.__exit__(None, None, None)
        self._open.clear()
        self._stepping.clear()

    def learn(self, root: torch.nn.Module) -> None:
        """Take the names of a model's parts, as its outermost module has them."""
        if root in self._roots:
            return
        self._roots[root] = 1
        for path, module in root.named_modules():
            self._paths[module] = path
        for name, p in root.named_parameters():
            self._names[_memory(p)] = name

    def _before(self, module: torch.nn.Module, args: Any) -> None:
        if not self._open:
            path = self._paths.get(module)
            if not path:
                self.learn(module)
        path = self._paths.get(module)
        if path is None:  # made or put in place since
            path = self._paths[module] = scope().path
            for name, child in module.named_modules(prefix=path):
                self._paths.setdefault(child, name)
        context = scoped(path=path, phase="forward")
        context.__enter__()
        self._open.append((module, context))

    def _after(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        while self._open:
            opened, context = self._open.pop()
            context.__exit__(None, None, None)
            if opened is module:
                break

    def _steps(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        context = scoped(phase="optimizer", path="")
        context.__enter__()
        self._stepping.append((optimizer, context))
        self._states, self._known, self.latest = {}, -1, ""
        closure = kwargs.get("closure") or (args[1] if len(args) > 1 and callable(args[1]) else None)
        if closure is None:
            return None

        def run() -> Any:
            with scoped(phase="forward", path=""):
                return closure()

        if "closure" in kwargs:
            return args, {**kwargs, "closure": run}
        return (args[0], run, *args[2:]), kwargs

    def _stepped(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        while self._stepping:
            opened, context = self._stepping.pop()
            context.__exit__(None, None, None)
            if opened is optimizer:
                break
        observer = active()
        if observer is not None:
            observer.advance()

    @property
    def stepping(self) -> torch.optim.Optimizer | None:
        """The optimizer whose step is under way."""
        return self._stepping[-1][0] if self._stepping else None

    def parameter(self, p: Any) -> State:
        """The path of the module of a parameter, and the parameter's own name there."""
        path, _, name = self.full(p).rpartition(".")
        return path, name

    def full(self, p: Any) -> str:
        """A parameter's name as its model has it; "" where none is known."""
        return self._names.get(_memory(p), "")

    def state(self, x: torch.Tensor, mode: Any) -> State | None:
        """Whose state a tensor is that an optimizer's kernel writes, and which."""
        optimizer = self.stepping
        if optimizer is None:
            return None
        memory = _memory(x)
        found = self._states.get(memory)
        if found is None:
            size = sum(len(s) for s in optimizer.state.values())
            if size != self._known:
                self._learn_states(optimizer, size)
                found = self._states.get(memory)
        return found

    def _learn_states(self, optimizer: torch.optim.Optimizer, size: int) -> None:
        self._known = size
        count = 0
        for group in optimizer.param_groups:
            for p in group["params"]:
                name = self._names.get(_memory(p)) or f"parameter {count}"
                self._names.setdefault(_memory(p), name)
                count += 1
                self._states[_memory(p)] = name, "param"
                if p.grad is not None and p.grad.layout is torch.strided:
                    self._states[_memory(p.grad)] = name, "grad"
                for key, value in optimizer.state.get(p, {}).items():
                    if isinstance(value, torch.Tensor) and value.layout is torch.strided:
                        self._states[_memory(value)] = name, str(key)

    def updated(self, x: torch.Tensor, phase: str, mode: Any) -> tuple[str, torch.Tensor | None] | None:
        """The name and the gradient of the parameter that a kernel has written into, if it is one."""
        optimizer = self.stepping
        if optimizer is not None:
            known = self.state(x, mode)
            if known is None or known[1] != "param":
                return None
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p is x or _memory(p) == _memory(x):
                        return known[0], p.grad
            return None
        if phase == "forward" and x.requires_grad and x.is_leaf and x.grad is not None:
            return self.full(x) or "a parameter", x.grad
        return None


def _memory(x: torch.Tensor) -> int:
    return int(x.untyped_storage()._cdata)
