"""float16 beside float32 and bfloat16: what each format is, what it takes, how named devices compute with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from halfsim.costs.cost import Cost, cost
from halfsim.costs.energy import DRAM, PICOJOULES, SOURCE, SRAM
from halfsim.costs.facts import Bill
from halfsim.hardware.devices import Device, Figure, device
from halfsim.numerics.formats import Format, bfloat16, float16, float32

FORMATS = (float16, bfloat16, float32)

# With a product of each kind: without and with tensor cores, then the other makers, then what converts only.
DEVICES = (
    "P100", "V100", "T4", "RTX 4090", "A100", "H100", "B200", "MI250X", "MI300X", "RX 7900 XTX", "Zen 4",
    "Arc A770", "GPU Max 1550", "Xeon Ice Lake", "Xeon Cooper Lake", "Xeon Sapphire Rapids", "Xeon Granite Rapids",
    "Cortex-A76", "Apple M4", "Cortex-M55", "Cortex-M4F",
)  # fmt: skip

MODEL, BATCH = "cnn", 128  # whose training step the devices are compared by
MEMORY_OF = "A100"
RECIPES = ("fp32", "fp16", "bf16", "amp")


@dataclass(frozen=True)
class Traits:
    """What follows from a format's number of bits; the names are those of ``numpy.finfo`` where it has one.

    ``digits`` are decimal digits as the logarithm has them; ``kept`` digits of any decimal number survive the way into
    the format and back, ``needed`` digits tell every number of the format from its neighbours. ``whole`` is the largest
    whole number below which none is missing, ``overflow`` the smallest that becomes infinite.
    """

    format: str
    bits: int
    exponent: int
    stored: int
    precision: int
    digits: float
    kept: int
    needed: int
    eps: float
    max: float
    overflow: float
    smallest_normal: float
    smallest_subnormal: float
    whole: int
    bytes: int


def traits(fmt: Format) -> Traits:
    """The traits of a format with two digits of precision or more.

    >>> traits(float16).kept, traits(float16).needed, traits(float16).whole
    (3, 5, 2048)
    """
    p, two = fmt.precision, math.log10(2)
    return Traits(
        fmt.name, fmt.bits, fmt.exponent_bits, fmt.nmant, p, p * two, math.floor((p - 1) * two),
        math.ceil(1 + p * two), fmt.eps, fmt.max, fmt.overflow_threshold, fmt.smallest_normal, fmt.smallest_subnormal,
        1 << p, fmt.itemsize,
    )  # fmt: skip


@dataclass(frozen=True)
class Speed:
    """A device: how it computes in halves, its peaks, and a training step against float32's.

    ``gain`` is the fastest rate of products in float16 over that in float32; ``times`` how often a training step in
    each recipe fits into one in float32, by the roofline; ``joules`` what a step takes. Peaks are those of the
    catalogue, None where it has none.
    """

    device: Device
    float16: str  # of "convert", "vector", "matrix"; "" where the format is unknown to it
    bfloat16: str
    fp32: Figure | None
    vector: Figure | None
    matrix: Figure | None
    brain: Figure | None
    gain: float
    times: dict[str, float]
    joules: dict[str, float]


@cache
def step(name: str, model: str = MODEL) -> Cost:
    """What a training step of a small model costs on a device, as ``halfsim cost`` has it."""
    return cost(model, BATCH, name, recipes=RECIPES)


def faster(name: str, recipe: str, model: str = MODEL) -> float:
    """How often a training step in ``recipe`` fits into one in float32, by the roofline."""
    bills = step(name, model).training
    return bills["fp32"].total.seconds / bills[recipe].total.seconds


def gain(where: Device) -> float:
    """The fastest rate of products in float16 over that in float32; 1 where float16 is only converted.

    >>> round(gain(device("A100")), 2), gain(device("Xeon Ice Lake"))
    (16.0, 1.0)
    """
    return where.peak("fp16", True)[1] / where.peak("fp32", True)[1]


def speed(name: str) -> Speed:
    """The row of a device that has a rate in float32."""
    where = device(name)
    peaks = where.peaks
    brain = peaks.get("bf16 matrix") or peaks.get("bf16")
    return Speed(
        where, where.support.get("fp16", ""), where.support.get("bf16", ""), peaks.get("fp32"), peaks.get("fp16"),
        peaks.get("fp16 matrix"), brain, gain(where), {recipe: faster(name, recipe) for recipe in RECIPES[1:]},
        {recipe: bill.total.joules for recipe, bill in step(name).training.items()},
    )  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """Bytes that a recipe takes for each parameter in training with Adam, and the largest model and batch on a device.

    ``activations`` and ``peak`` are against float32's.
    """

    recipe: str
    weights: float
    gradients: float
    state: float
    activations: float
    peak: float
    largest: int


def memory(name: str = MEMORY_OF, model: str = "transformer") -> list[Memory]:
    """A row for each recipe, of a small model on a device."""
    found = step(name, model)
    first = found.training["fp32"]

    def row(bill: Bill) -> Memory:
        weights, gradients, state = (n / found.parameters for n in (bill.parameters, bill.gradients, bill.optimizer))
        shares = bill.activations / first.activations, bill.peak / first.peak
        return Memory(bill.recipe, weights, gradients, state, *shares, bill.largest_model)

    return [row(bill) for bill in found.training.values()]


def energies() -> list[tuple[str, float, float]]:
    """What is done, and the energy of it in float32 and in half precision, in picojoules (one process for all)."""
    (wide_mul, wide_add), (mul, _) = PICOJOULES[32], PICOJOULES[16]
    bills = step(MEMORY_OF).training
    joules = [bills[recipe].total.joules * 1e12 for recipe in ("fp32", "fp16")]
    return [
        ("multiply", wide_mul, mul),
        ("add", wide_add, wide_add),  # a unit that multiplies halves adds in float32
        ("dram", DRAM * float32.itemsize, DRAM * float16.itemsize),
        ("sram", SRAM * float32.itemsize, SRAM * float16.itemsize),
        ("step", joules[0], joules[1]),
    ]


def documents(names: Sequence[str] = DEVICES) -> list[str]:
    """The documents behind the figures of these devices, each once."""
    figures = (figure for name in names for figure in device(name).figures.values())
    return list(dict.fromkeys(str(document) for figure in figures for document in figure.documents))


def to_dict() -> dict[str, Any]:
    """All of it as plain data."""
    rows = []
    for name in DEVICES:
        s = speed(name)
        peaks = {"fp32": s.fp32, "fp16": s.vector, "fp16 matrix": s.matrix, "bf16": s.brain}
        rows.append({
            "device": name, "maker": s.device.vendor, "float16": s.float16, "bfloat16": s.bfloat16,
            "peak_tflops": {key: None if figure is None else figure.to_dict() for key, figure in peaks.items()},
            "bandwidth_gb_per_s": s.device.bandwidth.to_dict(), "float16_over_float32": s.gain, "step_times": s.times,
            "step_joules": s.joules,
        })  # fmt: skip
    return {
        "formats": [asdict(traits(fmt)) for fmt in FORMATS],
        "memory": {"device": MEMORY_OF, "bytes_per_parameter": [asdict(row) for row in memory()]},
        "devices": {"model": MODEL, "batch": BATCH, "rows": rows},
        "energy": {"source": SOURCE, "picojoules": [
            {"of": name, "float32": wide, "float16": half} for name, wide, half in energies()]},
    }  # fmt: skip
