"""How named devices compute: matrix units of GPUs and processors, bit for bit."""

from halfsim.hardware.accumulators import install_all
from halfsim.hardware.catalogue import Document
from halfsim.hardware.compare import Comparison, Difference, compare
from halfsim.hardware.convert import narrow, widen
from halfsim.hardware.devices import Device, Figure, device, devices
from halfsim.hardware.matrix_unit import matmul, rows, unit_matmul
from halfsim.hardware.units import Unit
from halfsim.names import public as _public
from halfsim.options import guarded_names

__all__ = [
    "Comparison",
    "Device",
    "Difference",
    "Document",
    "Figure",
    "Unit",
    "compare",
    "device",
    "devices",
    "matmul",
    "narrow",
    "rows",
    "unit_matmul",
    "widen",
]

install_all()

guarded_names(globals(), __all__)
_public(__name__)
