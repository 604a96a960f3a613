"""What half precision buys: memory, roofline time and energy of a training step and of inference, on a named device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.costs import energy, text
from halfsim.costs.energy import DRAM, PICOJOULES
from halfsim.costs.example import example
from halfsim.costs.facts import Bill, Facts
from halfsim.costs.flops import Work
from halfsim.costs.measure import Loss, Pass, alike, between, largest
from halfsim.costs.recipes import RECIPES
from halfsim.costs.roofline import by_layer, least, total
from halfsim.document import Document
from halfsim.hardware.devices import Device, device
from halfsim.nn import Module
from halfsim.numerics.formats import float32, unknown

# Of each optimizer: tensors of state, and operations for each parameter.
OPTIMIZERS = {
    "sgd": (0, 2),
    "momentum": (1, 4),
    "adagrad": (1, 6),
    "rmsprop": (1, 7),
    "adam": (2, 12),
    "adamw": (2, 14),
}

__all__ = ["DRAM", "OPTIMIZERS", "PICOJOULES", "Cost", "cost"]


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
            "optimizer": self.optimizer, "energy": energy.SOURCE, "memory": energy.memory(self.device)[0],
            "time": text.TIME, "least_is_a_bound": self.device.ceiling,
            "assumed": text.assumed(self), "left_out": list(text.LEFT_OUT),
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
    recipes: str | Iterable[str] = ("fp32", "fp16", "amp"),
    loss: Loss | None = None,
    batch_axis: int = 0,
    batch_size: int | None = None,
    width: int | None = None,
) -> Cost:
    """What a training step and inference of ``model`` cost on ``device``, by recipe.

    ``model`` is a Module with an example ``batch``, an input or a pair (input, target), whose size along ``batch_axis``
    is the batch's, unless ``batch_size`` names another; or "mlp", "cnn", "lstm", "transformer" with a batch size, and a
    ``width`` of hidden layers. The model itself does not change. ``recipes``: "fp32"; "pytorch", which is float32
    with convolutions and recurrent layers in TF32; "tf32", all products in it; "fp16" and "bf16", whose weights,
    gradients and optimizer state are of that format too; "amp" and "amp_bf16", PyTorch's autocast over float32 weights;
    "master", float16 weights with float32 copies in the optimizer. ``loss`` takes the result and the target (cross
    entropy for integer targets, mean squared error for others).

    Operations are counted in a pass through a copy of the model: a multiplication and an addition are two, an
    operation that is no product counts one for each element, one that only moves values none. Time is an estimate, the
    roofline's (Williams, Waterman and Patterson 2009) kernel by kernel: the longer of its arithmetic at the peak rate
    of the unit that can do it and of its bytes at the memory's bandwidth, as `halfsim.costs.kernels` has them, none of
    them kept in a cache; a time step of a recurrent layer takes no less than its kernels' latency. Published
    measurements come to 50 to 85 % of it (docs/hardware.md); fusion and caches can beat it, where bytes are the limit.
    ``bill.least`` is a bound: the products alone at the peak rate. ``ValueError`` for an unknown word
    and for a device of which no rate in fp32 is known, ``TypeError`` for a batch that is of neither kind. Where
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
    net, run, sizes, n, named = example(model, batch, batch_axis, batch_size, width, loss)
    bills: dict[bool, dict[str, Bill]] = {True: {}, False: {}}
    for training, found in bills.items():
        for name in names:
            low, high = (run(size, name, training) for size in sizes)
            if n != sizes[0] and not alike(low, high):
                raise ValueError(
                    f"batch_size: {n} examples do not run what {sizes[0]} run; allowed: that many examples"
                )
            here = low if n == sizes[0] else between(low, high, (n - sizes[0]) / (sizes[1] - sizes[0]))
            bill = _bill(net, name, training, here, where, optimizer)
            room = capacity(where) - (bill.bytes - bill.activations)
            found[name] = replace(bill, largest_batch=largest(low, high, sizes, room, training))
    count = sum(p.size for p in net.parameters())
    return Cost(where, named, count, n, optimizer, bills[True], bills[False])


_device = device  # which the argument of that name hides


def capacity(where: Device) -> float:
    """Bytes of memory that one process has."""
    return where.memory.value * 1e9


def _bill(net: Module, recipe: str, training: bool, here: Pass, where: Device, optimizer: str) -> Bill:
    rule = RECIPES[recipe]
    width, wide = rule.weights.bits // 8, rule.state.bits // 8
    learned = sum(p.size for p in net.parameters() if p.requires_grad) if training else 0
    count = sum(p.size for p in net.parameters())
    buffers = sum(np.asarray(b.array if isinstance(b, Tensor) else b).size for b in net.buffers())
    states, operations = OPTIMIZERS[optimizer]
    kept = wide * (states + rule.master)  # bytes of the optimizer's for each parameter
    works = list(here.works)
    if learned:
        if rule.scaler:  # reads every gradient and writes it
            works.append(
                Work("optimizer", "(scaler)", "unscale", float32, False, float(learned), 2.0 * learned * width)
            )
        moved = learned * (2.0 * kept + width * (2 if rule.master else 3))  # weights are read, but for master weights
        works.append(Work("optimizer", "(optimizer)", optimizer, rule.state, False, float(learned * operations), moved))
    own = ((count + buffers) * width, learned * width, learned * kept)
    activations = round(here.held if training else here.live)
    each = width * 2 + kept if training else width
    taken = total(works, rule, where), by_layer(works, rule, where)
    most, peak, kernels = int(capacity(where) // each), sum(own) + round(here.peak), sum(w.steps for w in works)
    return Bill(recipe, training, *own, activations, *taken, None, most, peak, kernels, least(works, rule, where))
