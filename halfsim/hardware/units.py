"""Every arithmetic unit as a row of numbers: what differs between two of them is here, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from halfsim.card import Record
from halfsim.hardware.catalogue import ROWS as CATALOGUE
from halfsim.numerics.formats import Format, as_format, bfloat16, float16, float32, tfloat32, unknown

FP8 = ("fp8_e4m3", "fp8_e5m2")

_RECORDED = "recorded outputs of real GPUs"
_MODEL = "two published models agree (MMA-Sim; Khattak and Mikaitis); no recorded outputs here"
_ONE_MODEL = "one published model (MMA-Sim); no recorded outputs here"
_PUBLISHED = "outputs of GPUs that Khattak and Mikaitis published; none of 5,000 wrong; none recorded here"
_BOTH = (_PUBLISHED, _PUBLISHED)  # with results in float32 and in float16
_VENDOR = "vendor documentation; not executed here"

_FORMATS = {
    "fp16": float16,
    "bf16": bfloat16,
    "tf32": tfloat32,
    "fp8_e4m3": as_format("fp8_e4m3"),
    "fp8_e5m2": as_format("fp8_e5m2"),
    "fp32": float32,
}


@dataclass(frozen=True)
class Unit(Record):
    """One row: how a unit multiplies matrices of ``inputs`` and adds into ``accumulate``.

    ``kind`` names the algorithm, each of which takes K in steps of ``block`` products, k ascending:

    - ``aligned``: the products of a step and the running sum c are cut to multiples of 2**(E - ``fraction``), where E
      is the largest of their exponents, added without error and rounded once. Exponents of products are the
      sums of their factors'; a zero has the exponent ``zero_exponent``.
    - ``floored``: as ``aligned`` for the products alone; their sum and c are then brought together by rounding down.
    - ``exact``: the exact sum of the products of a step and c is rounded once.
    - ``tree``: products of a step are added in pairs, then to c, each operation rounded.
    - ``chain``: fused multiply-adds, one rounding each, in ``chains`` interleaved chains that are added at the end;
      of ``tile`` products at a time, if that is not 0, which then join c. ``swapped``: k = 1, 0, 3, 2, ...

    ``digits`` is the precision of a step's result and ``toward_zero`` its rounding, else to nearest even.
    ``flush_inputs``, ``flush_addend`` and ``flush_outputs`` replace subnormal numbers by zeros. ``detached``: the
    running sum stays out of the steps. 32 products are gathered from zero, in two steps of 16 (those with k % 4 < 2,
    then the others), and their sum is then added to c by one IEEE addition.
    ``interleaved``: products of even and odd k are aligned apart. ``grid`` names the format of the factors where that
    is not the usual one for ``inputs``. ``nan`` are the bits of a NaN result.
    """

    architecture: str
    inputs: str
    accumulate: str
    kind: str
    block: int
    fraction: int = 0
    zero_exponent: int = 0
    digits: int = 24
    toward_zero: bool = False
    flush_inputs: bool = False
    flush_addend: bool = False
    flush_outputs: bool = False
    chains: int = 1
    tile: int = 0
    swapped: bool = False
    detached: bool = False
    interleaved: bool = False
    grid: str = ""
    nan: int = 0x7FC00000
    evidence: str = ""

    @property
    def input_format(self) -> Format:
        """The grid of the factors."""
        return as_format(self.grid) if self.grid else _FORMATS[self.inputs]

    @property
    def input_emin(self) -> int:
        """The exponent of the factors' subnormal numbers."""
        return float16.emin if self.detached else self.input_format.emin  # detached ones become halves first

    @property
    def output_format(self) -> Format:
        return _FORMATS[self.accumulate]

    @property
    def name(self) -> str:
        """How `halfsim.Precision` names it as an accumulator: "volta", "ampere:bf16", "ampere:fp16/fp16".

        >>> rows("volta")["fp16", "fp16"].name
        'volta:fp16/fp16'
        """
        tail = self.inputs if self.accumulate == "fp32" else f"{self.inputs}/{self.accumulate}"
        return self.architecture if tail == "fp16" else f"{self.architecture}:{tail}"


Rows = dict[tuple[str, str], Unit]


def _nvidia(
    architecture: str,
    fraction: int,
    blocks: dict[str, int],
    evidence: str,
    fp8_fraction: int = 13,
    fp8_evidence: tuple[str, str] = (_MODEL, _MODEL),
    **more: Any,
) -> Rows:
    """Tensor cores: one algorithm; the zero exponent follows from the width."""
    rows = {}
    for inputs, block in blocks.items():
        width = fp8_fraction if inputs in FP8 else fraction
        digits = 14 if width == 13 else 24
        for accumulate in ("fp32", "fp16") if inputs == "fp16" or inputs in FP8 else ("fp32",):
            half = accumulate == "fp16"
            rows[inputs, accumulate] = Unit(
                architecture, inputs, accumulate, "aligned", block, width,
                zero_exponent=(4 if half else -108) - fraction, digits=11 if half else digits, toward_zero=not half,
                nan=0x7FFF if half else 0x7FFFFFFF,
                evidence=fp8_evidence[half] if inputs in FP8 else evidence, **more,
            )  # fmt: skip
    return rows


