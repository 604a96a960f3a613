"""Precision: which grid rules which part of an operation. A value with a small grammar; it does nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from halfsim.card import Card
from halfsim.markup import Lines
from halfsim.numerics.accumulate import Accumulator, accumulator
from halfsim.numerics.blocks import BlockFormat, as_grid
from halfsim.numerics.formats import (
    RESERVED,
    Format,
    as_format,
    bfloat16,
    float8_e4m3fn,
    float16,
    float32,
    float64,
    is_format,
    tfloat32,
    unknown,
)
from halfsim.numerics.quantize import computable
from halfsim.numerics.rounding import OVERFLOWS, SUBNORMALS, Mode, Rounding, Stochastic, parsed

_ROLES = ("storage", "compute", "accumulate", "operands", "rounding", "subnormals", "overflow")
_WORDS = {"subnormals": SUBNORMALS, "overflow": OVERFLOWS}


@dataclass(frozen=True, init=False)
class Precision(Card):
    """The formats by which operations are rounded, and how.

    ``storage`` is the grid of what an operation reads and writes, ``compute`` that of each elementary result
    inside it, ``accumulate`` says how sums and dot products are formed, ``operands`` is the grid of the
    operands of matrix products: a format, or a block format such as "mxfp8_e4m3", whose blocks lie along the axis that
    is summed over. ``rounding`` (a word of `Rounding`, or "stochastic(seed=0, bits=32)"), ``subnormals``
    ("keep", "flush_inputs", "flush_outputs", "flush") and ``overflow`` ("infinity", "saturate", "saturate_inf",
    "saturate_nan") say how each of these roundings is done; inside a ``blas`` or ``exact`` accumulation there are none.
    A flush of inputs takes what an operation reads and what each step inside takes, one of outputs what each step and
    the store make. It is made from a preset's name or from ``role=value`` pairs, either as one string or as keywords;
    roles that are left out are those of a framework's kernel: compute and accumulate in float32 (float64 if storage is
    float64), operands as storage, nearest even, subnormals kept, overflow to infinity. ``str`` gives the pairs back,
    the last three where they are not these, and formats that are not registered with what they are made of.
    ``ValueError`` for unknown roles, formats, accumulators and words, and for a compute in float64 that rounds
    otherwise than to nearest.

    >>> Precision("storage=fp16, compute=fp16, accumulate=fp16:sequential") == Precision("pure_fp16")
    True
    >>> str(Precision("fp16", rounding="upward"))
    'storage=float16, compute=float32, accumulate=float32, operands=float16, rounding=upward'
    """

    __argument__ = "a Precision"

    storage: Format
    compute: Format
    accumulate: Accumulator
    operands: Format | BlockFormat
    rounding: Rounding | Stochastic
    subnormals: str
    overflow: str
    mode: Mode | None = field(compare=False)  # the last three; None for nearest even, kept, to infinity

    def __init__(self, spec: str = "", /, **roles: object) -> None:
        given = {**_given(spec), **roles}
        for role in given:
            if role not in _ROLES:
                raise unknown("precision", role, _ROLES)
        storage = as_format(given.get("storage", float32), "storage")
        wide = float64 if storage == float64 else float32
        object.__setattr__(self, "storage", storage)
        object.__setattr__(self, "compute", computable(as_format(given.get("compute", wide), "compute"), "compute"))
        object.__setattr__(self, "accumulate", accumulator(given.get("accumulate", wide.name)))
        object.__setattr__(self, "operands", as_grid(given.get("operands", storage), "operands"))
        object.__setattr__(self, "rounding", parsed(given.get("rounding", Rounding.NEAREST_EVEN)))
        for role, words in _WORDS.items():
            word = given.get(role, words[0])
            if word not in words:
                raise unknown(role, word, words)
            object.__setattr__(self, role, word)
        mode = Mode(self.rounding, self.overflow, self.subnormals)
        object.__setattr__(self, "mode", None if mode == Mode() else mode)
        ordered = self.accumulate.order not in ("blas", "exact") and self.accumulate.format == float64
        if (self.compute == float64 or ordered) and not (mode.nearest and mode.overflow == "infinity"):
            raise ValueError(
                "rounding: the host computes in float64; allowed with it: rounding=nearest_even, overflow=infinity"
            )

    def restarted(self) -> Precision:
        """The same precision, ready for a run of its own: its stochastic rounding, if any, draws from the start again.

        Two runs that begin with a restarted precision round in the same way.
        """
        if not isinstance(self.rounding, Stochastic):
            return self
        return replace_roles(self, rounding=self.rounding.restarted())

    def __repr__(self) -> str:
        return f"Precision({str(self)!r})"

    def _card(self) -> Any:
        return [("", Lines(repr(self))), ("", {role: getattr(self, role) for role in _ROLES})]

    def __str__(self) -> str:
        shown: dict[str, object] = {role: getattr(self, role) for role in _ROLES[:4]}
        shown = {
            role: value.spelled if isinstance(value, (Format, BlockFormat)) else value for role, value in shown.items()
        }
        if isinstance(self.rounding, Stochastic):
            shown["rounding"] = self.rounding
        elif self.rounding is not Rounding.NEAREST_EVEN:
            shown["rounding"] = self.rounding.value
        shown |= {role: getattr(self, role) for role, words in _WORDS.items() if getattr(self, role) != words[0]}
        return ", ".join(f"{role}={value}" for role, value in shown.items())


def _given(spec: object) -> dict[str, object]:
    """The roles that a preset's name or a string of pairs sets."""
    if not isinstance(spec, str):
        raise TypeError(f"precision: expected a string or role=value pairs, got {type(spec).__name__}")
    if spec and "=" not in spec:
        preset = PRESETS.get(spec.strip().lower())
        if preset is None:
            raise unknown("precision", spec, [*PRESETS, "role=value pairs"])
        return {role: getattr(preset, role) for role in _ROLES}
    given: dict[str, object] = {}
    for pair in re.split(r",(?![^(]*\))", spec) if spec else ():  # not at the comma in stochastic(seed=0, bits=32)
        role, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value:
            raise ValueError(f"precision: {pair.strip()!r} is not allowed; allowed: role=value")
        if role in given:
            raise ValueError(f"precision: {role!r} is given twice; allowed: once")
        given[role] = value
    return given


