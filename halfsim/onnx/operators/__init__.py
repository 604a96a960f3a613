"""Operators by subject: each file gives rows to `halfsim.onnx.operators.table.ROWS`."""

from halfsim.onnx.operators import (
    chance,
    classical,
    control,
    elementwise,
    linear,
    normalization,
    quantization,
    recurrent,
    reductions,
    resample,
    shape,
    spectral,
    training,
)
from halfsim.onnx.operators.table import REFERENCE, ROWS, Row

__all__ = [
    "REFERENCE",
    "ROWS",
    "Row",
    "chance",
    "classical",
    "control",
    "elementwise",
    "linear",
    "normalization",
    "quantization",
    "recurrent",
    "reductions",
    "resample",
    "shape",
    "spectral",
    "training",
]
