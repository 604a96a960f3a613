"""Running an experiment several times from one state: a snapshot of models, optimizers and random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from copy import deepcopy
from typing import Any

import numpy as np

from halfsim.autograd.observer import Observer, observing
from halfsim.autograd.policy import Policy, Rule
from halfsim.autograd.random import Generator, generator, manual_seed
from halfsim.autograd.scope import precision, scope, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.diagnose import foreign
from halfsim.diagnose.reach import KINDS
from halfsim.nn.module import Module
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import holder
from halfsim.numerics.rounding import Stochastic
from halfsim.optim import Optimizer

_Restore = Callable[[], Any]


def listed(given: object, kind: type, argument: str) -> list[Any]:
    """``given`` as a list: None, one object, or a list of them; ``TypeError`` for one of another kind."""
    items = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    for item in items:
        if not isinstance(item, kind) and foreign.keeper(item) is None:
            raise TypeError(f"{argument}: {type(item).__name__} is not allowed; allowed: {kind.__name__}, None")
    return items


class Snapshot:
    """The state of ``objects`` and of the random numbers, to go back to as often as wanted.

    Objects are tensors, generators (NumPy's too) and what has a ``state_dict`` (modules, optimizers, scalers,
    schedulers, averages; None is passed over): every attribute is kept, so gradients, formats, training modes, buffers
    and attributes that a run has set come back too, into the same tensors, arrays, lists and dicts. Random numbers are
    those of `halfsim.manual_seed`, of stochastic roundings in force and in the objects, of ``numpy.random`` and of
    ``random``; generators elsewhere are the caller's own affair. ``TypeError`` for other things.

    >>> import halfsim as hs
    >>> layer = hs.nn.Linear(1, 1)
    >>> before, bias = Snapshot(layer), layer.bias.item()
    >>> layer.bias.array = layer.bias.array + 1
    >>> before.restore()
    >>> layer.bias.item() == bias
    True
    """

    def __init__(self, *objects: Any) -> None:
        for x in objects:
            if x is not None and not isinstance(x, KINDS) and not _stateful(x) and foreign.keeper(x) is None:
                raise TypeError(f"state: {type(x).__name__} is not allowed; allowed: Module, Optimizer, GradScaler")
        self._objects = objects
        self._restores: list[_Restore] = []
        self._seen: dict[int, Any] = {}  # holds what it has seen, so that no id is given twice
        for x in objects:
            self.keep(x)
        self._stream = generator().get_state()
        self._keep_random()

    def restore(self, widest: Format | None = None) -> None:
        """Put everything back as it was; parameters and state of formats that ``widest`` contains are carried in it."""
        for restore in self._restores:
            restore()
        if widest is not None:
            for tensor in _carried(self._objects):
                _widen(tensor, widest)

    def reseed(self, seed: int | None = None) -> None:
        """Give the context in force a generator of its own, at ``seed`` or where the one outside was."""
        manual_seed(0 if seed is None else seed)
        if seed is None:
            generator().set_state(self._stream)

    def keep(self, x: Any) -> None:
        """Let ``x`` come back too: an object, or a list, dict or array with what is in it, however deep."""
        if id(x) in self._seen:
            return
        self._seen[id(x)] = x
        if (keep := foreign.keeper(x)) is not None:
            self._restores.append(keep(x))
        elif isinstance(x, dict):
            self._keep_dict(x)
        elif isinstance(x, (list, tuple)):
            self._keep_sequence(x)
        elif isinstance(x, np.ndarray):
            self._keep_array(x)
        elif isinstance(x, Tensor):
            self._keep_tensor(x)
        elif isinstance(x, Generator):
            stream = x.get_state()
            self._restores.append(lambda: x.set_state(stream))
        elif isinstance(x, np.random.Generator):
            self._keep_generator(x)
        elif isinstance(x, Stochastic):
            position = x.get_state()
            self._restores.append(lambda: x.set_state(position))
        elif isinstance(x, Precision):
            self.keep(x.rounding)
        elif isinstance(x, Policy):
            self.keep([x.default, *(base for _, base in x.rules)])
        elif _stateful(x):
            self._keep_dict(vars(x))

    def _keep_dict(self, x: dict[Any, Any]) -> None:
        held = dict(x)

        def restore() -> None:
            x.clear()
            x.update(held)

        self._restores.append(restore)
        for value in held.values():
            self.keep(value)

    def _keep_sequence(self, x: Any) -> None:
        held = list(x)
        if isinstance(x, list):
            self._restores.append(lambda: x.__setitem__(slice(None), held))
        for value in held:
            self.keep(value)

    def _keep_array(self, x: Any) -> None:
        if x.flags.writeable:
            held = x.copy()
            self._restores.append(lambda: np.copyto(x, held))

    def _keep_tensor(self, x: Tensor) -> None:
        """The same array with the same numbers: an optimizer knows by it whether its master copy still holds."""
        held = [(name, getattr(x, name)) for name in Tensor.__slots__ if name != "__weakref__"]
        hooks, array = None if x.hooks is None else dict(x.hooks), x.array

        def restore() -> None:
            for name, value in held:
                setattr(x, name, value)
            x.storage.array, x.storage.version = array, x.storage.version + 1
            if x.hooks is not None and hooks is not None:
                x.hooks.clear()
                x.hooks.update(hooks)

        self._restores.append(restore)
        self.keep(x.array)
        self.keep(x.grad)

    def _keep_generator(self, x: np.random.Generator) -> None:
        state = deepcopy(x.bit_generator.state)
        self._restores.append(lambda: setattr(x.bit_generator, "state", state))

    def _keep_random(self) -> None:
        """The process's own streams; `manual_seed` puts another generator in place, so that is asked for anew."""
        legacy, python = np.random.get_state(), random.getstate()

        def restore() -> None:
            generator().set_state(self._stream)
            np.random.set_state(legacy)
            random.setstate(python)

        self._restores.append(restore)
        self._restores += [keep() for keep in foreign.RANDOM]
        self.keep(scope().rule)


