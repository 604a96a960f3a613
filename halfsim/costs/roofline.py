"""The time of kernels on a device: the roofline of each, and the latency of those that wait for one another."""

from __future__ import annotations

from collections.abc import Sequence

from halfsim.costs.energy import joules, memory
from halfsim.costs.facts import Step
from halfsim.costs.flops import Work
from halfsim.costs.recipes import Recipe
from halfsim.hardware.devices import Device
from halfsim.numerics.formats import Format, float32, tfloat32

# Seconds from the start of one short kernel to that of the next, if this waits for its result: an assumption, of the
# order that is measured for GPUs. A processor's cores call a function instead.
LATENCY = 3e-6
_CORES = ("f16c", "avx", "amx", "arm")  # how the architectures of processors begin

_NAMES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "tfloat32": "tf32", "float64": "fp64"}


def latency(where: Device) -> float:
    """Seconds that a kernel which waits for another takes at least."""
    return 0.0 if where.architecture.startswith(_CORES) else LATENCY


def by_layer(works: Sequence[Work], recipe: Recipe, where: Device) -> tuple[Step, ...]:
    """What the kernels of each layer take, in the order of the pass."""
    by_path: dict[str, list[Work]] = {}
    for work in works:
        by_path.setdefault(work.path or "(model)", []).append(work)
    return tuple(total(own, recipe, where, path) for path, own in by_path.items())


def total(works: Sequence[Work], recipe: Recipe, where: Device, path: str = "") -> Step:
    """What these kernels take together, one after another."""
    seconds = {"compute": 0.0, "bandwidth": 0.0, "latency": 0.0}
    peaks, energy = dict[str, tuple[float, float]](), 0.0
    kind, wait = memory(where)[1], latency(where)
    for work in works:
        name, rate = _rate(work, recipe, where)
        took = {"bandwidth": work.bytes / (where.bandwidth.value * 1e9), "compute": work.flops / rate,
                "latency": work.steps * wait if work.steps > 1 else 0.0}  # fmt: skip
        limit = max(took, key=lambda key: took[key])
        seconds[limit] += took[limit]
        peaks[name] = rate, peaks.get(name, (rate, 0.0))[1] + work.flops
        energy += joules(work, kind)
    limit = max(("bandwidth", "compute", "latency"), key=lambda key: seconds[key])
    name = max(peaks, key=lambda key: (peaks[key][1], key), default="fp32 vector")
    at = peaks[name][0] if peaks else where.peak("fp32", False)[1]
    flops, moved = sum(w.flops for w in works), sum(w.bytes for w in works)
    return Step(path, flops, moved, sum(seconds.values()), energy, limit, name, at)


def least(works: Sequence[Work], recipe: Recipe, where: Device) -> float:
    """Seconds that the products take at the peak rate, which no kernel that forms them directly can be below."""
    return sum(work.flops / _rate(work, recipe, where)[1] for work in works if work.product)


def _rate(work: Work, recipe: Recipe, where: Device) -> tuple[str, float]:
    """The peak that an operation is held against: kernels that are no product compute in float32."""
    narrow = work.format == float32 and (recipe.tf32 is None or work.op in recipe.tf32)
    fmt: Format = tfloat32 if narrow else work.format
    return where.peak(_NAMES.get(fmt.name, fmt.name), True) if work.product else where.peak("fp32", False)
