"""AMD's accelerators and graphics cards, and Intel's."""

from __future__ import annotations

from halfsim.hardware.catalogue.row import MODELS, ONE_MODEL, UNKNOWN, Row

_PACKED = "derived: twice fp32 (packed: 256 operations a cycle and unit)"
_GCDS = (
    "two devices to software, one a die (GCD). PyTorch's convolutions go through bf16 in the backward pass by default "
    "(MIOpen, FP16_ALT_IMPL), for the matrix units flush fp16 subnormals: bf16's range for fp16's digits"
)
_CDNA2 = "fp16 matrix, bf16 matrix"
_CDNA3 = "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix"
_XF32 = {"tf32 matrix": "AMD calls the format TF32 there and xf32 in its instructions"}
_SAMECHIP = "derived: as MI300X's, of the same 304 compute units at 2.1 GHz"

ROWS = (
    Row("MI100", "AMD", ("cdna1",), _CDNA2,
        {"year": 2020, "fp32": 23.1, "fp32 matrix": 46.1, "fp16": 46.1, "fp16 matrix": 184.6, "bf16 matrix": 92.3,
         "bandwidth": 1229, "memory": "32 GiB"}, {"*": "mi100", "year": "mi100-ds"}, MODELS,
        {"fp16": _PACKED, "bandwidth": "1.228 TB/s there: 4096 bits x 2 x 1.2 GHz make 1228.8 GB/s"},
        ("Instinct MI100",)),
    Row("MI210", "AMD", ("cdna2",), _CDNA2,
        {"year": 2022, "fp32": 22.6, "fp32 matrix": 45.3, "fp16": 45.3, "fp16 matrix": 181, "bf16 matrix": 181,
         "bandwidth": 1638, "memory": "64 GiB"}, {"*": "mi210-hmc", "year, bandwidth": "mi210-ds"}, MODELS,
        {"bandwidth": "derived: 4096 bits x 3.2 Gbit/s"}, ("Instinct MI210",), _GCDS.partition(". ")[2],
        described="mi200-mfma"),
    Row("MI250", "AMD", ("cdna2",), _CDNA2,
        {"year": 2021, "fp32": 45.3, "fp32 matrix": 90.5, "fp16": 90.5, "fp16 matrix": 362.1, "bf16 matrix": 362.1,
         "bandwidth": 3277, "memory": "128 GiB"},
        {"*": "mi250", "fp16, memory": "mi210-hmc", "year": "cdna2-wp"}, MODELS,
        {"bandwidth": "1.6 TB/s a die there: 2 x 4096 bits x 3.2 Gbit/s make 3277 GB/s"}, ("Instinct MI250",), _GCDS,
        seen=2, described="mi200-mfma"),
    Row("MI250X", "AMD", ("cdna2",), _CDNA2,
        {"year": 2021, "fp32": 47.9, "fp32 matrix": 95.7, "fp16": 95.7, "fp16 matrix": 383, "bf16 matrix": 383,
         "bandwidth": 3277, "memory": "128 GiB"}, {"*": "cdna2-wp", "bandwidth": "cdna2-wp; mi250"}, MODELS,
        {"fp16": _PACKED, "bandwidth": "1.6 TB/s a die in the text read, which is MI250's"}, ("Instinct MI250X",),
        _GCDS, seen=2, described="mi200-mfma"),
    Row("MI300A", "AMD", ("cdna3",), _CDNA3,
        {"year": 2023, "fp32": 122.6, "fp16": 122.6, "fp16 matrix": 980.6, "bf16 matrix": 980.6, "tf32 matrix": 490.3,
         "fp8 matrix": 1961.2, "bandwidth": 5300, "memory": "128 GiB"}, {"*": "mi300a-ds"}, ONE_MODEL,
        {"fp16": "derived: fp32's rate, 256 operations a cycle and unit"}, ("Instinct MI300A",),
        "its memory is shared with the 24 Zen 4 cores of the package"),
    Row("MI300X", "AMD", ("cdna3",), _CDNA3,
        {"year": 2023, "fp32": 163.4, "fp16": 163.4, "fp16 matrix": 1307.4, "bf16 matrix": 1307.4,
         "tf32 matrix": 653.7, "fp8 matrix": 2614.9, "bandwidth": 5325, "memory": "192 GiB"},
        {"*": "mi300", "year, memory": "mi300x-ds"}, ONE_MODEL,
        {"fp16": "derived: fp32's rate, 256 operations a cycle and unit, as MI355X's table has it",
         "bandwidth": "5.3 TB/s in the text read: 8192 bits x 5.2 Gbit/s make 5325 GB/s", **_XF32},
        ("Instinct MI300X", "Instinct MI300X OAM")),
    Row("MI325X", "AMD", ("cdna3",), _CDNA3,
        {"year": 2024, "fp32": 163.4, "fp16": 163.4, "fp16 matrix": 1307.4, "bf16 matrix": 1307.4,
         "tf32 matrix": 653.7, "fp8 matrix": 2614.9, "bandwidth": 6000, "memory": "256 GiB"},
        {"*": "mi300", "year, bandwidth, memory": "mi325x"}, ONE_MODEL,
        {"fp32, fp16, fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix": _SAMECHIP}, ("Instinct MI325X",)),
    Row("MI355X", "AMD", (), "fp16 matrix, bf16 matrix, fp8 matrix",
        {"year": 2025, "fp32": 157.3, "fp32 matrix": 157.3, "fp16": 157.3, "fp16 matrix": 2500, "bf16 matrix": 2500,
         "fp8 matrix": 5000, "bandwidth": 8000, "memory": "288 GiB"}, {"*": "mi350: Performance"}, UNKNOWN,
        {"year": "unverified: not in that document"}, ("Instinct MI355X",),
        "CDNA 4, whose fp8 is OCP's and no longer MI300's", "cdna4"),
    Row("RX 7900 XTX", "AMD", (), "fp16 matrix, bf16 matrix",
        {"year": 2022, "fp32": 61.4, "fp16": 122.8, "fp16 matrix": 122.8, "bf16 matrix": 122.8, "bandwidth": 960,
         "memory": "24 GiB"}, {"*": "7900xtx"}, UNKNOWN, {"bf16 matrix": "derived: as fp16"},
        ("Radeon RX 7900 XTX", "7900 XTX"), "RDNA 3", "rdna3"),
    Row("RX 9070 XT", "AMD", (), "fp16 matrix, bf16 matrix, fp8 matrix",
        {"year": 2025, "fp32": 48.7, "fp16": 97.3, "fp16 matrix": 195, "bf16 matrix": 195, "fp8 matrix": 389,
         "bandwidth": 640, "memory": "16 GiB"}, {"*": "9070xt"}, UNKNOWN, {"bf16 matrix": "derived: as fp16"},
        ("Radeon RX 9070 XT", "9070 XT"), "RDNA 4", "rdna4"),
    Row("GPU Max 1550", "Intel", (), "fp16 matrix, bf16 matrix, tf32 matrix",
        {"year": 2023, "fp32": 52.4, "fp16": 104.9, "fp16 matrix": 839, "bf16 matrix": 839, "tf32 matrix": 419,
         "bandwidth": 3277, "memory": "128 GiB"}, {"*": "max-1550"}, UNKNOWN,
        {"fp16": "derived: twice fp32", "bf16 matrix": "derived: as fp16", "tf32 matrix": "derived: half of fp16"},
        ("Data Center GPU Max 1550", "Max 1550", "Ponte Vecchio"),
        "two stacks, two devices to software unless ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE", "xmx", seen=2),
    Row("Arc A770", "Intel", (), "fp16 matrix, bf16 matrix",
        {"year": 2022, "fp32": 19.7, "fp16": 39.3, "fp16 matrix": 131, "bf16 matrix": 131, "bandwidth": 560,
         "memory": "16 GiB"}, {"*": "a770"}, UNKNOWN,
        {"fp32": "derived: 4096 lanes x 2.4 GHz x 2", "fp16": "derived: twice fp32",
         "fp16 matrix, bf16 matrix": "derived: half of 262 TOPS of int8"}, ("A770",),
        "also sold with 8 GB, at 512 GB/s", "xmx"),
)  # fmt: skip
