"""The smallest set of tensors and nodes that must stay in float32, looked for where the evidence points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from halfsim.diagnose.ddmin import SpentError, sufficient
from halfsim.diagnose.returned import raised
from halfsim.nn.conversion import Conversion
from halfsim.onnx.conversion.converted import Converted, Outputs
from halfsim.onnx.conversion.evidence import Element, Evidence, by_error, elements_of, keep_of, lossy, names_of
from halfsim.onnx.conversion.inputs import Feeds
from halfsim.onnx.conversion.outcome import Judge, Tried, off

_ALONE = 4  # tensors that are tried alone
_FIRST = 8  # nodes that are added at first where tensors are not enough, then twice as many, ...

Sample = tuple[Feeds, Outputs]  # inputs, and the outputs in float32


@dataclass
class Search:
    """Looks for what must stay in float32 for the outputs of all ``samples`` to hold; ``budget`` tries at most."""

    model: Converted
    judge: Judge
    evidence: Evidence
    weights: Conversion
    budget: float
    show: Callable[[int], Any]
    samples: list[Sample] = field(default_factory=list)
    tries: list[Tried] = field(default_factory=list)
    known: dict[frozenset[Element], Tried] = field(default_factory=dict)
    complete: bool = True

    # One try.

    def tried(self, sample: Sample, elements: Iterable[Element]) -> Tried:
        """What a sample gives with ``elements`` kept."""
        kept = tuple(dict.fromkeys(elements))
        feeds, reference = sample
        try:
            found = self.model.run(feeds, keep_of(kept))
        except (ValueError, TypeError, ArithmeticError, IndexError) as error:
            return Tried(names_of(kept), False, dict.fromkeys(reference, inf), f"raised {raised(error)}")
        errors = self.judge.errors(found, reference)
        holds = self.judge.holds(found, reference, errors)
        return Tried(names_of(kept), holds, errors, "" if holds else self._reason(errors))

    def _reason(self, errors: Any) -> str:
        if self.judge.accept is not None:
            return "not accepted"
        name = max(errors, key=lambda name: errors[name] / self.judge.allowed(name))
        return off(name, errors[name])

    def holds(self, elements: Sequence[Element]) -> bool:
        """Whether the outputs of all samples hold; the sample that failed last is asked first."""
        key = frozenset(elements)
        if key not in self.known:
            if len(self.tries) >= self.budget:
                raise SpentError
            errors: dict[str, float] = {}
            for i, sample in enumerate(self.samples):
                one = self.tried(sample, elements)
                errors = {name: max(e, errors.get(name, 0.0)) for name, e in one.errors.items()}
                if not one.holds:
                    self.samples.insert(0, self.samples.pop(i))
                    break
            self.known[key] = Tried(one.kept, one.holds, errors, one.reason)
            self.tries.append(self.known[key])
            self.show(len(self.tries))
        return self.known[key].holds

    def without(self, kept: Sequence[Element]) -> dict[str, Tried]:
        """What happens where one of ``kept`` is left out, by its name."""
        rest = ((one, frozenset(e for e in kept if e != one)) for one in kept)
        return {one[1]: self.known[key] for one, key in rest if key in self.known}

    # The search.

    def run(self, base: Sequence[Element] = ()) -> list[Element] | None:
        """What must be kept beside ``base``, with it, in the order of the evidence; None where nothing is enough."""
        self.known.clear()
        if not self.samples or self.holds(base):
            return list(base)
        try:
            return self._found(list(base))
        except SpentError:
            self.complete = False
            enough = [list(key) for key, one in self.known.items() if one.holds]
            return min(enough, key=len, default=None)

    def _found(self, base: list[Element]) -> list[Element] | None:
        lost = elements_of("tensor", lossy(self.weights.rows))
        alone = [e for e in lost if self._grave(e)][:_ALONE]
        for one in alone:
            if one not in base and self.holds([*base, one]):
                return [*base, one]
        if len(lost) > 1 and self.holds([*base, *lost]):
            return self._least(lost, base)
        enough = self._enough(lost, base)
        return None if enough is None else self._least(enough, base)

    def _grave(self, element: Element) -> bool:
        """Whether a tensor has lost numbers to infinity or zero."""
        return any(r.name == element[1] and (r.to_infinity or r.to_zero) for r in self.weights.rows)

    def _enough(self, lost: list[Element], base: list[Element]) -> list[Element] | None:
        """Names that are enough, nodes as far as it takes: those at values too large, then those of large errors."""
        hot = elements_of("node", self.evidence.near_hot())
        if hot and self.holds([*base, *hot]):
            return hot
        first = [*lost, *hot]
        if hot and lost and self.holds([*base, *first]):
            return first
        if hot or any(map(self._grave, lost)):  # what follows them was not to be seen before
            self.evidence.narrow(self.samples[0][0], keep_of([*base, *first]))
        ranked = elements_of("node", by_error(self.evidence.rows()))
        rest = [e for e in ranked if e not in first]
        nodes = elements_of("node", self.model.nodes)
        rest += [e for e in nodes if e not in {*first, *rest}]
        count = _FIRST
        while count < 2 * len(rest):
            if self.holds([*base, *first, *rest[:count]]):
                return [*first, *rest[:count]]
            count *= 2
        every = [*first, *rest, *elements_of("tensor", self.model.tensors)]
        every = list(dict.fromkeys(every))
        return every if self.holds([*base, *every]) else None

    def _least(self, elements: Sequence[Element], base: list[Element]) -> list[Element]:
        """Some of ``elements``, none of which can be left out, and tensors in the place of their nodes."""
        kept = sufficient(elements, lambda some: self.holds(some), base)
        order = {e: i for i, e in enumerate(elements)}
        kept = sorted(kept, key=lambda e: order[e])
        kept = self._settled(kept, base)
        hot = self.evidence.near_hot()
        for kind, path in list(kept):
            if kind == "node" and path not in hot:  # which is kept for what it computes with
                kept = self._lighter(kept, path, base)
        return [*base, *self._settled(kept, base)]

    def _settled(self, kept: list[Element], base: list[Element]) -> list[Element]:
        """What is left when nothing can be left out any more."""
        for one in reversed(kept):
            rest = [e for e in kept if e != one]
            if self.holds([*base, *rest]):
                return self._settled(rest, base)
        return kept

    def _lighter(self, kept: list[Element], path: str, base: list[Element]) -> list[Element]:
        """``kept`` with a tensor that lost numbers in the place of the node that reads it, where that is enough."""
        for key in lossy(self.weights.rows):
            if path in self.model.readers.get(key, ()) and ("tensor", key) not in kept:
                other = [("tensor", key) if e == ("node", path) else e for e in kept]
                if self.holds([*base, *other]):
                    return other
        return kept
