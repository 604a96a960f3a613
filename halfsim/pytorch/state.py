"""How an experiment in PyTorch is kept, put back and read: for comparing, searching and mending."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

import torch

from halfsim.diagnose import foreign
from halfsim.numerics.quantize import Array

_Restore = Callable[[], Any]


def _array(x: torch.Tensor) -> Array:
    """A tensor's numbers."""
    x = x.detach().cpu()
    if not x.is_floating_point():
        return x.numpy()
    return (x if x.dtype in (torch.float32, torch.float64) else x.float()).numpy()


def _named(module: torch.nn.Module) -> dict[str, Any]:
    """A model's parameters and buffers, by name."""
    return {name: _array(x) for name, x in (*module.named_parameters(), *module.named_buffers())}


def _tensor(x: torch.Tensor) -> _Restore:
    held, grad = x.detach().clone(), x.grad
    kept = None if grad is None else grad.detach().clone()

    def restore() -> None:
        with torch.no_grad():
            x.data = held.clone()
            if x.is_leaf:
                x.grad = None if kept is None else kept.clone()

    return restore


def _module(module: torch.nn.Module) -> _Restore:
    parts = [_tensor(x) for x in (*module.parameters(), *module.buffers())]
    modes = [(m, m.training) for m in module.modules()]

    def restore() -> None:
        for part in parts:
            part()
        for m, training in modes:
            m.training = training

    return restore


def _optimizer(optimizer: torch.optim.Optimizer) -> _Restore:
    state = {p: _copied(held) for p, held in optimizer.state.items()}
    groups = [{k: v if k == "params" else deepcopy(v) for k, v in g.items()} for g in optimizer.param_groups]
    parts = [_tensor(p) for g in optimizer.param_groups for p in g["params"]]

    def restore() -> None:
        for part in parts:
            part()
        optimizer.state.clear()
        optimizer.state.update({p: _copied(held) for p, held in state.items()})
        for group, held in zip(optimizer.param_groups, groups, strict=True):
            group.update({k: v if k == "params" else deepcopy(v) for k, v in held.items()})

    return restore


def _copied(held: Any) -> Any:
    if isinstance(held, torch.Tensor):
        return held.detach().clone()
    return {k: _copied(v) for k, v in held.items()} if isinstance(held, dict) else copy(held)


def _attributes(x: Any) -> _Restore:
    """Of schedulers and scalers: every attribute, tensors and lists as copies."""
    held = {k: _copied(v) for k, v in vars(x).items()}
    return lambda: vars(x).update({k: _copied(v) for k, v in held.items()})


def _generator(x: torch.Generator) -> _Restore:
    state = x.get_state()
    return lambda: x.set_state(state)


def _random() -> _Restore:
    state = torch.get_rng_state()
    return lambda: torch.set_rng_state(state)


foreign.READERS.update({torch.Tensor: _array, torch.nn.Module: _named})
foreign.KEEPERS.update({
    torch.nn.Module: _module, torch.optim.Optimizer: _optimizer, torch.Tensor: _tensor,
    torch.optim.lr_scheduler.LRScheduler: _attributes, torch.amp.GradScaler: _attributes, torch.Generator: _generator,
})  # fmt: skip
foreign.RANDOM.append(_random)
