"""Numbers of formats, of the catalogue of devices and of costs, a function for each claim that they judge."""

from __future__ import annotations

import math
from collections.abc import Callable

from halfsim.costs.energy import DRAM, PICOJOULES, SRAM
from halfsim.gallery.questions.compared import faster, gain, memory, step, traits
from halfsim.hardware.devices import Device, device, devices
from halfsim.numerics.formats import bfloat16, float16, float32
from halfsim.numerics.neighbours import spacing
from halfsim.numerics.quantize import round_to

Value = float | int | str | list[str]
Numbers = dict[str, Value]

_BILLION = 10**9
_MODEL = 70 * _BILLION  # parameters of a large language model


def _names(test: Callable[[Device], bool]) -> list[str]:
    return [d.name for d in devices() if test(d)]


def _computes(d: Device) -> bool:
    return d.support.get("fp16") in ("vector", "matrix")


def _rate(d: Device, key: str) -> float:
    return d.peaks[key].value


def _same(d: Device) -> bool:
    """Whether the vector units are no faster in float16 than in float32, within the rounding of the figures."""
    return {"fp16", "fp32"} <= set(d.peaks) and _rate(d, "fp16") < 1.02 * _rate(d, "fp32")


# ---- why -------------------------------------------------------------------------------------------------------------


def traffic() -> Numbers:
    """What a training step moves and computes in both formats."""
    bills = step("A100", "transformer").training
    wide, half = bills["fp32"].total, bills["fp16"].total
    return {
        "device": "A100",
        "moved": half.bytes / wide.bytes,
        "flops": half.flops / wide.flops,
        "times": wide.seconds / half.seconds,
    }


def tensor_cores() -> Numbers:
    """How much matrix units add, on a device without them and on two with them."""
    found = {name: gain(device(name)) for name in ("P100", "V100", "A100")}
    train = {name: faster(name, "amp", "transformer") for name in ("V100", "A100")}
    return {"P100": found["P100"], "V100": found["V100"], "A100": found["A100"], "amp_V100": train["V100"],
            "amp_A100": train["A100"]}  # fmt: skip


def larger() -> Numbers:
    """Memory of training with Adam: bytes a parameter, activations, and a small model on which it grows."""
    rows = {row.recipe: row for row in memory()}
    each = {name: row.weights + row.gradients + row.state for name, row in rows.items()}
    small = {name: bill.bytes for name, bill in step("A100", "mlp").training.items()}
    return {"fp32": each["fp32"], "fp16": each["fp16"], "amp": each["amp"], "held": rows["amp"].activations,
            "peak": rows["amp"].peak, "small": small["amp"] / small["fp32"]}  # fmt: skip


