"""NVIDIA's devices."""

from __future__ import annotations

from halfsim.hardware.catalogue.row import DOCUMENTS, ONE_MODEL, PUBLISHED, RECORDED, SIBLING, Row

_NV = "NVIDIA"
_FP16 = "fp16 matrix"
_AMPERE = "fp16 matrix, bf16 matrix, tf32 matrix"
_FP8 = "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix"
_TWICE = "derived: twice fp32, as compute capability {} has it"
_FOURFOLD = "derived: four times fp32, as compute capability 8.0 has it"
_NOYEAR = "unverified: not in that document"
_SAME = "derived: fp32's rate, as compute capability {} has it"
_DENSE = "derived: half of what is stated with sparsity"
_CORES = "derived: {} cores x {} GHz x 2"
_3060 = "literature: published tests of an RTX 3060 found A100's arithmetic (arXiv 2510.15884, not re-read); none here"
_MODELLED = (
    "literature: published models (MMA-Sim; Khattak and Mikaitis, of RTX PRO 6000) agree; no outputs compared here"
)


def _tensor(fp32: float, fp16: float, /, **more: float | str) -> dict[str, float | str]:
    """Peaks of tensor cores that take bf16 as they take fp16, and tf32 at half of it."""
    return {"fp32": fp32, "fp16 matrix": fp16, "bf16 matrix": fp16, "tf32 matrix": fp16 / 2,
            **{key.replace("_", " "): value for key, value in more.items()}}  # fmt: skip


