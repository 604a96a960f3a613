"""What is known of each device, as data: figures with the documents that state them, and what makes them worth less."""

from halfsim.hardware.catalogue import accelerators, amd, nvidia, processors
from halfsim.hardware.catalogue.arithmetic import ARITHMETIC
from halfsim.hardware.catalogue.documents import DOCUMENTS, Document
from halfsim.hardware.catalogue.row import QUOTED, UNREAD, Row

ROWS = (*nvidia.ROWS, *amd.ROWS, *processors.ROWS, *accelerators.ROWS)

# Names of families and of more than one product, and what to ask for instead.
FAMILIES = {
    "MI200": ("MI210", "MI250", "MI250X"), "MI300": ("MI300X", "MI300A"), "MI350": ("MI355X",),
    "M4": ("Apple M4", "Cortex-M4F"), "Ryzen 7000": ("Ryzen 9 7950X",), "Ryzen": ("Ryzen 9 7950X",),
    "EPYC": ("EPYC 9654",), "Xeon": ("Xeon 8380", "Xeon 8480+", "Xeon 6980P"), "TPU": ("TPU v4", "TPU v5e", "TPU v5p"),
    "TPU v5": ("TPU v5e", "TPU v5p"), "Jetson": ("Jetson AGX Orin",), "Jetson Orin": ("Jetson AGX Orin",),
    "Orin": ("Jetson AGX Orin",), "Kunlun": ("Kunlun K200", "Kunlun R200"), "昆仑": ("Kunlun K200", "Kunlun R200"),
    "昆仑芯": ("Kunlun K200", "Kunlun R200"), "Cambricon": ("MLU370-X8",), "寒武纪": ("MLU370-X8",),
    "Hygon": ("Hygon K100 AI",), "海光": ("Hygon K100 AI",), "DCU": ("Hygon K100 AI",), "Adreno": ("Adreno 740",),
    "Mali": ("Mali-G710 MP7",), "Arc": ("Arc A770",), "GPU Max": ("GPU Max 1550",),
    "Ascend": ("Ascend 910A", "Ascend 910B", "Ascend 910C"), "昇腾": ("Ascend 910A", "Ascend 910B", "Ascend 910C"),
    "RDNA 3": ("RX 7900 XTX",), "RDNA 4": ("RX 9070 XT",), "Kunpeng": ("Kunpeng 920",), "鲲鹏": ("Kunpeng 920",),
    "Raspberry Pi": ("Raspberry Pi 5",), "Apple Silicon": ("Apple M1", "Apple M2", "Apple M3", "Apple M4"),
    "Volta": ("V100", "V100 PCIe"), "Hopper": ("H100", "H200", "GH200"), "Blackwell": ("B200", "GB200", "RTX 5090"),
}  # fmt: skip

__all__ = ["ARITHMETIC", "DOCUMENTS", "FAMILIES", "QUOTED", "ROWS", "UNREAD", "Document", "Row"]
