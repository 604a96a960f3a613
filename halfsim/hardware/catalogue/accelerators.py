"""Accelerators and mobile graphics of whose sums no description to the bit is known: figures, modes, words."""

from __future__ import annotations

from halfsim.hardware.catalogue.row import UNKNOWN, Row

_MODES = "documents: the maker says what becomes of overflow and NaN; nobody has described the bits of its sums"
_PHONE = "unverified: a phone's"
_ASCEND = (
    "its only mode: a loss scaler that waits for inf or NaN never sees one, its scale grows on, and the weights take "
    "gradients clipped to 65504; Huawei's frameworks read a flag of the hardware (npu_get_float_status) instead"
)
_A2 = (
    "INF_NAN_MODE_ENABLE=0 asks for Ascend 910A's saturation, which its maker calls unreliable and keeps only for "
    "compatibility"
)
_SATURATING = {"storage": "fp16", "overflow": "saturate_nan"}
_IEEE = {"storage": "fp16"}

ROWS = (
    Row("TPU v4", "Google", (), "bf16 matrix",
        {"year": 2021, "bf16 matrix": 275, "bandwidth": 1200, "memory": "32 GiB"}, {"*": "tpu-v4"}, UNKNOWN,
        {"year": "unverified: not in that document"}, (), "float16 is no format of its matrix units", "tpu"),
    Row("TPU v5e", "Google", (), "bf16 matrix",
        {"year": 2023, "bf16 matrix": 197, "bandwidth": 819, "memory": "16 GiB"},
        {"*": "tpu-v5e", "year": "tpu-v5p"}, UNKNOWN,
        {"bandwidth": "conflicting: another edition of that page has 800 GiB/s, which is 859"}, (),
        "float16 is no format of its matrix units", "tpu"),
    Row("TPU v5p", "Google", (), "bf16 matrix",
        {"year": 2023, "bf16 matrix": 459, "bandwidth": 2765, "memory": "95 GiB"}, {"*": "tpu-v5p"}, UNKNOWN,
        {"bandwidth": "about 2.76 TB/s in the text read"}, (), "float16 is no format of its matrix units", "tpu"),
    Row("Ascend 910A", "Huawei", (), "fp16 matrix",
        {"year": 2019, "fp16 matrix": 256, "bandwidth": 1200, "memory": "32 GiB"},
        {"*": "910-notes", "bandwidth, memory": "910-hc"}, _MODES, {},
        ("Ascend 910", "昇腾 910", "昇腾 910A"), _ASCEND, "ascend_910", roles=_SATURATING, described="cann"),
    Row("Ascend 910B", "Huawei", (), "fp16 matrix, bf16 matrix",
        {"year": 2023, "fp16 matrix": 320, "bf16 matrix": 320, "bandwidth": 1600, "memory": "64 GiB"},
        {"*": "910-notes", "bandwidth": "910c-news", "year": "h100-nvl"}, _MODES,
        {"fp16 matrix": "conflicting: 256 (jishuzhan.net, 2024), 280 to 414 by grade elsewhere",
         "bf16 matrix": "conflicting: taken as fp16's",
         "bandwidth": "conflicting: half of 910C's 3200; 400 and 768 in other texts"},
        ("昇腾 910B",), _A2, "ascend_a2", roles=_IEEE, described="cann"),
    Row("Ascend 910C", "Huawei", (), "fp16 matrix, bf16 matrix",
        {"year": 2025, "fp16 matrix": 780, "bf16 matrix": 780, "bandwidth": 3200, "memory": "128 GiB"},
        {"*": "910c-news", "year, memory": "910-notes"}, _MODES,
        {"fp16 matrix": "conflicting: taken as bf16's; 800 in other texts"},
        ("昇腾 910C",), f"two 910B dies, two devices to software (unverified); {_A2}", "ascend_a2", seen=2,
        roles=_IEEE, described="cann"),
    Row("Kunlun K200", "Baidu", (), "fp16 matrix",
        {"year": 2018, "fp32": 16, "fp16 matrix": 64, "bandwidth": 512, "memory": "16 GiB"}, {"*": "kunlun"}, UNKNOWN,
        {"year": "derived: announced three years before that text"}, ("昆仑 K200",), "the first Kunlun chip",
        "undescribed"),
    Row("Kunlun R200", "Baidu", (), "fp16 matrix",
        {"year": 2021, "fp32": 32, "fp16 matrix": 128, "bandwidth": 512, "memory": "16 GiB"}, {"*": "r200"}, UNKNOWN,
        {}, ("Kunlun II", "Kunlun 2", "昆仑芯 2 代", "昆仑芯 R200"), "the second Kunlun chip", "undescribed"),
    Row("MLU370-X8", "Cambricon", (), "fp16 matrix, bf16 matrix",
        {"year": 2022, "fp32": 24, "fp16 matrix": 96, "bf16 matrix": 96, "bandwidth": 614.4, "memory": "48 GiB"},
        {"*": "mlu370"}, UNKNOWN, {}, ("Cambricon MLU370-X8", "MLU370", "寒武纪 MLU370-X8"), "", "undescribed"),
    Row("Hygon K100 AI", "Hygon", (), "fp16 matrix, bf16 matrix",
        {"year": 2024, "fp32": 49, "fp16 matrix": 196, "bf16 matrix": 196, "bandwidth": 896, "memory": "64 GiB"},
        {"*": "k100"}, UNKNOWN, {}, ("DCU K100 AI", "海光 K100 AI"), "", "undescribed"),
    Row("Adreno 740", "Qualcomm", (), "fp16 vector",
        {"year": 2022, "fp32": 2.09, "fp16": 4.18, "bandwidth": 67.2, "memory": "12 GiB"}, {"*": "phones"}, UNKNOWN,
        {"fp32": "unverified: 1536 lanes x 680 MHz x 2", "fp16": "unverified: twice fp32", "bandwidth": _PHONE,
         "memory": _PHONE}, (), "in Snapdragon 8 Gen 2", "mobile"),
    Row("Mali-G710 MP7", "Arm", (), "fp16 vector",
        {"year": 2021, "fp32": 0.762, "fp16": 1.52, "bandwidth": 51.2, "memory": "8 GiB"}, {"*": "phones"}, UNKNOWN,
        {"fp32": "unverified: 7 cores x 850 MHz x 128 operations a cycle", "fp16": "unverified: twice fp32",
         "bandwidth": _PHONE, "memory": _PHONE}, (), "as in Tensor G2, of 2022", "mobile"),
)  # fmt: skip
