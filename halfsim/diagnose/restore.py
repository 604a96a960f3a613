"""What an experiment closes over: models, optimizers, random streams, put back between its runs."""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from typing import Any

import numpy as np

from halfsim.amp import GradScaler
from halfsim.autograd.random import generator, manual_seed
from halfsim.autograd.tensor import Tensor
from halfsim.checkpoint.tree import copied
from halfsim.nn.module import Module
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import container
from halfsim.optim import EMA, Optimizer
from halfsim.optim.lr_scheduler import LRScheduler

Back = Callable[[], None]

_KINDS = (Module, Tensor, Optimizer, GradScaler, LRScheduler, EMA, np.random.Generator)


def listed(given: object, kind: type, argument: str) -> list[Any]:
    """``given`` as a list: None, one object, or a list of them; ``TypeError`` for one of another kind."""
    items = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"{argument}: {type(item).__name__} is not allowed; allowed: {kind.__name__}, None")
    return items


def closed_over(function: object) -> list[Any]:
    """What a function names itself from outside and may change: models, tensors, optimizers, scalers, generators, ...

    Those in a list, tuple or dict that it names are found too.
    """
    try:
        found = inspect.getclosurevars(function)  # type: ignore[arg-type]  # refuses what is no function
    except TypeError:
        return []
    named = (*found.nonlocals.values(), *found.globals.values())
    held = [x for x in named if isinstance(x, (list, tuple, dict))]
    inner = (item for x in held for item in (x.values() if isinstance(x, dict) else x))
    return [x for x in (*named, *inner) if isinstance(x, _KINDS)]


class Snapshot:
    """The state of some objects and of the random streams, as they are when it is made; `restore` brings it back.

    Of a model: parameters and buffers with their formats and gradients, training mode; of an optimizer: groups, state
    and the stream of its rounding; a scaler's scale and history; everything that has a ``state_dict``. The generator
    of `manual_seed`, NumPy's and Python's global ones go on from the same place too.
    """

    def __init__(self, parts: Iterable[Any]) -> None:
        self._parts = list({id(part): part for part in parts}.values())
        self._backs = [back for part in self._parts for back in _backs(part)]
        self._stream = copy.deepcopy(generator().bit_generator.state)
        self._global = np.random.get_state(), random.getstate()

    def restore(self, widest: Format | None = None) -> None:
        """Put everything back; tensors of formats that ``widest`` contains are carried in that."""
        for back in self._backs:
            back()
        if widest is not None:
            for tensor in _tensors(self._parts):
                _widen(tensor, widest)
        np.random.set_state(self._global[0])
        random.setstate(self._global[1])

    def reseed(self, seed: int | None = None) -> None:
        """Give the context in force a generator of its own, at ``seed`` or where the one outside was."""
        manual_seed(0 if seed is None else seed)
        if seed is None:
            generator().bit_generator.state = copy.deepcopy(self._stream)


def _widen(tensor: Tensor, widest: Format) -> None:
    if tensor.format != widest and widest.contains(tensor.format):
        tensor.data, tensor.format = tensor.data.astype(container(widest)), widest
        if tensor.grad is not None:
            tensor.grad = Tensor(tensor.grad.data.astype(container(widest)), widest)


def _tensors(parts: Iterable[Any]) -> Iterator[Tensor]:
    for part in parts:
        if isinstance(part, Module):
            yield from (x for x in (*part.parameters(), *part.buffers()) if isinstance(x, Tensor))
        elif isinstance(part, Optimizer):
            for group in part.param_groups:
                yield from group["params"]
            for state in part.state.values():
                yield from (x for x in state.values() if isinstance(x, Tensor))
        elif isinstance(part, Tensor) and part.requires_grad:
            yield part


def _backs(part: Any) -> Iterator[Back]:
    """What puts ``part`` back into its present state, piece by piece."""
    if isinstance(part, Module):
        for module in part.modules():
            yield _module(module)
            held = (*module._parameters.values(), *module._buffers.values())
            yield from (_tensor(x) for x in held if isinstance(x, Tensor))
    elif isinstance(part, Tensor):
        yield _tensor(part)
    elif isinstance(part, Optimizer):
        yield from (_tensor(p) for group in part.param_groups for p in group["params"])
        yield _optimizer(part)
    elif isinstance(part, np.random.Generator):
        state = copy.deepcopy(part.bit_generator.state)
        yield lambda: setattr(part.bit_generator, "state", copy.deepcopy(state))
    elif isinstance(part, GradScaler):
        yield _attributes(part, dict(part.__dict__))
    else:
        kept = copied(part.state_dict())
        yield lambda: Context().run(part.load_state_dict, copied(kept))  # where no precision in force may widen it


def _tensor(x: Tensor) -> Back:
    kept = {name: getattr(x, name) for name in ("data", "format", "grad", "requires_grad", "shadow")}
    gradient = None if x.grad is None else (x.grad, x.grad.data, x.grad.format)

    def back() -> None:
        for name, value in kept.items():
            setattr(x, name, value)
        if gradient is not None:
            gradient[0].data, gradient[0].format = gradient[1:]

    return back


def _module(module: Module) -> Back:
    parameters, buffers = dict(module._parameters), dict(module._buffers)
    arrays = {name: x.copy() for name, x in buffers.items() if isinstance(x, np.ndarray)}
    kept = {name: module.__dict__[name] for name in ("training", "_precision", "conversion")}

    def back() -> None:
        module._parameters.clear()
        module._parameters.update(parameters)
        module._buffers.clear()
        module._buffers.update(buffers, **{name: x.copy() for name, x in arrays.items()})
        module.__dict__.update(kept)

    return back


def _optimizer(optimizer: Optimizer) -> Back:
    groups = [dict(group) for group in optimizer.param_groups]
    state = {p: _own(values) for p, values in optimizer.state.items()}
    written = dict(optimizer._written)
    position = None if optimizer.rounding is None else optimizer.rounding.get_state()

    def back() -> None:
        del optimizer.param_groups[len(groups) :]
        for group, kept in zip(optimizer.param_groups, groups, strict=True):
            group.clear()
            group.update(kept, params=list(kept["params"]))
        optimizer.state = {p: _own(values) for p, values in state.items()}
        optimizer._written = dict(written)
        if optimizer.rounding is not None and position is not None:
            optimizer.rounding.set_state(position)

    return back


def _own(values: dict[str, Any]) -> dict[str, Any]:
    return {k: Tensor(x.data, x.format) if isinstance(x, Tensor) else copied(x) for k, x in values.items()}


def _attributes(part: Any, kept: dict[str, Any]) -> Back:
    kept = copy.deepcopy(kept)

    def back() -> None:
        part.__dict__.clear()
        part.__dict__.update(copy.deepcopy(kept))

    return back