def run_under(
    run: Callable[[], Any],
    rule: Rule,
    observer: Observer,
    snapshot: Snapshot,
    seed: int | None,
    carry: Format | None = None,
) -> Any:
    """What ``run`` returns under ``rule``, which overrides all inside, watched by ``observer`` alone.

    The context is its own and leaves nothing behind; random numbers begin at ``seed`` or as they did for ``snapshot``,
    whose objects the caller restores. What it makes in formats that ``carry`` contains is made in that, see
    `halfsim.autograd.scope.carried_in`.
    """

    def inside() -> Any:
        snapshot.reseed(seed)
        outermost = scoped(override=False, path="", base="", phase="forward", carry=carry)
        with outermost, precision(rule, override=True), observing(observer):
            return run()

    return copy_context().run(inside)


def _stateful(x: object) -> bool:
    return hasattr(x, "state_dict") and hasattr(x, "__dict__") and not isinstance(x, type)


def _carried(objects: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors that a reference run has in its own format: parameters, buffers, optimizer state, leaves."""
    for x in objects:
        if isinstance(x, Module):
            yield from (held for held in (*x.parameters(), *x.buffers()) if isinstance(held, Tensor))
        elif isinstance(x, Optimizer):
            for group in x.param_groups:
                yield from group["params"]
            for state in x.state.values():
                yield from (held for held in state.values() if isinstance(held, Tensor))
        elif isinstance(x, Tensor) and x.requires_grad:
            yield x


def _widen(tensor: Tensor, widest: Format) -> None:
    if tensor.is_floating_point() and tensor.format != widest and widest.contains(tensor.format):
        tensor.array, tensor.format = tensor.array.astype(holder(widest)), widest
        if tensor.grad is not None:
            tensor.grad = Tensor(tensor.grad.array.astype(holder(widest)), widest)
