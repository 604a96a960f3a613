"""How each kind of unit computes, in words; the rows of `halfsim.hardware.units` say the same in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from halfsim.card import Record


@dataclass(frozen=True)
class Arithmetic(Record):
    """How a kind of unit computes: which results it rounds, what becomes of subnormals, how sums grow."""

    rounds: str
    subnormals: str
    accumulates: str


_TENSOR = "each block of {} products and the running sum are aligned to the largest, cut to {} fraction bits, added"
_ONCE = "once a block: toward zero to fp32, to nearest even to fp16"
_KEPT = "kept"
_UNSAID = "not described"

ARITHMETIC = {
    "pascal": Arithmetic("every fused multiply-add, to nearest even", "kept unless a kernel asks for .ftz (unverified)",
                         "a chain of fused multiply-adds in fp16; libraries may choose fp32"),
    "volta": Arithmetic(_ONCE, _KEPT, _TENSOR.format(4, 23)),
    "turing": Arithmetic(_ONCE, _KEPT, _TENSOR.format(8, 24)),
    "ampere": Arithmetic(_ONCE, _KEPT, _TENSOR.format("8 (tf32: 4)", 24)),
    "ada": Arithmetic(_ONCE, _KEPT, _TENSOR.format("8 (tf32: 4, fp8: 16)", "24 (fp8: 13)")),
    "hopper": Arithmetic(_ONCE, _KEPT, _TENSOR.format("16 (tf32: 8, fp8: 32)", "25 (fp8: 13)")),
    "blackwell": Arithmetic(_ONCE, _KEPT, _TENSOR.format("16 (tf32: 8, fp8: 32)", 25)),
    "rtx_blackwell": Arithmetic(_ONCE, _KEPT, _TENSOR.format("16 (tf32: 8, fp8: 32)", 25)),
    "cdna1": Arithmetic("once a block, to nearest even to fp32", _KEPT,
                        "the exact sum of 4 products (bf16: 2) and the running sum"),
    "cdna2": Arithmetic("every step, to nearest even in fp32",
                        "matrix units (MFMA) and V_DOT2 read and write fp16 and bf16 subnormals as zero; other vector "
                        "instructions keep them", "(p0 + p1) + (p2 + p3) is added to the running sum"),
    "cdna3": Arithmetic("once a block, to nearest even to fp32, after cuts that round down", _KEPT,
                        "8 products cut to 24 fraction bits, added, then joined to the running sum"),
    "cdna4": Arithmetic(_UNSAID, _UNSAID, "in fp32, in a way that nobody has described"),
    "rdna3": Arithmetic(_UNSAID, _UNSAID, "WMMA: in fp32 or fp16, in a way that nobody has described"),
    "rdna4": Arithmetic(_UNSAID, _UNSAID, "WMMA: in fp32 or fp16, in a way that nobody has described"),
    "xmx": Arithmetic(_UNSAID, _UNSAID, "XMX: in fp32 or the inputs' format, in a way that nobody has described"),
    "f16c": Arithmetic("conversions only, to nearest even; sums and products are fp32", _KEPT,
                       "in fp32, in an order that the library chooses"),
    "avx512_bf16": Arithmetic("conversions of fp16; every fused step of a bf16 dot product, to nearest even",
                              "fp16 kept by conversions; bf16 dot products read and write none",
                              "bf16: two fused multiply-adds a lane into fp32, the odd element first"),
    "amx_bf16": Arithmetic("every fused multiply-add, to nearest even", "kept in fp16; none in bf16 tiles",
                           "fp16: vectors, in fp16; bf16: tiles, an even and an odd chain in fp32"),
    "amx_fp16": Arithmetic("every fused multiply-add, to nearest even",
                           "fp16 inputs kept, those of bf16 and of the fp32 sum flushed",
                           "tiles: an even and an odd chain of fused multiply-adds in fp32"),
    "arm_fp16": Arithmetic("every fused multiply-add, to nearest even",
                           "kept; flushed, before rounding, where a program sets FPCR.FZ16",
                           "a chain of fused multiply-adds in fp16"),
    "arm_vfp4": Arithmetic("conversions only, to nearest even; sums and products are fp32",
                           "kept; with FPSCR.AHP set another format, without infinities",
                           "in fp32, in the order of the program"),
    "tpu": Arithmetic("the factors, to bf16 (JAX's default precision); the rest is not described", _UNSAID,
                      "in fp32, in a way that nobody has described"),
    "ascend_910": Arithmetic("what overflows becomes the largest number, and NaN becomes 0: its only mode", _UNSAID,
                             "in fp32, in a way that nobody has described"),
    "ascend_a2": Arithmetic("as IEEE 754 has it by default (INF_NAN_MODE_ENABLE=1); else as Ascend 910A", _UNSAID,
                            "in fp32, in a way that nobody has described"),
    "mobile": Arithmetic(_UNSAID, "the driver's choice: Vulkan lets it flush them (shaderDenormFlushToZeroFloat16)",
                         "in the order of the shader"),
    "undescribed": Arithmetic(_UNSAID, _UNSAID, _UNSAID),
}  # fmt: skip