def embedded() -> Numbers:
    """Cores for phones and microcontrollers, with arithmetic in float16 and without."""
    m4, m55, a76 = (device(name) for name in ("Cortex-M4F", "Cortex-M55", "Cortex-A76"))
    return {"m4": gain(m4), "m55": gain(m55), "a76": gain(a76), "room_half": int(m4.memory.value * 1e9) // 2,
            "room": int(m4.memory.value * 1e9) // 4}  # fmt: skip


# ---- float16 beside float32 ------------------------------------------------------------------------------------------


def widths() -> Numbers:
    """Bytes of a number, and of a billion."""
    half, wide = float16.itemsize, float32.itemsize
    return {"half": half, "wide": wide, "billion_half": half * _BILLION / 1e9, "billion_wide": wide * _BILLION / 1e9}


def digits() -> Numbers:
    """Decimal digits by three measures, and where they end."""
    half, wide, brain = traits(float16), traits(float32), traits(bfloat16)
    return {
        "half": half.digits,
        "wide": wide.digits,
        "brain": brain.digits,
        "kept_half": half.kept,
        "kept_wide": wide.kept,
        "kept_brain": brain.kept,
        "needed_half": half.needed,
        "needed_wide": wide.needed,
        "error": half.eps / 2,
        "whole": half.whole,
        "missing": half.whole + 1,
        "normal": half.smallest_normal,
    }


def reach() -> Numbers:
    """The ends of the three formats."""
    half, wide, brain = traits(float16), traits(float32), traits(bfloat16)
    return {"max": half.max, "overflow": half.overflow,
            "normal": half.smallest_normal, "max_wide": wide.max, "least_wide": wide.smallest_subnormal,
            "max_brain": brain.max, "tiny": 1e-8, "becomes": float(round_to(1e-8, float16)),
            "bits": brain.bits, "zero": half.smallest_subnormal / 2}  # fmt: skip


def vector_rates() -> Numbers:
    """Devices whose vector units are no faster in float16, and what their matrix units add."""
    found = [d for d in devices() if _same(d)]
    least = min(gain(d) for d in found)
    return {"count": len(found), "same": [d.name for d in found], "least": least}


def slower() -> Numbers:
    """What float32 costs: bytes and, where there are units for halves, time; where there are none, nothing."""
    none = _names(lambda d: d.support.get("fp16") == "convert")
    return {
        "moved": float32.itemsize / float16.itemsize,
        "A100": gain(device("A100")),
        "none": none,
        "count": len(none),
    }


# ---- uses ------------------------------------------------------------------------------------------------------------


def inference() -> Numbers:
    """Inference of a small transformer by the roofline."""
    found = step("A100", "transformer").inference
    bills = {name: bill.total for name, bill in found.items()}
    return {"times": bills["fp32"].seconds / bills["fp16"].seconds, "weights": found["fp16"].parameters
            / found["fp32"].parameters, "max": float16.max}  # fmt: skip


def positions() -> Numbers:
    """How finely float16 places a point, and how long a clock of frames runs."""
    rate, at, bits = 60, 1000, 8
    frame, now, frames = float(round_to(1 / rate, float16)), 0.0, 0
    while (after := float(round_to(now + frame, float16))) != now:
        now, frames = after, frames + 1
    return {"near": float(spacing(1.0, float16)), "at": at, "far": float(spacing(float(at), float16)), "bits": bits,
            "step": 1 / (2**bits - 1) / float(spacing(0.75, float16)), "rate": rate, "stuck": now,
            "true": frames / rate, "frames": frames}  # fmt: skip


def sensors() -> Numbers:
    """A model on a microcontroller: bytes and the energy of fetching a weight."""
    return {"gain": gain(device("Cortex-M4F")), "half": float16.itemsize, "wide": float32.itemsize,
            "fetch_half": SRAM * float16.itemsize, "fetch_wide": SRAM * float32.itemsize,
            "multiply": PICOJOULES[16][0], "m55": gain(device("Cortex-M55"))}  # fmt: skip


def mixed() -> Numbers:
    """What mixed precision does to a training step."""
    bills = step("A100", "transformer").training
    return {"times": faster("A100", "amp", "transformer"), "weights": bills["amp"].parameters // step(
        "A100", "transformer").parameters, "infer": inference()["times"]}  # fmt: skip


# ---- networks --------------------------------------------------------------------------------------------------------


def training_too() -> Numbers:
    """Training by the roofline, on devices with tensor cores."""
    return {name: faster(name, "amp", "transformer") for name in ("V100", "A100", "H100")}


def cores() -> Numbers:
    """How many devices of the catalogue have a matrix unit that takes float16, and the range of what it adds."""
    found = [d for d in devices() if {"fp16 matrix", "fp32"} <= set(d.peaks)]
    ratios = {d.name: _rate(d, "fp16 matrix") / _rate(d, "fp32") for d in found}
    least, most = min(ratios, key=lambda name: ratios[name]), max(ratios, key=lambda name: ratios[name])
    return {"count": len(found), "least": ratios[least], "most": ratios[most], "least_name": least, "most_name": most}


def servers() -> Numbers:
    """How many cards hold the weights of a large model."""
    room = device("A100").memory.value
    half, wide = (_MODEL * fmt.itemsize / 1e9 for fmt in (float16, float32))
    return {"billions": _MODEL // _BILLION, "half": half, "wide": wide, "room": room,
            "cards_half": math.ceil(half / room), "cards_wide": math.ceil(wide / room)}  # fmt: skip


# ---- devices ---------------------------------------------------------------------------------------------------------


