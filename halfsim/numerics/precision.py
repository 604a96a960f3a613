"""Precision: which grid rules which part of an operation. A value with a small grammar; it does nothing."""

from __future__ import annotations

from dataclasses import dataclass

from halfsim.numerics.accumulate import Accumulator, accumulator
from halfsim.numerics.formats import Format, as_format, bfloat16, float16, float32, float64, tfloat32, unknown
from halfsim.numerics.quantize import computable

_ROLES = ("storage", "compute", "accumulate", "operands")


@dataclass(frozen=True, init=False)
class Precision:
    """The formats by which operations are rounded.

    ``storage`` is the grid of what an operation reads and writes, ``compute`` that of each elementary result
    inside it, ``accumulate`` says how sums and dot products are formed, ``operands`` is the grid of the
    operands of matrix products. It is made from a preset's name or from ``role=value`` pairs, either as one
    string or as keywords; roles that are left out are those of a framework's kernel: compute and
    accumulate in float32 (float64 if storage is float64), operands as storage. ``str`` gives the pairs
    back. ``ValueError`` for unknown roles, formats and accumulators.

    >>> Precision("storage=fp16, compute=fp16, accumulate=fp16:sequential") == Precision("pure_fp16")
    True
    >>> str(Precision("fp16"))
    'storage=float16, compute=float32, accumulate=float32, operands=float16'
    """

    storage: Format
    compute: Format
    accumulate: Accumulator
    operands: Format

    def __init__(self, spec: str = "", /, **roles: object) -> None:
        given: dict[str, object] = {}
        if not isinstance(spec, str):
            raise TypeError(f"precision: expected a string or role=value pairs, got {type(spec).__name__}")
        if spec and "=" not in spec:
            preset = PRESETS.get(spec.strip().lower())
            if preset is None:
                raise unknown("precision", spec, [*PRESETS, "role=value pairs"])
            given = {role: getattr(preset, role) for role in _ROLES}
        elif spec:
            for pair in spec.split(","):
                role, equals, value = (part.strip() for part in pair.partition("="))
                if not equals or not value:
                    raise ValueError(f"precision: {pair.strip()!r} is not allowed; allowed: role=value")
                given[role] = value
        given.update(roles)
        for role in given:
            if role not in _ROLES:
                raise unknown("precision", role, _ROLES)
        storage = as_format(given.get("storage", float32), "storage")
        wide = float64 if storage == float64 else float32
        object.__setattr__(self, "storage", storage)
        object.__setattr__(self, "compute", computable(as_format(given.get("compute", wide), "compute"), "compute"))
        object.__setattr__(self, "accumulate", accumulator(given.get("accumulate", wide.name)))
        object.__setattr__(self, "operands", as_format(given.get("operands", storage), "operands"))

    def __str__(self) -> str:
        return ", ".join(f"{role}={getattr(self, role)}" for role in _ROLES)


PRESETS: dict[str, Precision] = {}
FP64 = PRESETS["fp64"] = Precision(storage=float64)
FP32 = PRESETS["fp32"] = Precision(storage=float32)
TF32 = PRESETS["tf32"] = Precision(storage=float32, operands=tfloat32)
BF16 = PRESETS["bf16"] = Precision(storage=bfloat16)
FP16 = PRESETS["fp16"] = Precision(storage=float16)
PURE_FP16 = PRESETS["pure_fp16"] = Precision(storage=float16, compute=float16, accumulate="fp16:sequential")

_NATIVE = {preset.storage: preset for preset in (FP64, FP32, BF16, FP16)}


def native(fmt: Format) -> Precision:
    """The precision of a framework's own kernels for tensors stored in ``fmt``.

    >>> native(float16) == FP16
    True
    """
    return _NATIVE.get(fmt) or Precision(storage=fmt)