def _one(architecture: str, inputs: str, accumulate: str, kind: str, block: int, **more: object) -> Rows:
    values: dict[str, object] = {"evidence": _VENDOR, **more}
    if accumulate == "fp16":
        values = {"digits": 11, "nan": 0x7E00, **values}
    unit = Unit(architecture, inputs, accumulate, kind, block, **values)  # type: ignore[arg-type]  # of _TABLE below
    return {(inputs, accumulate): unit}


_AMPERE = {"fp16": 8, "bf16": 8, "tf32": 4}
_HOPPER = {"fp16": 16, "bf16": 16, "tf32": 8, "fp8_e4m3": 32, "fp8_e5m2": 32}
_LEGACY = {"fp8_e4m3": 16, "fp8_e5m2": 16}
_DAZ = {"flush_addend": True, "flush_outputs": True}

UNITS: dict[str, Rows] = {
    "volta": _nvidia("volta", 23, {"fp16": 4}, _RECORDED),
    "turing": _nvidia("turing", 24, {"fp16": 8}, _ONE_MODEL),
    "ampere": _nvidia("ampere", 24, _AMPERE, _RECORDED),
    "ada": _nvidia("ada", 24, {**_AMPERE, "fp8_e4m3": 16, "fp8_e5m2": 16}, _RECORDED, fp8_evidence=_BOTH),
    "hopper": _nvidia("hopper", 25, _HOPPER, _RECORDED, fp8_evidence=(_PUBLISHED, _MODEL)),
    "blackwell": _nvidia("blackwell", 25, _HOPPER, _PUBLISHED, 25),
    "rtx_blackwell": _nvidia("rtx_blackwell", 25, _HOPPER, _MODEL, 25),
    "hopper_legacy": _nvidia("hopper_legacy", 25, _LEGACY, "", 25, _BOTH, detached=True),
    "blackwell_legacy": _nvidia("blackwell_legacy", 25, _LEGACY, "", 25, _BOTH, detached=True),
    "cdna1": _one("cdna1", "fp16", "fp32", "exact", 4, evidence=_MODEL)
    | _one("cdna1", "bf16", "fp32", "exact", 2, evidence=_MODEL),
    "cdna2": _one("cdna2", "fp16", "fp32", "tree", 4, flush_inputs=True, evidence=_MODEL, **_DAZ)
    | _one("cdna2", "bf16", "fp32", "tree", 4, flush_inputs=True, evidence=_MODEL, **_DAZ),
    "cdna3": _one("cdna3", "fp16", "fp32", "floored", 8, fraction=24, evidence=_ONE_MODEL)
    | _one("cdna3", "bf16", "fp32", "floored", 8, fraction=24, evidence=_ONE_MODEL)
    | _one("cdna3", "tf32", "fp32", "floored", 4, fraction=24, evidence=_ONE_MODEL)
    | _one("cdna3", "fp8_e4m3", "fp32", "floored", 16, fraction=24, interleaved=True, grid="float8_e4m3fnuz",
           evidence=_ONE_MODEL)
    | _one("cdna3", "fp8_e5m2", "fp32", "floored", 16, fraction=24, interleaved=True, grid="float8_e5m2fnuz",
           evidence=_ONE_MODEL),
    "avx512_bf16": _one(
        "avx512_bf16", "bf16", "fp32", "chain", 1, swapped=True, flush_inputs=True,
        evidence="vendor documentation, and a processor executed (VDPBF16PS)", **_DAZ,
    ),
    "amx_bf16": _one("amx_bf16", "bf16", "fp32", "chain", 1, chains=2, tile=32, flush_inputs=True, **_DAZ),
    "amx_fp16": _one("amx_fp16", "fp16", "fp32", "chain", 1, chains=2, tile=32, **_DAZ),
    "avx512_fp16": _one("avx512_fp16", "fp16", "fp16", "chain", 1),
    "pascal": _one("pascal", "fp16", "fp16", "chain", 1, chains=2, nan=0x7FFF),
    "arm_fp16": _one("arm_fp16", "fp16", "fp16", "chain", 1),
    "arm_fp16_fz16": _one("arm_fp16_fz16", "fp16", "fp16", "chain", 1, flush_inputs=True, **_DAZ),
    "arm_fmlal": _one("arm_fmlal", "fp16", "fp32", "chain", 1),
    "f16c": _one("f16c", "fp16", "fp32", "chain", 1),
}  # fmt: skip

# Which architecture stands behind the name of a device, where it has but one.
DEVICES = {row.name: row.units[0] for row in CATALOGUE if len(row.units) == 1 and row.units[0] != "f16c"}

# The instructions of an architecture, its own first, and whose rows they are: Hopper and Blackwell multiply 8-bit
# numbers in other ways by the older one, and all others alike.
INSTRUCTIONS: dict[str, dict[str, str]] = {
    **{name: {"mma": name} for name in ("volta", "turing", "ampere", "ada", "rtx_blackwell")},
    "hopper": {"wgmma": "hopper", "mma": "hopper_legacy"},
    "blackwell": {"tcgen05": "blackwell", "mma": "blackwell_legacy"},
}


def rows(architecture: str) -> Rows:
    """The units of an architecture, by (inputs, accumulate); ``ValueError`` names the nearest for a typo.

    >>> rows("ampere")["fp16", "fp32"].block
    8
    """
    if architecture not in UNITS:
        raise unknown("architecture", architecture, UNITS)
    return UNITS[architecture]
