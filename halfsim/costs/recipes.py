"""Recipes of training: the format of weights, gradients and state, that of operations, and what is added."""

from __future__ import annotations

from dataclasses import dataclass

from halfsim.costs.kernels import CELLS
from halfsim.costs.products import CONVOLUTIONS
from halfsim.numerics.formats import Format, bfloat16, float16, float32


@dataclass(frozen=True)
class Recipe:
    """``rule`` is that of operations, ``weights`` the format of weights and gradients, ``state`` the optimizer's.

    ``tf32`` names the products that take TF32 where a device has it. With ``master`` the optimizer has a copy of the
    weights in ``state``; with ``scaler`` a loss scaler divides all gradients before it.
    """

    words: str
    rule: str
    weights: Format
    state: Format
    tf32: tuple[str, ...] | None = ()  # None: all of them
    master: bool = False
    scaler: bool = False


RECIPES = {
    "fp32": Recipe("all in float32, no product in TF32", "fp32", float32, float32),
    "pytorch": Recipe("float32 as PyTorch has it by default: convolutions and recurrent layers in TF32 where the "
                      "device has it, other products not", "fp32", float32, float32, (*CONVOLUTIONS, *CELLS)),
    "tf32": Recipe("float32, all products in TF32 where the device has it", "tf32", float32, float32, None),
    "fp16": Recipe("all in float16, weights, gradients and optimizer state too", "fp16", float16, float16),
    "bf16": Recipe("all in bfloat16, weights, gradients and optimizer state too", "bf16", bfloat16, bfloat16),
    "amp": Recipe("autocast to float16 over float32 weights, and a loss scaler", "amp", float32, float32, scaler=True),
    "amp_bf16": Recipe("autocast to bfloat16 over float32 weights", "amp_bf16", float32, float32),
    "master": Recipe("float16 weights and gradients, float32 master weights and optimizer state, and a loss scaler",
                     "fp16", float16, float32, master=True, scaler=True),
}  # fmt: skip
