"""Operators of ``ai.onnx.ml`` that turn tensors into maps and back, and categories into their names."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.onnx.operators.table import ML, room, row
from halfsim.onnx.values import numbers, stored


@row("ZipMap", given="any", domain=ML)
def zip_map(x: Any, /, *, classlabels_int64s: Any = None, classlabels_strings: Any = None) -> Any:
    """For each row of scores a map from the classes to them."""
    labels = list(classlabels_strings or classlabels_int64s or ())
    rows = np.atleast_2d(np.asarray(numbers(x)))
    if rows.ndim != 2 or rows.shape[1] != len(labels):
        raise ValueError(f"X: shape {tuple(np.shape(numbers(x)))} is not allowed; allowed: (N, {len(labels)})")
    return ([dict(zip(labels, scores.tolist(), strict=True)) for scores in rows],)


@row("CastMap", given="any", domain=ML)
def cast_map(x: Any, /, *, cast_to: str = "TO_FLOAT", map_form: str = "DENSE", max_map: int = 1) -> Any:
    """The values of a map in the order of its keys; in the sparse form at the places that its keys are."""
    if not isinstance(x, dict):
        raise TypeError("X: a tensor is not allowed; allowed: a map from integers")
    keys = sorted(x)
    if map_form == "SPARSE":
        values: list[Any] = ["" if cast_to == "TO_STRING" else 0] * room(max_map)
        for key in keys:
            if 0 <= key < max_map:
                values[key] = x[key]
    else:
        values = [x[key] for key in keys]
    if cast_to == "TO_STRING":
        return np.array([[str(v) for v in values]], object)
    dtype = np.int64 if cast_to == "TO_INT64" else np.float32
    return stored(np.array([[float(v) for v in values]]).astype(dtype))


@row("CategoryMapper", given="any", domain=ML)
def category_mapper(
    x: Any, /, *, cats_int64s: Any, cats_strings: Any, default_int64: int = -1, default_string: str = "_Unused"
) -> Any:
    """Names of categories for their numbers, or numbers for their names."""
    values = np.asarray(numbers(x))
    if values.dtype.kind in "iu":
        named = dict(zip(cats_int64s, cats_strings, strict=True))
        return np.array([named.get(int(v), default_string) for v in values.flat], object).reshape(values.shape)
    numbered = dict(zip(cats_strings, cats_int64s, strict=True))
    return np.array([numbered.get(str(v), default_int64) for v in values.flat], np.int64).reshape(values.shape)
