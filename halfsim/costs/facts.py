"""What a model costs: plain data, without the ways to show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from halfsim.card import Record
from halfsim.hardware.devices import Device


@dataclass(frozen=True)
class Step(Record):
    """What the operations of a layer, or all of them, take: FLOPs, bytes to and from memory, seconds, joules.

    ``seconds`` is an estimate. ``bound`` says what takes most of it, "compute", "bandwidth" or "latency"; ``peak`` is
    the rate that its products, or else its other operations, are held against, ``at`` in FLOP/s.
    """

    path: str
    flops: float
    bytes: float
    seconds: float
    joules: float
    bound: str
    peak: str
    at: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {"path": self.path, "flops": self.flops, "bytes": self.bytes, "seconds": self.seconds,
                "joules": self.joules, "bound": self.bound, "peak": self.peak, "peak_flops_per_s": self.at}  # fmt: skip

    as_dict = to_dict  # its name before


@dataclass(frozen=True)
class Bill(Record):
    """One recipe, in training or inference: bytes by kind, the step as a whole and by layer, and what would fit.

    In training ``activations`` are the bytes that the engine holds for the backward pass; in inference the operands and
    the result of the operation that has most, parameters apart. ``peak`` is the most in use at one time, gradients on
    their way included. ``largest_batch`` is None where memory is not a matter of the batch, ``largest_model`` the
    number of parameters that would leave no room for anything else. ``kernels`` are those that a device is told to run;
    ``least`` a bound on the time, in seconds: the products alone at the peak rate.
    """

    recipe: str
    training: bool
    parameters: int
    gradients: int
    optimizer: int
    activations: int
    total: Step
    layers: tuple[Step, ...]
    largest_batch: int | None
    largest_model: int
    peak: int = 0
    kernels: int = 0
    least: float = 0.0

    @property
    def bytes(self) -> int:
        """All of them together."""
        return self.parameters + self.gradients + self.optimizer + self.activations

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "recipe": self.recipe,
            "bytes": {"parameters": self.parameters, "gradients": self.gradients, "optimizer": self.optimizer,
                      "activations": self.activations, "together": self.bytes, "peak": self.peak},
            "kernels": self.kernels, "least_seconds": self.least,
            "step": self.total.to_dict(), "layers": [layer.to_dict() for layer in self.layers],
            "largest_batch": self.largest_batch, "largest_model_parameters": self.largest_model,
        }  # fmt: skip

    as_dict = to_dict  # its name before


@dataclass(frozen=True)
class Facts:
    """What a model costs on a device by recipe; a `Cost` is the same with text, page and JSON.

    ``training`` and ``inference`` hold a `Bill` a recipe, by its name.
    """

    device: Device
    model: str
    parameters: int
    batch: int
    optimizer: str
    training: dict[str, Bill]
    inference: dict[str, Bill]
