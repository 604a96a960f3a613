"""What is known of each device, as data: figures with their sources, and what makes them worth less."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arithmetic:
    """How a kind of unit computes: which results it rounds, what becomes of subnormals, how sums grow."""

    rounds: str
    subnormals: str
    accumulates: str


_TENSOR = "each block of {} products and the running sum are aligned to the largest, cut to {} fraction bits, added"
_ONCE = "once a block: toward zero to fp32, to nearest even to fp16"
_KEPT = "kept"

ARITHMETIC = {
    "pascal": Arithmetic("every fused multiply-add, to nearest even", "kept unless a kernel asks for .ftz (unverified)",
                         "a chain of fused multiply-adds in fp16; libraries may choose fp32"),
    "volta": Arithmetic(_ONCE, _KEPT, _TENSOR.format(4, 23)),
    "turing": Arithmetic(_ONCE, _KEPT, _TENSOR.format(8, 24)),
    "ampere": Arithmetic(_ONCE, _KEPT, _TENSOR.format("8 (tf32: 4)", 24)),
    "ada": Arithmetic(_ONCE, _KEPT, _TENSOR.format("8 (tf32: 4, fp8: 16)", "24 (fp8: 13)")),
    "hopper": Arithmetic(_ONCE, _KEPT, _TENSOR.format("16 (tf32: 8, fp8: 32)", "25 (fp8: 13)")),
    "blackwell": Arithmetic(_ONCE, _KEPT, _TENSOR.format("16 (tf32: 8, fp8: 32)", 25)),
    "cdna1": Arithmetic("once a block, to nearest even to fp32", _KEPT,
                        "the exact sum of 4 products (bf16: 2) and the running sum"),
    "cdna2": Arithmetic("every step, to nearest even in fp32",
                        "matrix units read fp16 subnormals as zero; vector units keep them",
                        "(p0 + p1) + (p2 + p3) is added to the running sum"),
    "cdna3": Arithmetic("once a block, to nearest even to fp32, after cuts that round down", _KEPT,
                        "8 products cut to 24 fraction bits, added, then joined to the running sum"),
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
}  # fmt: skip

RECORDED = "GPU outputs: its own are recorded here; the model has none of them wrong"
PUBLISHED = (
    "GPU outputs: compared with its own in the literature (Khattak and Mikaitis), none wrong; none recorded here"
)
SIBLING = "GPU outputs: none of its own; those recorded of other {} devices have none wrong"
MODELS = "literature: published models (MMA-Sim; Khattak and Mikaitis) agree; no outputs of the hardware compared here"
DOCUMENTS = "documents: the maker's instruction reference; not compared with the hardware"
EXECUTED = "executed: conversions and bf16 dot products were compared with a CPU that has them; none wrong"
CONVERSIONS = "executed: conversions were compared with a CPU that has them; none wrong"

UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Row:
    """A device; ``marks`` says what weakens a figure ("*": all of them), peaks are dense TFLOP/s."""

    name: str
    vendor: str
    units: tuple[str, ...]
    year: int
    support: str
    peaks: dict[str, float]
    bandwidth: float
    memory: float
    source: str
    evidence: str
    marks: dict[str, str]
    aliases: tuple[str, ...] = ()
    note: str = ""
    arithmetic: str = ""  # of the words in ARITHMETIC, where it is not the first unit's


_ALL = {"*": UNVERIFIED + ": not re-read in that document"}
_CORES = "derived: cores x base clock x operations a cycle; lower under wide-vector clocks"

ROWS = (
    Row("P100", "NVIDIA", ("pascal",), 2016, "fp16 vector", {"fp32": 10.6, "fp16": 21.2}, 732, 16,
        "NVIDIA Tesla P100 whitepaper WP-08019 and datasheet", DOCUMENTS,
        {"bandwidth": "the datasheet's; the whitepaper has 720"}, ("Tesla P100",)),
    Row("V100", "NVIDIA", ("volta",), 2017, "fp16 matrix", {"fp32": 15.7, "fp16": 31.4, "fp16 matrix": 125}, 900, 32,
        "NVIDIA Tesla V100 whitepaper WP-08608", RECORDED, {"memory": "also sold with 16"}, ("Tesla V100",)),
    Row("T4", "NVIDIA", ("turing",), 2018, "fp16 matrix", {"fp32": 8.1, "fp16": 16.2, "fp16 matrix": 65}, 320, 16,
        "NVIDIA T4 datasheet", MODELS, {"fp16": "derived: twice fp32",
                                        "bandwidth": "other editions of the datasheet have 300"}, ("Tesla T4",)),
    Row("RTX 2080 Ti", "NVIDIA", ("turing",), 2018, "fp16 matrix",
        {"fp32": 14.2, "fp16": 28.5, "fp16 matrix": 56.9, "fp16 matrix fp16": 113.8}, 616, 11,
        "NVIDIA Turing whitepaper WP-09183, Founders Edition", MODELS, {}, ("GeForce RTX 2080 Ti", "2080 Ti")),
    Row("RTX 3090", "NVIDIA", ("ampere",), 2020, "fp16 matrix, bf16 matrix, tf32 matrix",
        {"fp32": 35.6, "fp16": 35.6, "fp16 matrix": 71, "fp16 matrix fp16": 142, "bf16 matrix": 71,
         "tf32 matrix": 35.6}, 936, 24, "NVIDIA Ampere GA102 whitepaper", SIBLING.format("Ampere"), _ALL,
        ("GeForce RTX 3090", "3090")),
    Row("RTX 4090", "NVIDIA", ("ada",), 2022, "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix",
        {"fp32": 82.6, "fp16": 82.6, "fp16 matrix": 165.2, "fp16 matrix fp16": 330.3, "bf16 matrix": 165.2,
         "tf32 matrix": 82.6, "fp8 matrix": 330.3, "fp8 matrix fp16": 660.6}, 1008, 24,
        "NVIDIA Ada GPU Architecture whitepaper", SIBLING.format("Ada"), _ALL, ("GeForce RTX 4090", "4090")),
    Row("L40S", "NVIDIA", ("ada",), 2023, "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix",
        {"fp32": 91.6, "fp16": 91.6, "fp16 matrix": 362, "bf16 matrix": 362, "tf32 matrix": 183, "fp8 matrix": 733},
        864, 48, "NVIDIA L40S datasheet", PUBLISHED, _ALL | {"fp16": "unverified: taken as fp32's rate"}),
    Row("A2", "NVIDIA", ("ampere",), 2021, "fp16 matrix, bf16 matrix, tf32 matrix",
        {"fp32": 4.5, "fp16": 4.5, "fp16 matrix": 18, "bf16 matrix": 18, "tf32 matrix": 9}, 200, 16,
        "NVIDIA A2 datasheet", PUBLISHED, _ALL | {"fp16": "unverified: taken as fp32's rate"}),
    Row("A100", "NVIDIA", ("ampere",), 2020, "fp16 matrix, bf16 matrix, tf32 matrix",
        {"fp32": 19.5, "fp16": 78, "fp16 matrix": 312, "bf16 matrix": 312, "tf32 matrix": 156}, 2039, 80,
        "NVIDIA A100 whitepaper; 80 GB SXM datasheet", RECORDED,
        {"bandwidth": "80 GB model; 1555 with 40 GB", "memory": "also sold with 40"}),
    Row("H100", "NVIDIA", ("hopper",), 2022, "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix",
        {"fp32": 66.9, "fp16": 133.8, "fp16 matrix": 989.4, "bf16 matrix": 989.4, "tf32 matrix": 494.7,
         "fp8 matrix": 1978.9}, 3352, 80, "NVIDIA H100 whitepaper, SXM5", RECORDED, {}),
    Row("H200", "NVIDIA", ("hopper",), 2024, "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix",
        {"fp32": 66.9, "fp16": 133.8, "fp16 matrix": 989.4, "bf16 matrix": 989.4, "tf32 matrix": 494.7,
         "fp8 matrix": 1978.9}, 4800, 141, "NVIDIA H200 datasheet, SXM", PUBLISHED, _ALL),
    Row("B200", "NVIDIA", ("blackwell",), 2024, "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix",
        {"fp32": 75, "fp16 matrix": 2250, "bf16 matrix": 2250, "tf32 matrix": 1100, "fp8 matrix": 4500}, 7700, 180,
        "NVIDIA Blackwell datasheet, HGX B200; dense is half of what it states with sparsity", PUBLISHED,
        {**_ALL, "tf32 matrix": "unverified; half of 2200 rounded"}, note="fp8: see the rows of its units"),
    Row("MI100", "AMD", ("cdna1",), 2020, "fp16 matrix, bf16 matrix",
        {"fp32": 23.1, "fp32 matrix": 46.1, "fp16 matrix": 184.6, "bf16 matrix": 92.3}, 1229, 32,
        "AMD MI100 datasheet and CDNA whitepaper", MODELS, {}, ("Instinct MI100",)),
    Row("MI250X", "AMD", ("cdna2",), 2021, "fp16 matrix, bf16 matrix",
        {"fp32": 47.9, "fp32 matrix": 95.7, "fp16 matrix": 383, "bf16 matrix": 383}, 3277, 128,
        "AMD CDNA 2 whitepaper", MODELS, {}, ("MI250", "MI210", "Instinct MI250X")),
    Row("MI300X", "AMD", ("cdna3",), 2023, "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix",
        {"fp32": 163.4, "fp16 matrix": 1307.4, "bf16 matrix": 1307.4, "tf32 matrix": 653.7, "fp8 matrix": 2614.9},
        5325, 192, "AMD MI300X datasheet", MODELS, {"tf32 matrix": "unverified; AMD calls the format xf32"},
        ("Instinct MI300X", "MI300")),
    Row("Xeon Ice Lake", "Intel", ("f16c",), 2021, "fp16 convert", {"fp32": 5.9}, 204.8, 6000,
        "Intel ARK, Xeon 8380: 40 cores, 2.3 GHz, 8 channels DDR4-3200", CONVERSIONS,
        {"fp32": _CORES, "memory": "the most that a socket takes"}, ("Ice Lake", "Xeon 8380"),
        "AVX-512 here has no fp16 arithmetic: AVX512-FP16 came with Sapphire Rapids"),
    Row("Xeon Cooper Lake", "Intel", ("avx512_bf16", "f16c"), 2020, "fp16 convert, bf16 vector",
        {"fp32": 5.2, "bf16": 10.4}, 153.6, 1120, "Intel ARK, Xeon 8380H: 28 cores, 2.9 GHz, 6 channels DDR4-3200",
        EXECUTED, {"fp32": _CORES, "bf16": _CORES, "memory": "the most that a socket takes"},
        ("Cooper Lake", "Xeon 8380H"), "AVX512-BF16 serves bfloat16; fp16 is converted"),
    Row("Xeon Sapphire Rapids", "Intel", ("amx_bf16", "avx512_fp16", "avx512_bf16", "f16c"), 2023,
        "fp16 vector, bf16 matrix", {"fp32": 7.2, "fp16": 14.3, "bf16 matrix": 114.7}, 307.2, 4000,
        "Intel ARK, Xeon 8480+: 56 cores, 2.0 GHz, 8 channels DDR5-4800; Intel AMX brief", DOCUMENTS,
        {"fp32": _CORES, "fp16": _CORES, "bf16 matrix": _CORES, "memory": "the most that a socket takes"},
        ("Sapphire Rapids", "SPR", "Xeon 8480+"), "AMX tiles take bf16 here, not fp16"),
    Row("Xeon Granite Rapids", "Intel", ("amx_fp16", "amx_bf16", "avx512_fp16", "avx512_bf16", "f16c"), 2024,
        "fp16 matrix, bf16 matrix", {"fp32": 16.4, "fp16": 32.8, "fp16 matrix": 262, "bf16 matrix": 262}, 614.4, 3000,
        "Intel ARK, Xeon 6980P: 128 cores, 2.0 GHz, 12 channels DDR5-6400", DOCUMENTS,
        {"*": UNVERIFIED + "; " + _CORES}, ("Granite Rapids", "GNR", "Xeon 6980P")),
    Row("Zen 4", "AMD", ("avx512_bf16", "f16c"), 2022, "fp16 convert, bf16 vector", {"fp32": 7.4, "bf16": 14.7},
        460.8, 6000, "AMD EPYC 9654: 96 cores, 2.4 GHz, 12 channels DDR5-4800", EXECUTED,
        {"*": UNVERIFIED + "; " + _CORES}, ("EPYC 9654", "Genoa", "Ryzen 7000")),
    Row("Cortex-A76", "Arm", ("arm_fp16",), 2018, "fp16 vector", {"fp32": 0.0454, "fp16": 0.0909}, 34.1, 6,
        "Arm Cortex-A76 software optimization guide; one core at 2.84 GHz in a Snapdragon 855 phone", DOCUMENTS,
        {"fp32": "derived: 16 operations a cycle", "fp16": "derived: 32 operations a cycle",
         "bandwidth": UNVERIFIED + "; the phone's", "memory": UNVERIFIED + "; the phone's"}, ("A76", "Arm phone")),
    Row("Apple M1", "Apple", ("arm_fp16", "arm_fmlal"), 2020, "fp16 vector", {"fp32": 0.41, "fp16": 0.82}, 68.3, 16,
        "Apple M1 announcement; four performance cores at 3.2 GHz, 4 x 128 bits", DOCUMENTS,
        {"fp32": "derived from reverse engineering, not Apple's", "fp16": "derived: twice fp32",
         "memory": "also sold with 8"}, ("M1",), "its GPU (2.6 TFLOP/s in fp32) is not modelled"),
    Row("Cortex-M4F", "Arm", ("f16c",), 2010, "fp16 convert", {"fp32": 0.000168}, 0.67, 0.000192,
        "Arm Cortex-M4 TRM; an STM32F407 at 168 MHz", DOCUMENTS,
        {"fp32": "derived: 1 operation a cycle", "bandwidth": UNVERIFIED + "; derived: 32 bits a cycle"},
        ("M4F", "Cortex M4", "STM32F407"), arithmetic="arm_vfp4"),
    Row("Cortex-M55", "Arm", ("arm_fp16",), 2020, "fp16 vector", {"fp32": 0.0016, "fp16": 0.0032}, 3.2, 0.004,
        "Arm Cortex-M55 datasheet; a microcontroller at 400 MHz with 4 MB", DOCUMENTS,
        {"*": UNVERIFIED + ", low confidence: 2 fp32 and 4 fp16 multiply-adds a cycle, 64 bits a cycle"}, ("M55",)),
)  # fmt: skip
