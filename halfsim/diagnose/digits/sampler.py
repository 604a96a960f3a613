"""Keeps the same sample of the same results as a comparison's recorder does, and counts nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import Observer
from halfsim.autograd.scope import scope
from halfsim.autograd.tape import Node, Op
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.totals import Place
from halfsim.diagnose.compare.recorder import Kept, Step, sampled
from halfsim.numerics.quantize import Array


class Sampler(Observer):
    """An observer that keeps a sample of every result of the steps that are ``wanted``.

    Of a step each result has the key that `halfsim.diagnose.compare.recorder.Recorder` gives it. It costs a run little.
    """

    def __init__(self, wanted: Callable[[int], bool]) -> None:
        self.steps: dict[int, Step] = {}
        self.operations = 0
        self.first = ""  # the first operation, and a hash of what it read, before anything was rounded at random
        self.read = b""
        self._wanted, self._number = wanted, 1

    def result(
        self, spec: Op, fp: Arithmetic, out: Tensor, operands: Sequence[Any], arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]], label: str,
    ) -> Any:  # fmt: skip
        if not self.operations:
            self.first, self.read = spec.name, _hashed(operands)
        self.operations += 1
        if spec.name != "cast":  # which depends on formats, and is no part of the experiment
            here = scope()
            self._keep((here.phase, here.path, spec.name, label), out.array)

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        for _, x, grad, _ in found:
            if node.op != "cast":
                self._keep(("backward", node.path, node.op, x.name.rpartition(".")[2]), grad.array)

    def total(self, path: str, x: Tensor, fp: Arithmetic, total: Tensor, a: Tensor, b: Tensor) -> None:
        self._keep(("backward", path, "accumulate", x.name.rpartition(".")[2]), total.array)

    def advance(self, skipped: bool = False) -> None:
        if (step := self.steps.get(self._number)) is not None:
            step.skipped = skipped
        self._number += 1

    def _keep(self, place: Place, y: Array) -> None:
        if not self._wanted(self._number):
            return
        step = self.steps.setdefault(self._number, Step(self._number))
        key = step.next_key(place)
        if key is not None:
            step.put(key, Kept(sampled(y, step.count), y.shape, leaf=False, noise=0.0, factor=1.0, event=None))


def _hashed(operands: Sequence[Any]) -> bytes:
    """A hash of tensors, arrays and numbers."""
    found = sha256()
    for x in operands:
        y = x.array if isinstance(x, Tensor) else x
        if isinstance(y, (np.ndarray, np.generic, bool, int, float)):
            found.update(np.ascontiguousarray(y).tobytes())
    return found.digest()
