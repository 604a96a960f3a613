"""Against mmasim, where that is installed: another model of the same units, which nobody here wrote.

Its module of fused multiply-adds compiles C++ when imported; no unit compared here uses it, so a stub takes its place.
"""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="mmasim needs torch")
if "mmasim.arithmetic.fma" not in sys.modules:
    stub = types.ModuleType("mmasim.arithmetic.fma")
    stub.MMA_FMA = object  # type: ignore[attr-defined]
    sys.modules["mmasim.arithmetic.fma"] = stub
nv = pytest.importorskip("mmasim.nv_ptx", reason="mmasim is not installed")
from mmasim import amd  # noqa: E402

from halfsim.hardware.units import rows  # noqa: E402
from tests.hardware.cases import KINDS, operands  # noqa: E402
from tests.hardware.references import rowwise  # noqa: E402

TORCH = {
    "fp16": "float16",
    "bf16": "bfloat16",
    "tf32": "float32",
    "fp8_e4m3": "float8_e4m3fn",
    "fp8_e5m2": "float8_e5m2",
}
NVIDIA = {"volta": "Volta", "turing": "Turing", "ampere": "Ampere", "ada": "Ada Lovelace", "hopper": "Hopper",
          "rtx_blackwell": "RTX Blackwell"}  # fmt: skip
PTX = {"fp16": "f16", "bf16": "bf16", "tf32": "tf32", "fp8_e4m3": "e4m3", "fp8_e5m2": "e5m2", "fp32": "f32"}
MFMA = {
    ("cdna1", "fp16"): "f32_32x32x8f16", ("cdna1", "bf16"): "f32_32x32x4bf16",
    ("cdna2", "fp16"): "f32_32x32x8f16", ("cdna2", "bf16"): "f32_32x32x8bf16_1k",
    ("cdna3", "fp16"): "f32_32x32x8_f16", ("cdna3", "bf16"): "f32_32x32x8_bf16", ("cdna3", "tf32"): "f32_16x16x8_xf32",
    ("cdna3", "fp8_e4m3"): "f32_16x16x32_fp8_fp8", ("cdna3", "fp8_e5m2"): "f32_16x16x32_bf8_bf8",
}  # fmt: skip


def model(row):
    if row.architecture.startswith("cdna"):
        return amd.MFMA(row.architecture.upper(), MFMA[row.architecture, row.inputs])
    d, i = PTX[row.accumulate], PTX[row.inputs]
    if row.architecture == "rtx_blackwell" and row.inputs in ("fp8_e4m3", "fp8_e5m2"):
        return nv.MMA("RTX Blackwell", f"m16n8k32.kind::f8f6f4.{d}.{i}.{i}.{d}")
    if row.architecture == "blackwell" or (row.architecture == "hopper" and row.inputs.startswith("fp8")):
        k = 32 if row.inputs.startswith("fp8") else 8 if i == "tf32" else 16
        if row.architecture == "hopper":
            return nv.WGMMA("Hopper", f"m64n8k{k}.{d}.{i}.{i}")
        kind = {"tf32": "tf32", "fp16": "f16", "bf16": "f16"}.get(row.inputs, "f8f6f4")
        return nv.TCGen05MMA("Blackwell", f"m64n8k{k}.kind::{kind}.{d}.{i}.{i}")
    shape = {"volta": "m8n8k4", "turing": "m16n8k8"}.get(row.architecture)
    shape = shape or {"tf32": "m16n8k8", "fp16": "m16n8k16", "bf16": "m16n8k16"}.get(row.inputs, "m16n8k32")
    return nv.MMA(NVIDIA[row.architecture], f"{shape}.{d}.{i}.{i}.{d}")


ROWS = [
    row for name in (*NVIDIA, "blackwell", "cdna1", "cdna2", "cdna3") for row in rows(name).values()
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_zero_wrong(row, kind, rng):
    theirs = model(row)
    count = 1000
    a, b, c = operands(row, kind, count, 32, rng)
    dtype = getattr(torch, TORCH[row.inputs].removesuffix("fn") + "fnuz" if row.interleaved else TORCH[row.inputs])
    half = row.accumulate == "fp16"
    with np.errstate(all="ignore"):
        given = [torch.tensor(x).to(dtype) for x in (a, b)] + [
            torch.tensor(c.astype(np.float16 if half else np.float32))
        ]
        expected = theirs.dpa(*given).numpy()
    got = rowwise(a, b, c, row)
    same = (got == expected) & (np.signbit(got) == np.signbit(expected)) | (np.isnan(got) & np.isnan(expected))
    if row.architecture.startswith("cdna"):  # where the sign of a zero is not checked on hardware
        same |= (got == 0) & (expected == 0)
    wrong = np.flatnonzero(~same)
    assert not wrong.size, (len(wrong), a[wrong[0]], b[wrong[0]], c[wrong[0]], got[wrong[0]], expected[wrong[0]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", [*rows("hopper_legacy").values(), *rows("blackwell_legacy").values()],
                         ids=lambda row: row.name)  # fmt: skip
def test_the_older_fp8_instruction_is_two_steps_of_halves_and_an_addition(row, kind, rng):
    """mmasim has no such instruction; it has the steps of 16 halves that make it up, and IEEE adds."""
    a, b, c = operands(row, kind, 1000, 32, rng)
    order = [k for k in range(32) if k % 4 < 2] + [k for k in range(32) if k % 4 >= 2]
    d = PTX[row.accumulate]
    dtype = np.float16 if row.accumulate == "fp16" else np.float32
    with np.errstate(all="ignore"):
        step = nv.MMA({"hopper": "Hopper", "blackwell": "Blackwell"}[row.architecture.removesuffix("_legacy")],
                      f"m16n8k16.{d}.f16.f16.{d}")  # fmt: skip
        halves = [torch.tensor(x[:, order].astype(np.float16)) for x in (a, b)]
        expected = step.dpa(*halves, torch.zeros(len(c), dtype=torch.float16 if d == "f16" else torch.float32)).numpy()
        expected = expected + c.astype(dtype)
    got = rowwise(a, b, c, row)
    assert got.dtype == dtype
    same = (got == expected) & (np.signbit(got) == np.signbit(expected)) | (np.isnan(got) & np.isnan(expected))
    assert same.all()
