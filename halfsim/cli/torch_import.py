"""A script that imports PyTorch runs in a simulation from there on; PyTorch itself is not imported for that."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextmanager
def simulated() -> Iterator[None]:
    """A context in which PyTorch's programs are simulated in the precision in force, once PyTorch is imported."""
    with ExitStack() as stack:
        if "torch" in sys.modules:
            _enter(stack)
        else:
            arrival = _Arrival(stack)
            sys.meta_path.insert(0, arrival)
            stack.callback(arrival.leave)
        yield


def _enter(stack: ExitStack) -> None:
    from halfsim.pytorch.simulation import simulate

    stack.enter_context(simulate())


class _Arrival:
    """A finder that hears of the import of PyTorch, and enters the simulation when it is done."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def leave(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """PyTorch's spec, with a loader that tells when it is loaded."""
        if name != "torch":
            return None
        self.leave()
        spec = importlib.util.find_spec("torch")
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def loaded(module: ModuleType) -> None:
                load(module)
                _enter(self.stack)

            spec.loader.exec_module = loaded  # type: ignore[method-assign]
        return spec
