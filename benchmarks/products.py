"""Matrix products and sums by accumulator and by unit of a device, beside NumPy, PyTorch and mmasim."""

from __future__ import annotations

import sys
import types
from functools import partial
from typing import Any

import numpy as np

import halfsim as hs
from benchmarks.harness import Make, Table, Work, peer
from halfsim.hardware.matrix_unit import rows, unit_matmul
from halfsim.numerics.accumulate import accumulator, matmul, sum_
from halfsim.numerics.quantize import round_

STORED = "fp32, stored in float16"
SMALL = (
    "fp16:sequential", "fp16:sequential+fma", "fp32:sequential+fma", "fp16:pairwise", "fp16:blocked(4)",
    "fp16:blocked(16)", "fp32:blocked(16)", "fp16:kahan", "fp16:neumaier", "exact",
)  # fmt: skip
LARGE = ("fp16:blocked(16)", "fp32:blocked(16)", "exact")
UNITS = (
    ("A100", "ampere", "fp16", "fp32"), ("A100", "ampere", "fp16", "fp16"), ("A100", "ampere", "bf16", "fp32"),
    ("A100", "ampere", "tf32", "fp32"), ("V100", "volta", "fp16", "fp32"), ("V100", "volta", "fp16", "fp16"),
    ("H100", "hopper", "fp16", "fp32"), ("H100", "hopper", "fp8_e4m3", "fp32"), ("MI100", "cdna1", "fp16", "fp32"),
    ("MI250X", "cdna2", "fp16", "fp32"), ("MI300X", "cdna3", "fp16", "fp32"), ("P100", "pascal", "fp16", "fp16"),
    ("AMX", "amx_fp16", "fp16", "fp32"),
)  # fmt: skip


def _halves(*shape: int, wide: bool = False) -> Any:
    """Halves, normally distributed or spread over the whole range of the format."""
    rng = np.random.default_rng(0)
    return (np.exp2(rng.uniform(-24, 8, shape)) if wide else rng.standard_normal(shape)).astype(np.float16)


def _stored(x: Any, y: Any) -> object:
    return round_(matmul(x, y, accumulator("fp32")), hs.float16)


def _product(spec: str, n: int, wide: bool = False) -> Make:
    def make() -> Work:
        x, y = _halves(2, n, n, wide=wide).astype(np.float32)
        if spec == STORED:
            return partial(_stored, x, y)
        return partial(np.matmul, x, y) if spec == "sgemm" else partial(matmul, x, y, accumulator(spec))

    return make


def _numpy(n: int) -> Make:
    return lambda: partial(np.matmul, *_halves(2, n, n))


def _torch(n: int) -> Make:
    def make() -> Work:
        torch = peer("torch")
        x, y = torch.from_numpy(_halves(2, n, n))
        return lambda: x @ y

    return make


def _products(n: int, specs: tuple[str, ...], wide: bool = False) -> dict[str, Make]:
    return {spec: _product(spec, n, wide) for spec in specs}


def _long(spec: str, batch: int, shape: tuple[int, int, int]) -> Make:
    """Products with few outputs of long sums, as the gradients of convolutions are."""

    def make() -> Work:
        m, k, n = shape
        x, y = (_halves(batch, *size).astype(np.float32) for size in ((m, k), (k, n)))
        return partial(np.matmul, x, y) if spec == "sgemm" else partial(matmul, x, y, accumulator(spec))

    return make


def _sum(spec: str) -> Make:
    def make() -> Work:
        x = _halves(1_000_000).astype(np.float32)
        return x.sum if spec == "np.sum" else partial(sum_, x, None, False, accumulator(spec))

    return make


def _unit(architecture: str, inputs: str, accumulate: str, n: int) -> Make:
    def make() -> Work:
        x, y = _halves(2, n, n)
        return partial(unit_matmul, x, y, None, rows(architecture)[inputs, accumulate])

    return make


def _mmasim(name: str, instruction: str, tile: tuple[int, int, int]) -> Make:
    """mmasim's instruction, once: its share of 256 x 256 x 256 is counted in tiles."""

    def make() -> Work:
        torch = peer("torch")
        if "mmasim.arithmetic.fma" not in sys.modules:  # compiles C++ when imported; these units do not use it
            stub = types.ModuleType("mmasim.arithmetic.fma")
            stub.MMA_FMA = object  # type: ignore[attr-defined]
            sys.modules["mmasim.arithmetic.fma"] = stub
        unit = getattr(peer("mmasim.nv_ptx"), "MMA")(name, instruction)  # noqa: B009  # without types
        m, n, k = tile
        a, b = torch.from_numpy(_halves(m, k)), torch.from_numpy(_halves(k, n))
        c = torch.zeros((m, n), dtype=torch.float32)
        tiles = (256 // m) * (256 // n) * (256 // k)

        def work() -> None:
            for _ in range(tiles):
                unit(a, b, c)

        return work

    return make


def _units() -> dict[str, Make]:
    made = {f"{device}, {i} into {o}": _unit(architecture, i, o, 256) for device, architecture, i, o in UNITS}
    made["NumPy float16 @ float16"] = _numpy(256)
    made["mmasim, A100"] = _mmasim("Ampere", "m16n8k16.f32.f16.f16.f32", (16, 8, 16))
    made["mmasim, V100"] = _mmasim("Volta", "m8n8k4.f32.f16.f16.f32", (8, 8, 4))
    return made


def _terms(*shape: int) -> float:
    return 1e9 / float(np.prod(shape))


TERM = "ns a term"
TABLES = [
    Table("256x256 product of halves", TERM, _terms(256, 256, 256), {
        STORED: _product(STORED, 256), **_products(256, SMALL), "sgemm": _product("sgemm", 256),
        "NumPy float16 @ float16": _numpy(256), "torch half @ half": _torch(256)}, 7),
    Table("1024x1024 product of halves", TERM, _terms(1024, 1024, 1024), {
        STORED: _product(STORED, 1024), **_products(1024, LARGE), "sgemm": _product("sgemm", 1024)}, 5),
    Table("1024x1024 product of halves over the full range", TERM, _terms(1024, 1024, 1024), {
        "exact": _product("exact", 1024, wide=True), "sgemm": _product("sgemm", 1024, wide=True)}, 5),
    Table("(8, 12544) @ (12544, 9), few outputs of long sums", TERM, _terms(8, 12544, 9), {
        spec: _long(spec, 1, (8, 12544, 9)) for spec in ("fp16:sequential", "fp16:pairwise", "exact", "sgemm")}, 7),
    Table("64 products (8, 784) @ (784, 9)", TERM, _terms(64, 8, 784, 9), {
        spec: _long(spec, 64, (8, 784, 9)) for spec in ("fp16:sequential", "fp16:pairwise", "exact", "sgemm")}, 7),
    Table("sum of 1,000,000 halves", TERM, _terms(1_000_000), {
        spec: _sum(spec) for spec in ("fp16:sequential", "fp16:pairwise", "exact", "np.sum")}, 7),
    Table("256x256 product on a matrix unit", "ms", 1e3, _units(), 7),
    Table("1024x1024 product on a matrix unit", "ms", 1e3, {"A100, fp16 into fp32": _unit(
        "ampere", "fp16", "fp32", 1024), "sgemm": _product("sgemm", 1024)}, 3),
]  # fmt: skip
