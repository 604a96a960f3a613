"""Energy of arithmetic and of memory, from one published table; of which memory depends on the device."""

from __future__ import annotations

from halfsim.costs.flops import Work
from halfsim.hardware.devices import Device

SOURCE = "Horowitz, ISSCC 2014, 45 nm, 0.9 V"

# In pJ: multiplication, addition. A product whose factors are halves is added in float32.
PICOJOULES = {16: (1.1, 0.9), 32: (3.7, 0.9)}

# In pJ a byte: 1300 to 2600 pJ for 64 bits of DRAM, of which the lower; 100 pJ for 64 bits of a 1 MB SRAM.
DRAM, SRAM = 1300 / 8, 100 / 8
ON_CHIP = 0.016  # GB: a device with less has no memory but that on its chip


def memory(where: Device) -> tuple[str, float]:
    """The kind of memory of a device, and the energy of a byte of it in pJ."""
    return ("SRAM", SRAM) if where.memory.value < ON_CHIP else ("DRAM", DRAM)


def joules(work: Work, byte: float) -> float:
    """Energy of one kernel, ``byte`` being that of a byte of memory in pJ."""
    times, plus = PICOJOULES[16 if work.product and work.format.bits <= 16 else 32]
    each = (times + plus) / 2 if work.product else plus
    return (work.flops * each + work.bytes * byte) * 1e-12