def replace_roles(precision: Precision, **roles: object) -> Precision:
    """``precision`` with other values for some roles.

    >>> replace_roles(FP16, rounding="upward").rounding.value
    'upward'
    """
    return Precision(**{**{role: getattr(precision, role) for role in _ROLES}, **roles})


PRESETS: dict[str, Precision] = {}
FP64 = PRESETS["fp64"] = Precision(storage=float64)
FP32 = PRESETS["fp32"] = Precision(storage=float32)
TF32 = PRESETS["tf32"] = Precision(storage=float32, operands=tfloat32)
BF16 = PRESETS["bf16"] = Precision(storage=bfloat16)
FP16 = PRESETS["fp16"] = Precision(storage=float16)
PURE_FP16 = PRESETS["pure_fp16"] = Precision(storage=float16, compute=float16, accumulate="fp16:sequential")
FP8 = PRESETS["fp8"] = Precision(storage=bfloat16, operands=float8_e4m3fn, overflow="saturate_inf")

RESERVED.update(name for name in PRESETS if not is_format(name))

_NATIVE = {preset.storage: preset for preset in (FP64, FP32, BF16, FP16)}


def native(fmt: Format) -> Precision:
    """The precision of a framework's own kernels for tensors stored in ``fmt``.

    >>> native(float16) == FP16
    True
    """
    return _NATIVE.get(fmt) or Precision(storage=fmt)


def reproducible(precision: Precision) -> Precision:
    """``precision`` with ``exact`` in the place of a ``blas`` accumulator, whose order belongs to the BLAS.

    >>> str(reproducible(FP16).accumulate)
    'exact'
    """
    if precision.accumulate.order != "blas":
        return precision
    if isinstance(precision.rounding, Stochastic):  # equal precisions have streams of their own
        return replace_roles(precision, accumulate="exact")
    return _exactly(precision)


@lru_cache(maxsize=256)
def _exactly(precision: Precision) -> Precision:
    return replace_roles(precision, accumulate="exact")
