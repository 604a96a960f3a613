"""What a model takes on a device: all in float32, all in the target, and with what is kept in float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halfsim.autograd.observer import observing
from halfsim.card import Record
from halfsim.costs.flops import Ledger
from halfsim.costs.recipes import RECIPES
from halfsim.costs.roofline import total
from halfsim.hardware.devices import Device
from halfsim.onnx.conversion.converted import Converted, Keep


@dataclass(frozen=True)
class Price(Record):
    """One run of the last sample on ``device``: an estimate of its seconds, bytes to and from memory, and joules.

    ``variant`` is "float32", "all in the target" or "mixed"; ``bound`` says what takes most of the time. Casts to
    the target are in it; what is cast to float32 is taken to be so in the kernel that reads it.
    """

    variant: str
    device: str
    seconds: float
    bytes: float
    joules: float
    bound: str


def priced(model: Converted, keep: Keep, feeds: Mapping[str, Any], where: Device) -> tuple[Price, ...]:
    """The three variants, from the roofline of each kernel, see `halfsim.cost`."""
    where = where.seen
    where.peak("fp32", False)  # of which every model has need
    variants: list[tuple[str, Keep | None]] = [("float32", None), ("all in the target", Keep())]
    if keep != Keep():
        variants.append(("mixed", keep))
    found = []
    for name, kept in variants:
        stored = set[str]() if kept is None else model.sides(kept).stored
        arrays = [(model.narrow(k) if k in stored else p).array for k, p in model.weights.items()]
        ledger = Ledger(arrays, False)
        model.run(feeds, kept, [observing(ledger)])
        step = total(ledger.works, RECIPES["fp32"], where)
        found.append(Price(name, where.name, step.seconds, step.bytes, step.joules, step.bound))
    return tuple(found)
