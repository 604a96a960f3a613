"""Plain data as one line of JSON and back, bit for bit: what a configuration and a result may be made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from halfsim.options import shown

FLOAT = "$float"  # {"$float": "nan"}: a number that JSON has no word for
LARGEST = 1 << 20  # characters of a result
_ELEMENTS = 10_000
_ALLOWED = "None, bools, numbers, text, and lists, dicts with text as keys and small NumPy arrays of these"


def spelled(value: Any, name: str, ordered: bool = False) -> str:
    """``value`` as JSON on one line, of ASCII alone; `read` gives it back with every bit of its floats.

    Tuples and arrays become lists, NumPy's and tensors' numbers Python's. Infinities and NaN are written as
    ``{"$float": "inf"}``; one NaN is as good as another, since its sign differs from processor to processor. With
    ``ordered`` the keys of dicts are sorted. ``TypeError`` and ``ValueError`` name the place of what is not plain.

    >>> spelled({"loss": np.float32(0.1), "steps": (1, 2), "top": float("inf")}, "result")
    '{"loss":0.10000000149011612,"steps":[1,2],"top":{"$float":"inf"}}'
    """
    try:
        text = json.dumps(_plain(value, name), separators=(",", ":"), sort_keys=ordered, allow_nan=False)
    except RecursionError:
        raise ValueError(f"{name}: lists that hold themselves are not allowed; allowed: {_ALLOWED}") from None
    if len(text) > LARGEST:
        raise ValueError(f"{name}: {len(text):,} characters are not allowed; allowed: at most {LARGEST:,}")
    return text


def read(text: str | bytes) -> Any:
    """What `spelled` wrote.

    >>> read('{"a":[1,{"$float":"-inf"}]}')
    {'a': [1, -inf]}
    """
    return json.loads(text, object_hook=_float)


def _float(found: dict[str, Any]) -> Any:
    return float(found[FLOAT]) if found.keys() == {FLOAT} else found


def _plain(value: Any, name: str) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        if abs(value) >= 10**300:
            raise ValueError(
                f"{name}: an integer of {value.bit_length():,} bits is not allowed; allowed: below 10**300"
            )
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {FLOAT: str(float(value))}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{name}: the key {shown(key)} is not allowed; allowed: text")
            if key == FLOAT:
                raise ValueError(f"{name}: the key {FLOAT!r} is not allowed; allowed: other text")
        return {str(key): _plain(item, f"{name}[{str(key)!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    array = np.asarray(value) if hasattr(value, "__array__") else None
    if array is None or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        what = shown(value) if array is None else f"an array of {array.dtype}"
        raise TypeError(f"{name}: {what} is not allowed; allowed: {_ALLOWED}")
    if array.size > _ELEMENTS:
        raise ValueError(f"{name}: an array of {array.size:,} numbers is not allowed; allowed: at most {_ELEMENTS:,}")
    return _plain(array.tolist(), name)
