"""The arithmetics that applications are measured in: what each is, and by which rule it runs."""

from __future__ import annotations

from typing import Any

from halfsim.gallery.said import Said
from halfsim.hardware.devices import device
from halfsim.numerics.precision import Precision

# What each word means, in the order of the legends.
ARITHMETIC = {
    "fp32": Said("float32 throughout", "全部用 float32"),
    "fp16": Said("stored in float16, computed and summed in float32: a framework's kernels on a GPU",
                 "以 float16 存储，以 float32 计算和求和：框架在 GPU 上的内核"),
    "bf16": Said("the same with bfloat16", "同上，但用 bfloat16"),
    "pure_fp16": Said("every step and every partial sum is rounded to float16",
                      "每一步和每个部分和都舍入到 float16"),
    "M55": Said("Cortex-M55 and Cortex-A76: each multiply-add is rounded to float16, one after another",
                "Cortex-M55 和 Cortex-A76：每次乘加都舍入到 float16，逐个进行"),
    "M55 FZ16": Said("the same with the flag FZ16: numbers below 0.000061 become 0",
                     "同上，打开 FZ16 标志：小于 0.000061 的数变为 0"),
    "M4F": Said("Cortex-M4F: stored in float16, each multiply-add in float32", "Cortex-M4F：以 float16 存储，每次乘加用 float32"),
    "M4F AHP": Said("the same with Arm's alternative half: up to 131,008, without infinity or NaN",
                    "同上，用 Arm 的另一种半精度：最大 131,008，没有无穷大和 NaN"),
}  # fmt: skip

_FLUSHED = {"compute": "fp16", "accumulate": "arm_fp16_fz16", "subnormals": "flush"}


def rule(word: str) -> Any:
    """What `halfsim.precision` takes to run it: a precision's own word, or that of a device's arithmetic.

    >>> rule("M55").accumulate.order, rule("M55 FZ16").accumulate.order, rule("fp16")
    ('arm_fp16', 'arm_fp16_fz16', 'fp16')
    """
    if word.startswith("M55"):
        own = device("Cortex-M55").precision()
        return Precision(storage=own.storage, **_FLUSHED) if word.endswith("FZ16") else own
    if word.startswith("M4F"):
        own = device("Cortex-M4F").precision()
        return (
            Precision(storage="float16_ahp", compute=own.compute, accumulate=own.accumulate) if "AHP" in word else own
        )
    return word
