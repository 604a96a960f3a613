"""Loss scales that were worked out from exponents, tried: what becomes of the gradients at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite

from halfsim.diagnose.scale.gradients import Gradients, Key, Tally
from halfsim.diagnose.scale.result import LayerScale
from halfsim.text import percent

_TRIES = 64  # runs, at most


class Trials:
    """Runs of a step at loss scales, each once, held against one without bounds."""

    def __init__(self, unbounded: Gradients, at: Callable[[float], Gradients]) -> None:
        self.wanted, self._at = unbounded.tallies, at
        self._runs: dict[float, Mapping[Key, Tally]] = {}
        self.unlike = False  # whether the step did something else at a scale

    def run(self, scale: float) -> Mapping[Key, Tally]:
        """What became of each layer's gradients."""
        if scale not in self._runs:
            if len(self._runs) >= _TRIES:
                self.unlike = True
                return self.wanted
            found = self._at(scale).tallies
            sizes = ({key: t.size for key, t in tallies.items()} for tallies in (found, self.wanted))
            self.unlike = self.unlike or next(sizes) != next(sizes)
            self._runs[scale] = found
        return self._runs[scale]

    def broken(self, scale: float) -> set[Key]:
        """The layers with gradients that are infinite or NaN, and would not be without bounds."""
        found = self.run(scale)
        return {key for key, t in self.wanted.items() if key in found and found[key].broken > t.broken}

    def lost(self, key: Key, scale: float) -> float:
        """The share of a layer's nonzero gradients that are zero, as its own rounding or one before it made them."""
        wanted, found = self.wanted[key], self.run(scale).get(key, Tally())
        own = found.flushed / found.rounded if found.rounded else 0.0
        return max(own, (found.zeros - wanted.zeros) / wanted.nonzero if wanted.nonzero else 0.0)

    def flushes(self, scale: float) -> bool:
        """Whether any gradient becomes zero by its rounding."""
        return any(t.flushed for t in self.run(scale).values())


def checked(
    rows: Mapping[Key, LayerScale], unbounded: Gradients, at: Callable[[float], Gradients], lost: float
) -> tuple[tuple[LayerScale, ...], list[str]]:
    """The rows with ends at which the step, run there, keeps what they promise; and notes where it cannot be so.

    Scales go in steps of two: ``high`` falls until no gradient overflows; ``low`` of each layer rises until no more
    than the share ``lost`` of its nonzero gradients are zero. Where they are so at ``high`` too, because of a gradient
    that is flushed there, no scale suits.
    """
    trials, kept, notes = Trials(unbounded, at), dict(rows), list[str]()
    high = min(row.high for row in rows.values())
    if not isfinite(high) or getattr(unbounded, "overflows", False):
        return tuple(rows.values()), notes
    while (broken := trials.broken(high)) and not trials.unlike:
        high /= 2
        for key in broken:
            kept[key] = replace(kept[key], high=min(kept[key].high, high))
    for key, row in rows.items():
        if trials.unlike:
            break
        if not row.nonzero:
            continue
        least, allowed = row.low, lost
        if least <= high and trials.lost(key, high) > lost:
            if trials.flushes(high):
                least = 2 * high
            else:  # the forward pass makes other zeros than it would without bounds
                allowed = trials.lost(key, high)
                notes.append(f"In {row.name} {percent(allowed)} of the nonzero gradients are zero at any scale.")
        while least <= high and trials.lost(key, least) > allowed:
            least *= 2
        kept[key] = replace(kept[key], low=least, normal=max(row.normal, least))
    for key, row in kept.items():
        found = trials.run(1.0).get(key)
        if found is not None and row.nonzero and not trials.broken(1.0):
            small = found.subnormal / row.nonzero
            kept[key] = replace(row, zero_share=max(0.0, trials.lost(key, 1.0)), subnormal_share=small)
    if trials.unlike:
        text = "The step does not do the same at every scale, so that the ends could not be tried: see seed="
        return tuple(rows.values()), [text]
    return tuple(kept.values()), notes
