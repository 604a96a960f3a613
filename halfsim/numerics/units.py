"""The units that multiply matrices in ways of their own, which a higher floor registers as accumulators."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from halfsim.numerics.formats import RESERVED, Format, as_format
from halfsim.numerics.quantize import Array


@dataclass(frozen=True)
class Registered:
    """``product`` multiplies float arrays (..., M, K) and (..., K, N) and gives numbers of ``format``."""

    name: str
    format: Format
    product: Callable[[Array, Array], Array]

    @property
    def key(self) -> str:
        return self.name.lower()


UNITS: dict[str, Registered] = {}  # by name in lower case, other names of the same included


def register(name: str, fmt: Format, product: Callable[[Array, Array], Array], *others: str) -> None:
    """Let ``name``, by ``others`` too, be an accumulator in ``fmt``."""
    RESERVED.update(word.lower() for word in (name, *others))
    for word in (name, *others):
        UNITS[word.lower()] = Registered(name, fmt, product)


def find(spec: str) -> Registered | None:
    """The unit that ``spec`` names, in any case."""
    return UNITS.get(re.sub(r"\s*([:/])\s*", r"\1", spec.strip().lower()))


def unknown_unit(spec: str) -> ValueError:
    """The error for what is neither a unit nor begins with a format; it names the nearest of both."""
    try:
        as_format(spec.partition(":")[0].strip(), "accumulate")
    except ValueError as error:
        near = difflib.get_close_matches(spec.lower(), UNITS, n=1)
        if not near or "did you mean" in str(error):
            return error
        shown = UNITS[near[0]].name
        return ValueError(f"accumulate: {spec!r} is not allowed (did you mean {shown!r}?); allowed: formats, units")
    raise AssertionError(spec)
