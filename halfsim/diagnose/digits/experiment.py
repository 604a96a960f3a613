"""The runs: one as it is, one in the reference, the others under random rounding, all from one state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.observer import Observer
from halfsim.autograd.policy import Rule
from halfsim.autograd.tensor import Tensor
from halfsim.diagnose.compare.recorder import Recorder, Store
from halfsim.diagnose.digits.sampler import Sampler
from halfsim.diagnose.reach import reached
from halfsim.diagnose.returned import numbers, raised
from halfsim.diagnose.snapshot import Snapshot, run_under
from halfsim.nn.module import Module
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array

_ROOM = 8 << 20  # bytes of samples that are kept of a run of several steps

Values = dict[str, tuple[Array, "Format | None"]]


@dataclass
class Experiment:
    """A run, the state to begin from every time, and what came of it."""

    run: Callable[[], Any]
    parts: list[Any]
    state: Snapshot
    store: Store = field(default_factory=lambda: Store(_ROOM))
    recorder: Recorder = field(init=False)
    twin: Sampler = field(init=False)
    samplers: list[Sampler] = field(default_factory=list)
    outcomes: list[Values] = field(default_factory=list)  # of the run as it is, of the reference, of those at random
    failed: list[str] = field(default_factory=list)
    runs: int = 0
    last: Any = None

    @classmethod
    def of(cls, run: Callable[[], Any], given: list[Any]) -> Experiment:
        reach = reached(*given, run)
        state = Snapshot(*given, *reach.objects)
        for held in reach.held:
            state.keep(held)  # what is written into them comes back too
        return cls(run, reach.objects, state)

    def carried_out(self, rule: Rule, high: Precision, drawn: Sequence[Rule]) -> Experiment:
        """The run as it is, then in the reference, then under each rule of ``drawn``."""
        self.runs = len(drawn)
        self.recorder = Recorder(self.store.put, self.store.wants, events=True)
        kept = self.store.steps.__contains__
        self.twin = Sampler(kept)
        try:
            self._once(rule, self.recorder)
            self.recorder.finish()
            self._once(high, self.twin, high.storage)
            for other in drawn:
                sampler = Sampler(kept)
                try:
                    self._once(other, sampler)
                    self.samplers.append(sampler)
                except Exception as error:
                    self.failed.append(raised(error))
        finally:
            self.state.restore()
        return self

    def _once(self, rule: Rule, observer: Observer, carry: Format | None = None) -> None:
        self.state.restore(carry)
        self.last = run_under(self.run, rule, observer, self.state, None, carry)
        models = [x for x in self.parts if isinstance(x, Module)]
        self.outcomes.append(_values(self.last) or _values(models[0] if len(models) == 1 else models))


def _values(returned: Any) -> Values:
    """The numbers that a run returned, by name, in float64, with the format of those that have one."""
    found = {}
    for name, x in numbers(returned):
        fmt = x.format if isinstance(x, Tensor) and isinstance(x.format, Format) else None
        found[name] = np.array(x.array if isinstance(x, Tensor) else x, np.float64), fmt
    return found
