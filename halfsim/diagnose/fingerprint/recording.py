"""A trace that keeps a hash of every result as it goes, and what is needed to tell ulps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from weakref import ref

import numpy as np

from halfsim.atomic import write_text
from halfsim.autograd import random
from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.policy import rule_name
from halfsim.autograd.tape import Node, Op
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.trace import Trace
from halfsim.diagnose.fingerprint.bits import codes, digest, taken
from halfsim.diagnose.fingerprint.file import INPUT, line, machine, text
from halfsim.frames import spelled
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision


class Fingerprinting(Trace):
    """A trace that notes of every result a line of a fingerprint, with the bits of at most ``values`` elements.

    The arrays themselves are not kept: a line takes about as much memory as in the file.
    """

    def __init__(self, values: int, *given: Any) -> None:
        super().__init__(*given)
        self.values = values
        self.lines: list[str] = []
        self._begun: dict[str, Any] = {}  # where the random numbers stood at the first operation
        self._told: Any = None  # operands, the same as they were read, options
        self._hashes: dict[int, tuple[Any, bytes]] = {}  # by array: a weak reference to it, and its hash
        self._seen: set[bytes] = set()  # hashes of all that has a line

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_hashes": {}}  # of arrays of this process

    def fingerprint(self, path: str | os.PathLike[str]) -> None:
        """Write what was noted so far to ``path``, all at once; ``OSError`` where it cannot be written."""
        write_text(path, self.text())

    def text(self) -> str:
        """What `fingerprint` writes."""
        rule = None if self.rule is None else rule_name(self.rule)
        header = {**machine(), "precision": rule, "steps": self.step, **self._begun, "values": self.values}
        return text(header, self.lines)

    def result(
        self, spec: Op, fp: Arithmetic, out: Tensor, operands: Sequence[Any], arrays: Sequence[Any],
        options: tuple[Sequence[Any], dict[str, Any]], label: str,
    ) -> Any:  # fmt: skip
        with self._telling(operands, arrays, options):
            return super().result(spec, fp, out, operands, arrays, options, label)

    def gradients(self, node: Node, g: Tensor, found: Sequence[tuple[int, Tensor, Tensor, Arithmetic]]) -> None:
        with self._telling([g, *(node.inputs or ())], (), None if node.call is None else node.call[1:3]):
            super().gradients(node, g, found)

    def total(self, path: str, x: Tensor, fp: Arithmetic, total: Tensor, a: Tensor, b: Tensor) -> None:
        with self._telling([a, b], (), None):
            super().total(path, x, fp, total, a, b)

    @contextmanager
    def _telling(self, *told: Any) -> Iterator[None]:
        """While what an operation read is told of."""
        self._told = told
        try:
            yield
        finally:
            self._told = None

    def record(self, event: Event, arrays: Mapping[str, Any] | None = None) -> None:
        if arrays is not None and "result" in arrays:
            if not self._begun:
                self._begun = {"seed": random.initial_seed(), "random": _hashed(random.get_rng_state())}
            reads = "" if self._told is None else self._reads(event, *self._told)
            place = event.phase, event.path, event.op, event.tensor
            self._line(event, place, event.format, arrays["result"], reads)
        super().record(event, arrays)

    def _line(self, event: Event, place: tuple[str, ...], fmt: Any, y: Any, reads: str = "") -> bytes:
        kept, whole = taken(y, fmt, self.values)
        self.lines.append(line((event.step, *place, fmt.name, y.shape, spelled(event.line), reads), kept))
        self._keep(y, whole)
        self._seen.add(whole)
        return whole

    def _keep(self, y: Any, whole: bytes) -> None:
        """Remember the hash of an array for as long as that lives."""
        key, known = id(y), self._hashes
        known[key] = ref(y, lambda _: known.pop(key, None)), whole

    def _reads(self, event: Event, operands: Sequence[Any], arrays: Sequence[Any], options: Any) -> str:
        """A hash of what an operation reads; numbers that nobody has seen yet get a line of their own."""
        all_of_it = sha256()
        for i, x in enumerate(operands):
            if isinstance(x, Tensor):
                all_of_it.update(self._of(event, x) + repr(x.shape).encode())
            else:
                all_of_it.update(_spelled(arrays[i] if i < len(arrays) else x).encode())
        all_of_it.update(_spelled(options).encode())
        return all_of_it.hexdigest()[:8]

    def _of(self, event: Event, x: Tensor) -> bytes:
        known = self._hashes.get(id(x.array))
        if known is not None and known[0]() is x.array:
            return known[1]
        whole = digest(codes(x.array, x.format))
        if whole in self._seen:
            self._keep(x.array, whole)
            return whole
        return self._line(event, (INPUT, x.name, event.op, event.path), x.format, x.array)


def _hashed(x: Any) -> str:
    return sha256(np.ascontiguousarray(x).data).hexdigest()[:16]


def _spelled(x: Any) -> str:
    """An option as text that is the same in every process; what has none by its type alone."""
    if isinstance(x, np.ndarray):
        little = x.astype(x.dtype.newbyteorder("<"), copy=False)
        return f"{x.dtype.kind}{x.itemsize}{x.shape}{'' if x.dtype.hasobject else _hashed(little)}"
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, float):
        return x.hex()
    if isinstance(x, (tuple, list)):
        return f"({','.join(map(_spelled, x))})"
    if isinstance(x, Mapping):
        return f"{{{','.join(f'{key}:{_spelled(value)}' for key, value in x.items())}}}"
    if x is None or isinstance(x, (bool, int, str, Format, Precision)):
        return repr(x) if not isinstance(x, (Format, Precision)) else str(x)
    return type(x).__name__
