"""Processors: x86, Arm, Apple, microcontrollers. Peaks are of all cores at the most they can clock at together."""

from __future__ import annotations

from halfsim.hardware.catalogue.row import CONVERSIONS, DOCUMENTS, EXECUTED, Row

_SOCKET = "unverified: not re-read in that document; the most that a socket takes"
_TURBO = "derived: {} cores x {} GHz (all-core turbo, unverified) x {} operations a cycle; {} at the base clock of {}"
_CHANNELS = "derived: {} channels x 8 bytes x {} MT/s"
_APPLE = "derived: 4 performance cores x {} GHz x {} operations a cycle (4 x 128 bits, reverse-engineered)"
_NEON = (
    "vector instructions alone: the chip's matrix unit (AMX, from M4 on SME) does several times as much in fp32, is "
    "not documented and not modelled, so that a ratio of fp16 to fp32 says nothing of a library that uses it; nor is "
    "its GPU"
)
_SHARED = "unverified: not re-read in that document; the most that it is sold with"


def _turbo(cores: int, clock: float, base: float, operations: int) -> str:
    return _TURBO.format(cores, clock, operations, f"{cores * base * operations / 1e3:.3g}", base)


ROWS = (
    Row("Xeon Ice Lake", "Intel", ("f16c",), "fp16 convert",
        {"year": 2021, "fp32": 7.68, "bandwidth": 204.8, "memory": "6 TiB"}, {"*": "ark-8380"}, CONVERSIONS,
        {"fp32": _turbo(40, 3.0, 2.3, 64), "bandwidth": _CHANNELS.format(8, 3200), "memory": _SOCKET},
        ("Ice Lake", "Xeon 8380"), "AVX-512 here has no fp16 arithmetic: AVX512-FP16 came with Sapphire Rapids",
        product="Xeon Platinum 8380, 40 cores"),
    Row("Xeon Cooper Lake", "Intel", ("avx512_bf16", "f16c"), "fp16 convert, bf16 vector",
        {"year": 2020, "fp32": 5.2, "bf16": 10.4, "bandwidth": 153.6, "memory": "1.12 TiB"}, {"*": "ark-8380h"},
        EXECUTED,
        {"fp32": "derived: 28 cores x 2.9 GHz (base clock) x 64 operations a cycle",
         "bf16": "derived: 28 cores x 2.9 GHz (base clock) x 128 operations a cycle",
         "bandwidth": _CHANNELS.format(6, 3200), "memory": _SOCKET},
        ("Cooper Lake", "Xeon 8380H"), "AVX512-BF16 serves bfloat16; fp16 is converted",
        product="Xeon Platinum 8380H, 28 cores", low=("fp32", "bf16")),
    Row("Xeon Sapphire Rapids", "Intel", ("amx_bf16", "avx512_fp16", "avx512_bf16", "f16c"), "fp16 vector, bf16 matrix",
        {"year": 2023, "fp32": 10.75, "fp16": 21.5, "bf16 matrix": 172, "bandwidth": 307.2, "memory": "4 TiB"},
        {"*": "ark-8480"}, DOCUMENTS,
        {"fp32": _turbo(56, 3.0, 2.0, 64), "fp16": _turbo(56, 3.0, 2.0, 128), "bf16 matrix": _turbo(56, 3.0, 2.0, 1024),
         "bandwidth": _CHANNELS.format(8, 4800), "memory": _SOCKET},
        ("Sapphire Rapids", "SPR", "Xeon 8480+"), "AMX tiles take bf16 here, not fp16",
        product="Xeon Platinum 8480+, 56 cores"),
    Row("Xeon Granite Rapids", "Intel", ("amx_fp16", "amx_bf16", "avx512_fp16", "avx512_bf16", "f16c"),
        "fp16 matrix, bf16 matrix",
        {"year": 2024, "fp32": 26.2, "fp16": 52.4, "fp16 matrix": 419.4, "bf16 matrix": 419.4, "bandwidth": 844.8,
         "memory": "3 TiB"}, {"*": "ark-6980p"}, DOCUMENTS,
        {"fp32": _turbo(128, 3.2, 2.0, 64), "fp16": _turbo(128, 3.2, 2.0, 128),
         "fp16 matrix, bf16 matrix": _turbo(128, 3.2, 2.0, 1024),
         "bandwidth": _CHANNELS.format(12, 8800) + " (MRDIMM); 614.4 with DDR5-6400", "memory": _SOCKET},
        ("Granite Rapids", "GNR", "Xeon 6980P"), product="Xeon 6980P, 128 cores"),
    Row("Zen 4", "AMD", ("avx512_bf16", "f16c"), "fp16 convert, bf16 vector",
        {"year": 2022, "fp32": 10.9, "bf16": 21.8, "bandwidth": 460.8, "memory": "6 TiB"}, {"*": "epyc"}, EXECUTED,
        {"fp32": _turbo(96, 3.55, 2.4, 32), "bf16": _turbo(96, 3.55, 2.4, 64),
         "bandwidth": _CHANNELS.format(12, 4800), "memory": _SOCKET}, ("EPYC 9654", "Genoa"),
        product="EPYC 9654, 96 cores"),
    Row("Ryzen 9 7950X", "AMD", ("avx512_bf16", "f16c"), "fp16 convert, bf16 vector",
        {"year": 2022, "fp32": 2.92, "bf16": 5.84, "bandwidth": 83.2, "memory": "128 GiB"}, {"*": "7950x"}, EXECUTED,
        {"fp32": "derived: 16 cores x 5.7 GHz (largest boost; all cores hold less) x 32 operations a cycle",
         "bf16": "derived: 16 cores x 5.7 GHz (largest boost; all cores hold less) x 64 operations a cycle",
         "bandwidth": _CHANNELS.format(2, 5200), "memory": _SOCKET}, ("Ryzen 7950X", "7950X")),
    Row("Kunpeng 920", "Huawei", ("arm_fp16", "arm_fmlal"), "fp16 vector",
        {"year": 2019, "fp32": 2.66, "fp16": 5.32, "bandwidth": 187.7, "memory": "2 TiB"}, {"*": "kunpeng"}, DOCUMENTS,
        {"fp32": "unverified: 64 cores x 2.6 GHz x 16 operations a cycle (2 x 128 bits assumed)",
         "fp16": "unverified: twice fp32", "bandwidth": _CHANNELS.format(8, 2933), "memory": _SOCKET},
        ("Kunpeng 920-6426", "鲲鹏 920"), product="Kunpeng 920-6426, 64 cores"),
    Row("Cortex-A76", "Arm", ("arm_fp16",), "fp16 vector",
        {"year": 2018, "fp32": 0.0454, "fp16": 0.0909, "bandwidth": 34.1, "memory": "6 GiB"},
        {"*": "a76", "bandwidth, memory": "sd855"}, DOCUMENTS,
        {"fp32": "derived: 2.84 GHz x 16 operations a cycle (2 x 128 bits)",
         "fp16": "derived: 2.84 GHz x 32 operations a cycle (2 x 128 bits)",
         "bandwidth": "unverified: the phone's", "memory": "unverified: the phone's"}, ("A76",),
        product="one core at 2.84 GHz in a phone with a Snapdragon 855"),
    Row("Raspberry Pi 5", "Raspberry Pi", ("arm_fp16",), "fp16 vector",
        {"year": 2023, "fp32": 0.154, "fp16": 0.307, "bandwidth": 17.1, "memory": "8 GiB"}, {"*": "pi5"}, DOCUMENTS,
        {"fp32": "derived: 4 cores (Cortex-A76) x 2.4 GHz x 16 operations a cycle",
         "fp16": "derived: 4 cores (Cortex-A76) x 2.4 GHz x 32 operations a cycle",
         "bandwidth": "derived: 32 bits x 4267 MT/s"}, ("Pi 5", "RPi 5"), "sold with 2 to 16 GB"),
    Row("Apple M1", "Apple", ("arm_fp16", "arm_fmlal"), "fp16 vector",
        {"year": 2020, "fp32": 0.41, "fp16": 0.82, "bandwidth": 68.3, "memory": "16 GiB"}, {"*": "m1"}, DOCUMENTS,
        {"fp32": _APPLE.format(3.2, 32), "fp16": _APPLE.format(3.2, 64),
         "bandwidth": "derived: 128 bits x 4267 MT/s", "memory": _SHARED}, ("M1",), _NEON, low=("fp32", "fp16")),
    Row("Apple M2", "Apple", ("arm_fp16", "arm_fmlal"), "fp16 vector",
        {"year": 2022, "fp32": 0.447, "fp16": 0.893, "bandwidth": 100, "memory": "24 GiB"}, {"*": "m2"}, DOCUMENTS,
        {"fp32": _APPLE.format(3.49, 32), "fp16": _APPLE.format(3.49, 64), "memory": _SHARED},
        ("M2",), f"{_NEON}; its dot products of bfloat16 (BFDOT, BFMMLA) are not modelled", low=("fp32", "fp16")),
    Row("Apple M3", "Apple", ("arm_fp16", "arm_fmlal"), "fp16 vector",
        {"year": 2023, "fp32": 0.518, "fp16": 1.04, "bandwidth": 102.4, "memory": "24 GiB"}, {"*": "m3"}, DOCUMENTS,
        {"fp32": _APPLE.format(4.05, 32), "fp16": _APPLE.format(4.05, 64),
         "bandwidth": "derived: 128 bits x 6400 MT/s", "memory": _SHARED},
        ("M3",), f"{_NEON}; its dot products of bfloat16 (BFDOT, BFMMLA) are not modelled", low=("fp32", "fp16")),
    Row("Apple M4", "Apple", ("arm_fp16", "arm_fmlal"), "fp16 vector",
        {"year": 2024, "fp32": 0.563, "fp16": 1.13, "bandwidth": 120, "memory": "32 GiB"}, {"*": "m4"}, DOCUMENTS,
        {"fp32": _APPLE.format(4.4, 32), "fp16": _APPLE.format(4.4, 64), "memory": _SHARED},
        (), f"{_NEON}; its dot products of bfloat16 (BFDOT, BFMMLA) are not modelled", low=("fp32", "fp16")),
    Row("Cortex-M4F", "Arm", ("f16c",), "fp16 convert",
        {"year": 2010, "fp32": 0.000168, "bandwidth": 0.67, "memory": "192 KiB"},
        {"*": "m4f", "bandwidth, memory": "stm32f4"}, DOCUMENTS,
        {"fp32": "derived: 168 MHz x 1 operation a cycle", "bandwidth": "derived: 168 MHz x 32 bits"},
        ("M4F", "Cortex M4", "STM32F407"), arithmetic="arm_vfp4", product="STM32F407 at 168 MHz"),
    Row("Cortex-M55", "Arm", ("arm_fp16",), "fp16 vector",
        {"year": 2020, "fp32": 0.0032, "fp16": 0.0064, "bandwidth": 6.4, "memory": "4.2 MB"},
        {"*": "m55", "bandwidth, memory": "stm32n6"}, DOCUMENTS,
        {"fp32": "unverified: low confidence; 800 MHz x 2 multiply-adds a cycle",
         "fp16": "unverified: low confidence; 800 MHz x 4 multiply-adds a cycle",
         "bandwidth": "unverified: low confidence; 800 MHz x 64 bits"}, ("M55", "STM32N6", "STM32N657"),
        product="STM32N657 at 800 MHz"),
)  # fmt: skip
