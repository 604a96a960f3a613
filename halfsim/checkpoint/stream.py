"""Where the random streams of a run are: the generator of layers, and every stochastic rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from halfsim.autograd.policy import Policy
from halfsim.autograd.random import generator, parsed_state
from halfsim.autograd.scope import scope
from halfsim.nn.module import Module
from halfsim.numerics.precision import Precision
from halfsim.numerics.rounding import Stochastic


def positions(model: Any) -> dict[str, Any]:
    """Where every stream is now, as a tree of numbers."""
    streams = {
        place: {"seed": s.seed, "bits": s.bits, "state": s.get_state()} for place, s in _roundings(model).items()
    }
    return {"generator": generator().get_state(), "roundings": streams}


def restorer(saved: dict[str, Any], model: Any) -> Callable[[], None]:
    """What sets every stream to where it was; ``ValueError`` where one is missing here, or another."""
    found, own = _roundings(model), generator()
    for place, given in saved["roundings"].items():
        here, there = found.get(place), Stochastic(given["seed"], given["bits"])
        if here != there:
            raise ValueError(f"random: {place} was {there}, is {here or 'not'}; allowed: as it was, or random=False")
        there.set_state(given["state"])
    if isinstance(saved["generator"], dict):  # as files of earlier versions have it
        kind = saved["generator"]["bit_generator"]
        raise ValueError(f"random: made with {kind}, here is the Mersenne Twister; allowed: the same, or random=False")
    parsed_state(saved["generator"])  # if it is no state, that is told before anything changes

    def go_on() -> None:
        own.set_state(saved["generator"])
        for place, given in saved["roundings"].items():
            found[place].set_state(given["state"])

    return go_on


def _roundings(model: Any) -> dict[str, Stochastic]:
    """The stochastic roundings of the precision in force and of the model's modules, by place."""
    rules: list[tuple[str, Any]] = [("stochastic rounding of the precision in force", scope().rule)]
    if isinstance(model, Module):
        rules += [
            (f"stochastic rounding of module {path!r}", module.precision) for path, module in model.named_modules()
        ]
    found = {}
    for place, rule in rules:
        bases = [rule.default, *(base for _, base in rule.rules)] if isinstance(rule, Policy) else [rule]
        for i, base in enumerate(bases):
            if isinstance(base, Precision) and isinstance(base.rounding, Stochastic):
                found[f"{place}, rule {i}" if i else place] = base.rounding
    return found
