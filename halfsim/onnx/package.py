"""The one place where the package onnx is asked for, and what is said where it is missing."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def package() -> Any:
    """The package onnx with the parts that this room uses; ``ModuleNotFoundError`` that names the extra without it."""
    try:
        import onnx
        import onnx.defs
        import onnx.external_data_helper
        import onnx.helper
        import onnx.inliner
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("onnx", "ml_dtypes"):
            raise
        raise ModuleNotFoundError('onnx: onnx is missing; it comes with: pip install "halfsim[onnx]"') from None
    return onnx
