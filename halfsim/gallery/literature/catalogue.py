"""The papers; ``hs.gallery.papers`` measures what they found."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from importlib import import_module
from typing import Any

from halfsim.autograd.scope import reproducible
from halfsim.gallery.languages import language
from halfsim.gallery.literature.result import Claim, Reproduction, Reproductions
from halfsim.gallery.said import Said
from halfsim.numerics.formats import unknown, whole
from halfsim.options import shown

# By name, the file that has its ``PAPER``, how many runs it takes by default, and its ``measure(seeds, small)``.
PAPERS = {
    "engines": "engines",
    "flash": "flash",
    "hopper": "hopper",
    "scales": "scales",
    "bfloat16": "bfloat16",
}


def measured(name: str, seeds: int | None = None, lang: str = "en", small: bool = False) -> Reproduction:
    """One paper's results, measured; ``small`` is a run of seconds on little data, which shows only that it runs."""
    room: Any = import_module(f"halfsim.gallery.literature.{PAPERS[name]}")
    run: Callable[[int, bool], tuple[list[Claim], list[Said]]] = room.measure

    def work() -> tuple[list[Claim], list[Said]]:
        with reproducible():
            return run(room.SEEDS if seeds is None else seeds, small)

    return Reproduction(room.PAPER, *Context().run(work), lang)  # out of the reader's scopes and traces


def papers(name: str | None = None, *, seeds: int | None = None, lang: str = "en") -> Reproduction | Reproductions:
    """Headline results of papers on low precision, measured again on this machine: one by its name, or all.

    "engines" (the same model run by two engines disagrees eight times more in bfloat16 than in float16), "flash" (a
    probability of exactly 1 biases attention in blocks), "hopper" (the short accumulator of fp8 products), "scales"
    (how the scale of a block is rounded), "bfloat16" (training with 16-bit weights alone). Each takes up to three
    minutes; every claim has our value with its spread over ``seeds`` runs, the paper's number, and whether it is
    reproduced; what does not reproduce is said. ``lang`` is "en" or "zh". ``ValueError`` for another name or language.

    >>> papers("attention")
    Traceback (most recent call last):
    ValueError: name: 'attention' is not allowed; allowed: engines, flash, hopper, scales, bfloat16
    """
    if not isinstance(name, (str, type(None))):
        raise TypeError(f"name: {shown(name)} is not allowed; allowed: None, a string")
    seeds = None if seeds is None else whole("seeds", seeds)
    if seeds is not None and seeds < 2:  # one run has no spread
        raise ValueError(f"seeds: {seeds} is not allowed; allowed: a whole number from 2 on")
    language(lang)
    if name is None:
        return Reproductions([measured(one, seeds, lang) for one in PAPERS], lang)
    if name not in PAPERS:
        raise unknown("name", name, PAPERS)
    return measured(name, seeds, lang)