def nvidia() -> Numbers:
    """NVIDIA's devices in the catalogue."""
    found = [d for d in devices() if d.vendor == "NVIDIA"]
    small = [gain(device(name)) for name in ("T4", "A2")]
    return {"count": len(found), "computes": sum(map(_computes, found)), "P100": gain(device("P100")),
            "first": device("P100").year, "volta": device("V100").year, "T4": small[0], "A2": small[1],
            "same": [d.name for d in found if _same(d)]}  # fmt: skip


def amd() -> Numbers:
    """AMD's graphics and accelerator cards, and its processors."""
    found = [d for d in devices() if d.vendor == "AMD"]
    cards = [d for d in found if _computes(d)]
    return {"cards": len(cards), "names": [d.name for d in cards], "MI300X": gain(device("MI300X")),
            "RX": gain(device("RX 7900 XTX")), "processors": [d.name for d in found if not _computes(d)]}  # fmt: skip


def intel() -> Numbers:
    """Intel's processors: which convert, which compute."""
    rows = [device(name) for name in ("Xeon Ice Lake", "Xeon Cooper Lake")]
    first, next_ = device("Xeon Sapphire Rapids"), device("Xeon Granite Rapids")
    return {"converts": [d.name for d in rows if d.support["fp16"] == "convert"], "gain": gain(rows[0]),
            "first": first.name, "year": first.year, "vector": gain(first),
            "tiles": gain(next_), "next": next_.name}  # fmt: skip


def others() -> Numbers:
    """Makers whose devices compute in float16 and are not named, and devices that do not know it."""
    makers = dict.fromkeys(d.vendor for d in devices() if _computes(d) and d.vendor not in ("NVIDIA", "AMD"))
    return {"makers": list(makers), "none": _names(lambda d: "fp16" not in d.support)}


# ---- speed -----------------------------------------------------------------------------------------------------------


def in_general() -> Numbers:
    """On how many devices float16 is faster to compute with, and on which not."""
    rated = [d for d in devices() if "fp32" in d.peaks]
    faster_ = [d for d in rated if gain(d) > 1.02]
    return {"rated": len(rated), "faster": len(faster_), "not": [d.name for d in rated if gain(d) <= 1.02],
            "same": len(_names(_same)), "ice": faster("Xeon Ice Lake", "fp16")}  # fmt: skip


def bandwidth() -> Numbers:
    """Numbers that pass through memory in a second."""
    each = device("A100").bandwidth.value
    return {"rate": each, "half": each / float16.itemsize, "wide": each / float32.itemsize}


def density() -> Numbers:
    """Operations a byte at which arithmetic, not memory, becomes the limit."""
    d = device("A100")
    (_, wide), (_, half) = d.peak("fp32", True), d.peak("fp16", True)
    rate = d.bandwidth.value * 1e9
    bill = step("A100").training["fp16"]
    waits = sum(layer.seconds for layer in bill.layers if layer.bound == "bandwidth")
    return {"wide": wide / rate, "half": half / rate, "waits": waits / bill.total.seconds, "gain": gain(d),
            "times": faster("A100", "fp16")}  # fmt: skip


def hardware() -> Numbers:
    """Processors that compute in float16, and the rest of the processors."""
    cores_ = [d for d in devices() if d.architecture.startswith(("f16c", "avx", "amx", "arm"))]
    return {"computes": [d.name for d in cores_ if _computes(d)],
            "converts": [d.name for d in cores_ if not _computes(d)]}  # fmt: skip


def energy() -> Numbers:
    """Energy of operations, of memory and of a training step."""
    (wide, plus), (half, _) = PICOJOULES[32], PICOJOULES[16]
    bills = step("A100", "transformer").training
    joules = {name: bill.total.joules for name, bill in bills.items()}
    return {"half": half, "wide": wide, "plus": plus, "fetch_half": DRAM * float16.itemsize,
            "fetch_wide": DRAM * float32.itemsize, "step": joules["fp16"] / joules["fp32"],
            "amp": joules["amp"] / joules["fp32"]}  # fmt: skip


def without_support() -> Numbers:
    """A processor that only converts, and the best that a step can gain there."""
    return {"gain": gain(device("Xeon Ice Lake")), "times": faster("Xeon Ice Lake", "fp16", "transformer"),
            "with": faster("A100", "fp16", "transformer")}  # fmt: skip
