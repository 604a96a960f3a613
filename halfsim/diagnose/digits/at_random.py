"""A precision or a policy with every rounding at random, and what of it cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from halfsim.autograd.policy import Policy, Rule
from halfsim.numerics import units
from halfsim.numerics.formats import Format, float64
from halfsim.numerics.precision import Precision, replace_roles
from halfsim.numerics.rounding import Rounding, Stochastic

_FINER = 11  # bits that a sum of the BLAS must have beyond the format of its result, to be left as it is


def at_random(rule: Rule, seed: int, run: int) -> Rule:
    """``rule`` with every rounding stochastic, drawn from a stream that belongs to ``seed`` and ``run``.

    ``ValueError`` for a precision that computes in float64, which the host rounds to nearest.

    >>> print(at_random(Precision("fp16"), 0, 0).rounding.bits)
    32
    """
    if isinstance(rule, Policy):
        return AtRandom(rule, seed, run)
    if _hosted(rule):
        raise ValueError(
            "precision: float64, which the host rounds to nearest, is not allowed; allowed: compute and accumulate in "
            "float32 and narrower"
        )
    return _stochastic(rule, seed, run, 0)


class AtRandom(Policy):
    """A policy whose precisions all round at random; those in float64, which the host rounds, stay as they are."""

    def __init__(self, policy: Policy, seed: int, run: int) -> None:
        super().__init__({"default": policy.default, **dict(policy.rules)})
        object.__setattr__(self, "_drawn", (seed, run))
        object.__setattr__(self, "_made", {})

    def rule_of(self, op: str, path: str, category: str | None, widest: Format, within: Any) -> Precision:
        """The precision that the policy gives, with a stream of its own."""
        return self._drawn_for(super().rule_of(op, path, category, widest, within))

    def native(self, fmt: Format) -> Precision:
        """That of work on what stays in ``fmt``, with a stream of its own."""
        return self._drawn_for(super().native(fmt))

    def restarted(self) -> AtRandom:
        """The same, with every stream at its beginning."""
        return AtRandom(self, *vars(self)["_drawn"])

    def _drawn_for(self, found: Precision) -> Precision:
        made: dict[str, Precision] = vars(self)["_made"]
        key = str(found)
        if key not in made:
            seed, run = vars(self)["_drawn"]
            made[key] = found if _hosted(found) else _stochastic(found, seed, run, len(made))
        return made[key]


def _hosted(precision: Precision) -> bool:
    """Whether float64 is computed, and not only added up by the BLAS."""
    how = precision.accumulate
    return precision.compute == float64 or (how.format == float64 and how.order not in ("blas", "exact"))


def _stochastic(precision: Precision, *drawn: int) -> Precision:
    """``precision`` with stochastic rounding, in its sums too."""
    seed = int(np.random.SeedSequence(drawn).generate_state(1, np.uint64)[0])
    how = precision.accumulate
    order = f"{how.format.spelled}:pairwise" if _reordered(precision) else how
    return replace_roles(precision, rounding=Stochastic(seed), accumulate=order)


def _reordered(precision: Precision) -> bool:
    """Whether the roundings inside of the BLAS's sums show in the result, so that they must be drawn here."""
    how = precision.accumulate
    fine = how.format.precision - min(precision.storage.precision, how.format.precision)
    return how.order == "blas" and how.format != float64 and fine < _FINER


def _precisions(rule: Rule) -> Iterator[Precision]:
    if isinstance(rule, Precision):
        yield rule
    else:
        yield from (base for base in (rule.default, *(base for _, base in rule.rules)) if isinstance(base, Precision))


def by_device(rule: Rule) -> str:
    """The matrix unit whose sums stay as they are, whatever the rounding; "" where there is none."""
    return next((str(p.accumulate) for p in _precisions(rule) if p.accumulate.order in units.UNITS), "")


def directed(rule: Rule) -> str:
    """The word of a rounding that is not to nearest, "" where there is none."""
    others = (p.rounding for p in _precisions(rule) if p.rounding not in (Rounding.NEAREST_EVEN, Rounding.NEAREST_AWAY))
    return next((r.value for r in others if isinstance(r, Rounding)), "")


_NOTES: Mapping[str, Any] = {
    "Sums that the BLAS forms in an order of its own were formed pairwise under random rounding.": _reordered,
    "Sums in {0.accumulate} were left to the BLAS: of them the result alone was rounded at random.": lambda p: (
        p.accumulate.order == "blas" and not _hosted(p) and not _reordered(p)
    ),
    "Matrix products of {0.accumulate} add as that unit does, whatever the rounding: the result alone was rounded "
    "at random.": lambda p: p.accumulate.order in units.UNITS,
    "Operations in {0.compute} were not rounded at random: the host rounds them to nearest.": _hosted,
}


def notes(rule: Rule, sums: bool) -> list[str]:
    """What was not rounded at random, or in another order; ``sums`` says whether there were any."""
    found = [text.format(p) for text, holds in _NOTES.items() for p in _precisions(rule) if holds(p)]
    return [text for text in dict.fromkeys(found) if sums or text.startswith("Operations")]
