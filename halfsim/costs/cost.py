"""What half precision buys: memory, roofline time and energy of a training step and of inference, on a named device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.costs import text
from halfsim.costs.example import example
from halfsim.costs.facts import Bill, Facts, Step
from halfsim.costs.flops import Work
from halfsim.costs.measure import RECIPES, Loss, Pass, between, largest
from halfsim.document import Document
from halfsim.hardware.devices import Device, device
from halfsim.nn import Module
from halfsim.numerics.formats import Format, float32, tfloat32, unknown

# Energy in pJ on a 45 nm process at 0.9 V (Horowitz, ISSCC 2014): multiplication, addition. A product whose factors are
# halves is added in float32. DRAM, 1300 to 2600 pJ for 64 bits, counts at its lower end.
PICOJOULES = {16: (1.1, 0.9), 32: (3.7, 0.9)}
DRAM = 1300 / 8

# Of each optimizer: tensors of state, and operations for each parameter.
OPTIMIZERS = {
    "sgd": (0, 2),
    "momentum": (1, 4),
    "adagrad": (1, 6),
    "rmsprop": (1, 7),
    "adam": (2, 12),
    "adamw": (2, 14),
}

_NAMES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "tfloat32": "tf32", "float64": "fp64"}


class Cost(Facts, Document):
    """What a model costs on a device by recipe; printed, tables, and a page in a notebook.

    ``training`` and ``inference`` hold a `Bill` a recipe, by its name.
    """

    title = "halfsim cost"
    _script = ""
    _headed = False

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        both = {"training": self.training, "inference": self.inference}
        return {
            "schema": 1, "kind": "cost",
            "device": self.device.name, "model": self.model, "parameters": self.parameters, "batch": self.batch,
            "optimizer": self.optimizer, "energy": "Horowitz 2014, 45 nm",
            **{name: [bill.to_dict() for bill in bills.values()] for name, bills in both.items()},
        }  # fmt: skip

    as_dict = to_dict  # its name before

    def __str__(self) -> str:
        return text.text(self)

    def _body(self) -> Iterator[str]:
        return text.body(self)


def cost(
    model: Module | str,
    batch: Any,
    device: Device | str = "A100",
    *,
    optimizer: str = "adam",
    recipes: Iterable[str] = ("fp32", "fp16", "amp"),
    loss: Loss | None = None,
    batch_axis: int = 0,
    width: int | None = None,
) -> Cost:
    """What a training step and inference of ``model`` cost on ``device``, by recipe.

    ``model`` is a Module with an example ``batch``, an input or a pair (input, target), whose size along ``batch_axis``
    is the batch's; or "mlp", "cnn", "lstm", "transformer" with a batch size, and a ``width`` of hidden layers. The
    model itself does not change. ``recipes``: "fp32"; "tf32", whose products take 19 bits; "fp16" and "bf16", whose
    weights, gradients and optimizer state are of that format too; "amp", PyTorch's autocast over float32 weights.
    ``loss`` takes the result and the target (cross entropy for integer targets, mean squared error for others).

    Operations are counted in a pass through a copy of the model: a multiplication and an addition are two, an
    operation that is no product counts one for each element, one that only moves values none. Time is the roofline's
    (Williams, Waterman and Patterson 2009): for each operation the longer of its arithmetic at the peak rate of the
    unit that can do it and of its bytes at the memory's bandwidth, none of them kept in a cache. It is a lower bound:
    real kernels reach half to nine tenths of it, and small ones wait for their launch. ``ValueError`` for an unknown
    word and for a device of which no rate in fp32 is known, ``TypeError`` for a batch that is of neither kind. Where
    software sees a card as several devices, the bill is that of one.

    >>> bill = cost("mlp", 128, "V100").training
    >>> bill["fp32"].parameters, bill["fp16"].parameters
    (814120, 407060)
    """
    where, names = _device(device).seen, [recipes] if isinstance(recipes, str) else list(dict.fromkeys(recipes))
    for name in names:
        if name not in RECIPES:
            raise unknown("recipes", name, RECIPES)
    if not names:
        raise ValueError(f"recipes: none given; allowed: {', '.join(RECIPES)}")
    if optimizer not in OPTIMIZERS:
        raise unknown("optimizer", optimizer, OPTIMIZERS)
    where.peak("fp32", False)  # of which every model has need
    net, run, sizes, n, named = example(model, batch, batch_axis, width, loss)
    bills: dict[bool, dict[str, Bill]] = {True: {}, False: {}}
    for training, found in bills.items():
        for name in names:
            low, high = (run(size, name, training) for size in sizes)
            here = low if n == sizes[0] else between(low, high, (n - sizes[0]) / (sizes[1] - sizes[0]))
            bill = _bill(net, name, training, here, where, optimizer)
            room = where.memory.value * 1e9 - (bill.bytes - bill.activations)
            found[name] = replace(bill, largest_batch=largest(low, high, sizes, room, training))
    count = sum(p.size for p in net.parameters())
    return Cost(where, named, count, n, optimizer, bills[True], bills[False])


_device = device  # which the argument of that name hides


def _bill(net: Module, recipe: str, training: bool, here: Pass, where: Device, optimizer: str) -> Bill:
    fmt = RECIPES[recipe][1]
    width = fmt.bits // 8
    learned = sum(p.size for p in net.parameters() if p.requires_grad) if training else 0
    count = sum(p.size for p in net.parameters())
    buffers = sum(np.asarray(b.array if isinstance(b, Tensor) else b).size for b in net.buffers())
    states, operations = OPTIMIZERS[optimizer]
    works = list(here.works)
    if training and learned:
        moved = learned * width * (3.0 + 2 * states)
        works.append(Work("optimizer", "(optimizer)", optimizer, fmt, False, float(learned * operations), moved))
    kept = [(count + buffers) * width, learned * width, states * learned * width]
    activations = round(here.held if training else here.live)
    each = width * (2 + states if training else 1)
    return Bill(recipe, training, kept[0], kept[1], kept[2], activations, _sum("", works, recipe, where),
                _layers(works, recipe, where), None, int(where.memory.value * 1e9 // each))  # fmt: skip


def _layers(works: Sequence[Work], recipe: str, where: Device) -> tuple[Step, ...]:
    by_path: dict[str, list[Work]] = {}
    for work in works:
        by_path.setdefault(work.path or "(model)", []).append(work)
    return tuple(_sum(path, own, recipe, where) for path, own in by_path.items())


def _sum(path: str, works: Sequence[Work], recipe: str, where: Device) -> Step:
    seconds = {"compute": 0.0, "bandwidth": 0.0}
    joules, peaks = 0.0, dict[str, tuple[float, float]]()
    for work in works:
        name, rate = _rate(work, recipe, where)
        compute, transfer = work.flops / rate, work.bytes / (where.bandwidth.value * 1e9)
        seconds["compute" if compute > transfer else "bandwidth"] += max(compute, transfer)
        peaks[name] = rate, peaks.get(name, (rate, 0.0))[1] + work.flops
        joules += _joules(work)
    bound = "compute" if seconds["compute"] > seconds["bandwidth"] else "bandwidth"
    name = max(peaks, key=lambda key: (peaks[key][1], key), default="fp32 vector")
    at = peaks[name][0] if peaks else where.peak("fp32", False)[1]
    flops, moved = sum(w.flops for w in works), sum(w.bytes for w in works)
    return Step(path, flops, moved, sum(seconds.values()), joules, bound, name, at)


def _rate(work: Work, recipe: str, where: Device) -> tuple[str, float]:
    """The peak that an operation is held against: kernels that are no product compute in float32."""
    fmt: Format = tfloat32 if recipe == "tf32" and work.format == float32 else work.format
    return where.peak(_NAMES.get(fmt.name, fmt.name), True) if work.product else where.peak("fp32", False)


def _joules(work: Work) -> float:
    times, plus = PICOJOULES[16 if work.product and work.format.bits <= 16 else 32]
    each = (times + plus) / 2 if work.product else plus
    return (work.flops * each + work.bytes * DRAM) * 1e-12