ROWS = (
    Row("P100", _NV, ("pascal",), "fp16 vector",
        {"year": 2016, "fp32": 10.6, "fp16": 21.2, "bandwidth": 732, "memory": "16 GiB"},
        {"*": "p100-wp", "fp32, memory": "p100-wp; v100-news", "bandwidth": "p100-ds"}, DOCUMENTS,
        {"fp16": _TWICE.format("6.0"), "bandwidth": "conflicting: the data sheet's; the whitepaper has 720"},
        ("Tesla P100", "P100 SXM2", "Tesla P100-SXM2-16GB")),
    Row("P100 PCIe", _NV, ("pascal",), "fp16 vector",
        {"year": 2016, "fp32": 9.3, "fp16": 18.7, "bandwidth": 732, "memory": "16 GiB"}, {"*": "p100-pcie"}, DOCUMENTS,
        {}, ("Tesla P100-PCIE-16GB",), "also sold with 12 GB, at 549 GB/s"),
    Row("V100", _NV, ("volta",), _FP16,
        {"year": 2017, "fp32": 15.7, "fp16": 31.4, "fp16 matrix": 125, "bandwidth": 900, "memory": "32 GiB"},
        {"*": "v100-ds", "fp16": "a100-wp: comparison with V100", "fp16 matrix": "v100-blog",
         "year": "v100-wp; v100-news"}, RECORDED,
        {"fp16": _TWICE.format("7.0")},
        ("Tesla V100", "V100 SXM2", "V100 32 GB", "Tesla V100-SXM2-32GB"), "also sold with 16 GB"),
    Row("V100 PCIe", _NV, ("volta",), _FP16,
        {"year": 2017, "fp32": 14, "fp16": 28, "fp16 matrix": 112, "bandwidth": 900, "memory": "32 GiB"},
        {"*": "v100-ds"}, SIBLING.format("Volta"), {"fp16": _TWICE.format("7.0")},
        ("Tesla V100-PCIE-32GB",), "also sold with 16 GB"),
    Row("T4", _NV, ("turing",), _FP16,
        {"year": 2018, "fp32": 8.1, "fp16": 16.2, "fp16 matrix": 65, "bandwidth": 320, "memory": "16 GiB"},
        {"*": "t4-ds"}, ONE_MODEL,
        {"fp16": _TWICE.format("7.5"), "bandwidth": "conflicting: other editions of the data sheet have 300"},
        ("Tesla T4",)),
    Row("RTX 2080 Ti", _NV, ("turing",), _FP16,
        {"year": 2018, "fp32": 14.2, "fp16": 28.5, "fp16 matrix": 56.9, "fp16 matrix fp16": 113.8, "bandwidth": 616,
         "memory": "11 GiB"}, {"*": "turing-wp: Founders Edition"}, ONE_MODEL, {}, ("GeForce RTX 2080 Ti", "2080 Ti")),
    Row("RTX 3060", _NV, ("ampere",), _AMPERE,
        _tensor(12.7, 25.5, year=2021, fp16=12.7, fp16_matrix_fp16=51, bandwidth=360, memory="12 GiB")
        | {"tf32 matrix": 12.7}, {"*": "3060-page"}, _3060,
        {"fp32": _CORES.format(3584, 1.777), "fp16": _SAME.format("8.6"),
         "fp16 matrix, bf16 matrix": "derived: twice fp32, as on RTX 3090", "tf32 matrix": "derived: as fp32",
         "fp16 matrix fp16": "derived: four times fp32, as on RTX 3090"},
        ("GeForce RTX 3060", "3060", "RTX 3060 12 GB"), "also sold with 8 GB, at 240 GB/s"),
    Row("RTX 3090", _NV, ("ampere",), _AMPERE,
        _tensor(35.6, 71, year=2020, fp16=35.6, fp16_matrix_fp16=142, bandwidth=936, memory="24 GiB")
        | {"tf32 matrix": 35.6},
        {"*": "ga102-wp: RTX 3090", "year, memory": "lambda"}, SIBLING.format("Ampere"), {},
        ("GeForce RTX 3090", "3090")),
    Row("RTX 4060", _NV, ("ada",), _FP8,
        _tensor(15.11, 30.23, year=2023, fp16=15.11, fp16_matrix_fp16=60.46, fp8_matrix=60.46, fp8_matrix_fp16=120.91,
                bandwidth=272, memory="8 GiB"),
        {"*": "4060-hmc", "year, bandwidth": "4060-page"}, SIBLING.format("Ada"), {}, ("GeForce RTX 4060", "4060")),
    Row("RTX 4090", _NV, ("ada",), _FP8,
        _tensor(82.6, 165.2, year=2022, fp16=82.6, fp16_matrix_fp16=330.3, fp8_matrix=330.3, fp8_matrix_fp16=660.6,
                bandwidth=1008, memory="24 GiB"),
        {"*": "ada-wp: Appendix A, Table 2; 4090-hmc", "year": "ada-wp"}, SIBLING.format("Ada"),
        {"year": _NOYEAR}, ("GeForce RTX 4090", "4090")),
    Row("RTX 4090 D", _NV, ("ada",), _FP8,
        _tensor(73.5, 147, year=2023, fp16=73.5, fp16_matrix_fp16=294, fp8_matrix=294, fp8_matrix_fp16=588,
                bandwidth=1008, memory="24 GiB"),
        {"*": "4090d-page"}, SIBLING.format("Ada"),
        {"fp32": _CORES.format(14592, 2.52), "fp16": _SAME.format("8.9"),
         "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix, fp16 matrix fp16, fp8 matrix fp16":
         "derived: in the proportions of RTX 4090"}, ("GeForce RTX 4090 D", "4090D")),
    Row("RTX 5090", _NV, ("rtx_blackwell",), _FP8,
        _tensor(104.8, 209.5, year=2025, fp16=104.8, fp16_matrix_fp16=419, fp8_matrix=419, fp8_matrix_fp16=838,
                bandwidth=1792, memory="32 GiB"),
        {"*": "rtx-blackwell-wp: RTX 5090", "fp32, fp16, memory": "rtx-blackwell-wp: RTX 5090; 5090-hmc",
         "bandwidth": "rtx-blackwell-wp: RTX 5090; 5090-notes"}, _MODELLED,
        {"tf32 matrix, fp8 matrix, fp8 matrix fp16": "derived: in the proportions of RTX 4090", "year": _NOYEAR,
         "fp32, fp16": "derived: an eighth of eight cards' 838.02"}, ("GeForce RTX 5090", "5090")),
    Row("A2", _NV, ("ampere",), _AMPERE,
        _tensor(4.5, 18, year=2021, fp16=4.5, bandwidth=200, memory="16 GiB"), {"*": "a2-ds"}, PUBLISHED,
        {"fp16": _SAME.format("8.6")}),
    Row("A10", _NV, ("ampere",), _AMPERE,
        _tensor(31.2, 125, year=2021, fp16=31.2, bandwidth=600, memory="24 GiB"), {"*": "a10-ds", "year": "lambda"},
        SIBLING.format("Ampere"), {"fp16": _SAME.format("8.6")}),
    Row("A40", _NV, ("ampere",), _AMPERE,
        _tensor(37.42, 149.67, year=2020, fp16=37.42, bandwidth=696, memory="48 GiB") | {"tf32 matrix": 74.83},
        {"*": "a40-hmc", "bandwidth": "a40-db", "year, memory": "lambda"}, SIBLING.format("Ampere"),
        {"bandwidth": "695.8 there"}),
    Row("L4", _NV, ("ada",), _FP8,
        _tensor(30.3, 121, year=2023, fp16=30.3, fp8_matrix=242.5, bandwidth=300, memory="24 GiB")
        | {"tf32 matrix": 60},
        {"*": "l4", "fp32, fp16": "l4-ds", "tf32 matrix": "l4-shop"}, SIBLING.format("Ada"),
        {"fp16": _SAME.format("8.9"), "fp16 matrix, fp8 matrix, tf32 matrix": _DENSE,
         "bf16 matrix": "derived: as fp16"}),
    Row("L40S", _NV, ("ada",), _FP8,
        _tensor(91.6, 362, year=2023, fp16=91.6, fp8_matrix=733, bandwidth=864, memory="48 GiB")
        | {"tf32 matrix": 183}, {"*": "l40s", "year": "l40s-page"}, PUBLISHED,
        {"fp16": _SAME.format("8.9"), "fp16 matrix, bf16 matrix": "362.05 there"}),
    Row("Jetson AGX Orin", _NV, ("ampere",), _AMPERE,
        _tensor(5.3, 42.5, year=2022, bandwidth=204.8, memory="64 GiB"), {"*": "orin"}, SIBLING.format("Ampere"),
        {"fp16 matrix, bf16 matrix": "derived: a quarter of 170 TOPS of int8 with sparsity",
         "tf32 matrix": "derived: half of fp16"}, ("AGX Orin", "Jetson AGX Orin 64 GB"),
        "the 64 GB module; its memory is shared with the processor"),
    Row("A100", _NV, ("ampere",), _AMPERE,
        _tensor(19.5, 312, year=2020, fp16=78, bandwidth=2039, memory="80 GiB"),
        {"*": "a100-ds; a100-notes", "fp16": "a100-wp: Table 1; a100-sxm-40", "year": "lambda"}, RECORDED,
        {"fp16": "77.97 in the text read, at 1410 MHz"},
        ("A100 SXM", "A100 SXM4", "A100 80 GB", "A100-SXM4-80GB", "A100 SXM 80 GB")),
    Row("A100 40 GB", _NV, ("ampere",), _AMPERE,
        _tensor(19.5, 312, year=2020, fp16=78, bandwidth=1555, memory="40 GiB"),
        {"*": "a100-wp: Table 1; a100-notes", "fp16, year": "a100-wp: Table 1; a100-sxm-40"}, RECORDED,
        {"fp16": "77.97 in the text read, at 1410 MHz"}, ("A100-SXM4-40GB", "A100 SXM 40 GB")),
    Row("A100 PCIe", _NV, ("ampere",), _AMPERE,
        _tensor(19.5, 312, year=2021, fp16=78, bandwidth=1935, memory="80 GiB"),
        {"*": "a100-ds; a100-forms", "fp16": "a100-wp: Table 1"}, SIBLING.format("Ampere"),
        {"fp16": _FOURFOLD, "year": _NOYEAR},
        ("A100 80GB PCIe", "A100 PCIe 80 GB")),
    Row("A100 PCIe 40 GB", _NV, ("ampere",), _AMPERE,
        _tensor(19.5, 312, year=2020, fp16=78, bandwidth=1555, memory="40 GiB"),
        {"*": "a100-wp; a100-forms", "fp16": "a100-wp: Table 1", "year": "lambda"}, SIBLING.format("Ampere"),
        {"fp16": _FOURFOLD}, ("A100 40GB PCIe",)),
    Row("H100", _NV, ("hopper",), _FP8,
        _tensor(66.9, 989.4, year=2022, fp16=133.8, fp8_matrix=1978.9, bandwidth=3352, memory="80 GiB"),
        {"*": "h100-wp: H100 SXM5; h100-notes", "year": "h100-hmc"}, RECORDED,
        {"bandwidth": "3.35 TB/s in the text read"},
        ("H100 SXM", "H100 SXM5", "H100 80GB HBM3", "H100 80 GB")),
    Row("H100 PCIe", _NV, ("hopper",), _FP8,
        _tensor(51.2, 756.5, year=2022, fp16=102.4, fp8_matrix=1513, bandwidth=2000, memory="80 GiB")
        | {"tf32 matrix": 378},
        {"*": "h100-forms", "year, fp32, fp16": "h100-hmc"}, SIBLING.format("Hopper"),
        {"fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix": _DENSE}),
    Row("H100 NVL", _NV, ("hopper",), _FP8,
        _tensor(60, 835.5, year=2023, fp16=120, fp8_matrix=1670.5, bandwidth=3900, memory="94 GiB"),
        {"*": "h100-page; h100-nvl", "year": "h100-page"}, SIBLING.format("Hopper"),
        {"fp16": _TWICE.format("9.0"), "fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix": _DENSE, "year": _NOYEAR},
        (), "one of the two cards of a pair"),
    Row("H200", _NV, ("hopper",), _FP8,
        _tensor(66.9, 989.4, year=2023, fp16=133.8, fp8_matrix=1978.9, bandwidth=4800, memory="141 GiB"),
        {"*": "h100-notes", "year, fp32, fp16": "h100-hmc", "bandwidth, memory": "h200-notes"}, PUBLISHED,
        {"fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix": "derived: as H100's, of the same chip"},
        ("H200 SXM",)),
    Row("H800", _NV, ("hopper",), _FP8,
        _tensor(66.9, 989.4, year=2023, fp16=133.8, fp8_matrix=1978.9, bandwidth=3352, memory="80 GiB"),
        {"*": "h20-press"}, SIBLING.format("Hopper"),
        {"*": "unverified: taken as H100's; no data sheet is public, only NVLink and fp64 are said to differ"},
        ("H800 SXM",)),
    Row("H20", _NV, ("hopper",), _FP8,
        _tensor(44, 148, year=2024, fp16=88, fp8_matrix=296, bandwidth=4000, memory="96 GiB"),
        {"*": "h20-news", "year, memory": "h20-press"}, SIBLING.format("Hopper"),
        {"fp16": _TWICE.format("9.0"), "bf16 matrix": "derived: as fp16", "fp8 matrix": "derived: as int8 there",
         "year, memory": "unverified: the maker publishes no data sheet"}),
    Row("GH200", _NV, ("hopper",), _FP8,
        _tensor(66.9, 989.4, year=2023, fp16=133.8, fp8_matrix=1978.9, bandwidth=4000, memory="96 GiB"),
        {"*": "gh200-ds"}, SIBLING.format("Hopper"),
        {"*": "unverified: taken as H100's, of the same chip", "bandwidth, memory": "unverified: not re-read in that "
         "document; also sold with 144 GB of HBM3e at 4900 GB/s"}, ("GH200 480GB", "Grace Hopper"),
        "its GPU; 480 GB of the processor's memory come on top, at 512 GB/s"),
    Row("B200", _NV, ("blackwell",), _FP8,
        {"year": 2024, "fp32": 75, "fp16": 150, "fp16 matrix": 2250, "bf16 matrix": 2250, "tf32 matrix": 1100,
         "fp8 matrix": 4500, "bandwidth": 7700, "memory": "180 GiB"}, {"*": "b200-ds"}, PUBLISHED,
        {"fp16": _TWICE.format("10.0"), "fp16 matrix, bf16 matrix, fp8 matrix": _DENSE,
         "tf32 matrix": _DENSE + ", rounded there"}, ("HGX B200",)),
    Row("GB200", _NV, ("blackwell",), _FP8,
        {"year": 2024, "fp32": 160, "fp16": 320, "fp16 matrix": 5000, "bf16 matrix": 5000, "tf32 matrix": 2500,
         "fp8 matrix": 10000, "bandwidth": 16000, "memory": "372 GiB"},
        {"*": "gb200-ds", "year, fp32, fp16": "h100-hmc"}, SIBLING.format("Blackwell").replace("recorded", "published"),
        {"fp16 matrix, bf16 matrix, tf32 matrix, fp8 matrix": _DENSE,
         "memory": "conflicting: 384 in older texts"}, ("GB200 NVL72",),
        "a superchip of two GPUs, each of which software sees as a device", seen=2),
)  # fmt: skip
