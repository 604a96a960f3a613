"""Rounding, encoding and decoding a million numbers, beside NumPy's cast and the field's packages."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from benchmarks.harness import Make, Table, Work, peer
from halfsim.numerics._pack import pack, packing
from halfsim.numerics.quantize import BLOCK

SIZE = 1_000_000
CAST = "NumPy astype(float16).astype(float32)"
NORMAL = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
TINY = NORMAL * np.float32(2.0**-14)  # of which half are subnormal as halves
HALVES = NORMAL.astype(np.float16)
CODES = HALVES.view(np.uint16)
OUT = np.empty_like(NORMAL)


def does(work: Work) -> Make:
    """A row whose data stands here."""
    return lambda: work


def _packed() -> Work:
    halves, codes, how = hs.round_to(NORMAL, "float16"), np.empty(SIZE, np.uint16), packing(hs.float16)
    assert how is not None

    def work() -> None:
        for i in range(0, SIZE, BLOCK):
            pack(halves[i : i + BLOCK], codes[i : i + BLOCK], how)

    return work


def _torch(x: Any, name: str) -> Make:
    def make() -> Work:
        torch = peer("torch")
        t, dtype = torch.from_numpy(x), getattr(torch, name)
        return lambda: t.to(dtype).float()

    return make


def _ml_dtypes(name: str) -> Make:
    def make() -> Work:
        dtype = getattr(peer("ml_dtypes"), name)
        return lambda: NORMAL.astype(dtype).astype(np.float32)

    return make


def _gfloat(mode: str) -> Make:
    def make() -> Work:
        gfloat, formats = peer("gfloat"), peer("gfloat.formats")
        x, how = NORMAL[: SIZE // 10].astype(np.float64), gfloat.RoundMode[mode]
        return lambda: [gfloat.round_ndarray(formats.format_info_binary16, x, how) for _ in range(10)]

    return make


def _apytypes(mode: str) -> Make:
    def make() -> Work:
        apytypes = peer("apytypes")
        x = apytypes.APyFloatArray.from_array(NORMAL, 8, 23)
        how = getattr(apytypes.QuantizationMode, mode)
        return lambda: x.cast(5, 10, quantization=how)

    return make


def _pychop(mode: int) -> Make:
    def make() -> Work:
        chop = peer("pychop").Chop(exp_bits=5, sig_bits=10, rmode=mode)
        return lambda: [chop(NORMAL[i : i + 10_000]) for i in range(0, SIZE, 10_000)]

    return make


def _nearest(x: Any) -> dict[str, Make]:
    return {
        "round_to": does(lambda: hs.round_to(x, "float16")),
        "round_to(out=)": does(lambda: hs.round_to(x, "float16", out=OUT)),
        "round_to(return_flags=True)": does(lambda: hs.round_to(x, "float16", return_flags=True)),
        CAST: does(lambda: x.astype(np.float16).astype(np.float32)),
        "torch .half().float()": _torch(x, "float16"),
    }


def _mode(mode: hs.Rounding) -> Make:
    return does(lambda: hs.round_to(NORMAL, "float16", mode, out=OUT))


PEERS: dict[str, Make] = {
    "gfloat, nearest": _gfloat("TiesToEven"),
    "gfloat, toward zero": _gfloat("TowardZero"),
    "apytypes, nearest": _apytypes("TIES_EVEN"),
    "apytypes, toward zero": _apytypes("TO_ZERO"),
    "apytypes, to odd": _apytypes("JAM"),
    "pychop, nearest, 10,000 at a time": _pychop(1),
}


def _formats() -> dict[str, Make]:
    rows: dict[str, Make] = {}
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        rows[f"round_to {name}"] = does(lambda name=name: hs.round_to(NORMAL, name, out=OUT))  # type: ignore[misc]
        rows[f"ml_dtypes {name}"] = _ml_dtypes(name)
        rows[f"torch {name}"] = _torch(NORMAL, name)
    return rows


UNIT = "ns"
TABLES = [
    Table("1,000,000 float32 to halves, normal", UNIT, 1e9 / SIZE, {**_nearest(NORMAL), "copying": does(
        lambda: np.copyto(OUT, NORMAL))}, 31),
    Table("1,000,000 float32 to halves, half of them subnormal", UNIT, 1e9 / SIZE, _nearest(TINY)),
    Table("1,000,000 float32 to halves, every mode", UNIT, 1e9 / SIZE,
          {f"round_to {mode.value}": _mode(mode) for mode in hs.Rounding} | PEERS),
    Table("1,000,000 float32 to other formats", UNIT, 1e9 / SIZE, _formats()),
    Table("1,000,000 numbers to codes and back", UNIT, 1e9 / SIZE, {
        "round_to, to compare with": _mode(hs.Rounding.NEAREST_EVEN),
        "codes of rounded values": _packed,
        "encode float16": does(lambda: hs.encode(NORMAL)),
        "encode bfloat16": does(lambda: hs.encode(NORMAL, "bfloat16")),
        "encode float8_e4m3fn": does(lambda: hs.encode(NORMAL, "float8_e4m3fn")),
        "NumPy astype(float16)": does(lambda: NORMAL.astype(np.float16)),
        "decode float16": does(lambda: hs.decode(CODES)),
        "NumPy float16 to float64": does(lambda: HALVES.astype(np.float64)),
    }),
]  # fmt: skip
