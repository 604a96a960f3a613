"""The units as accumulators of a Precision, under the names of architectures and of devices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from halfsim.hardware.matrix_unit import matmul
from halfsim.hardware.units import DEVICES, INSTRUCTIONS, UNITS, Unit
from halfsim.numerics.quantize import Array
from halfsim.numerics.units import register

_WITHOUT = ("f16c",)  # they only convert


def named(device: str, row: Unit) -> str:
    """The word for a unit of ``device``, or of an architecture.

    >>> named("A100", UNITS["ampere"]["bf16", "fp32"]), named("P100", UNITS["pascal"]["fp16", "fp16"])
    ('A100:bf16', 'P100')
    """
    key = (row.inputs, row.accumulate)
    keys = list(UNITS[row.architecture])
    if key == ("fp16", "fp32") or key == keys[0]:
        return device
    return f"{device}:{row.inputs}" if row.accumulate == "fp32" else f"{device}:{row.inputs}/{row.accumulate}"


def install(device: str, architecture: str) -> None:
    """Make the units of ``device`` accumulators; full names such as "A100:fp16/fp32" are understood too."""
    for (inputs, accumulate), row in UNITS[architecture].items():
        product: Callable[[Array, Array], Array] = partial(matmul, row)
        full = f"{device}:{inputs}/{accumulate}"
        register(
            named(device, row), row.output_format, product, full, *([f"{device}:{inputs}"] * (accumulate == "fp32"))
        )


def install_all() -> None:
    """All architectures, and the devices that are known by their own names; their other instructions as "H100:mma"."""
    for name, architecture in [*((name, name) for name in UNITS), *DEVICES.items()]:
        if architecture in _WITHOUT:
            continue
        install(name, architecture)
        for instruction, other in INSTRUCTIONS.get(architecture, {}).items():
            if other != architecture:
                install(f"{name}:{instruction}", other)
