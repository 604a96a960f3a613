"""State trees as JSON and arrays, exactly: no pickle, and every value comes back as it was, bit for bit.

JSON has null, true, strings, integers of any size, finite floats (by their shortest digits) and lists. The rest is an
object of one key, which says what it is: "tuple", "set", "dict" (its pairs), "integer" (a huge one, hexadecimal),
"float" (the bits of an infinity or NaN, hexadecimal), "bytes" (hexadecimal), "format" (its name), "tensor", "array" and
"scalar" (the name of an array in the file).
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.checkpoint.files import INTEGERS, NATIVE, Arrays, Stored
from halfsim.numerics.codec import decode
from halfsim.numerics.formats import Format, Integer, as_dtype, as_format
from halfsim.numerics.inputs import unmasked
from halfsim.numerics.quantize import Array, holder

_ALLOWED = "Tensor, ndarray, int, float, bool, str, bytes, None, list, tuple, set, dict with str or int keys"
_DIGITS = 1024  # bits up to which an integer is written in decimal; Python reads no more than 4300 digits


def pack(value: Any, place: str, arrays: Arrays) -> Any:
    """``value`` as JSON; its arrays go into ``arrays``. ``TypeError`` that names ``place`` for what cannot be kept."""
    kind = type(value)
    if value is None or kind in (bool, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is int:
        return value if value.bit_length() <= _DIGITS else {"integer": hex(value)}
    if kind is float:
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, Tensor):
        return {"tensor": _put(stored(value), place, arrays)}
    if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, np.ma.MaskedArray):
        return {"array" if isinstance(value, np.ndarray) else "scalar": _put(stored(value, place), place, arrays)}
    if kind in (list, tuple):
        items = [pack(item, f"{place}.{i}", arrays) for i, item in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is set:
        return {"set": [pack(item, f"{place}.{i}", arrays) for i, item in enumerate(sorted(value, key=repr))]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if isinstance(value, (Format, Integer)):
        return {"format": kind_of(value) if isinstance(value, Format) else value.name}
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{place}: a key of type {type(key).__name__} is not allowed; allowed: str, int")
        return {"dict": [[key, pack(item, f"{place}.{key}", arrays)] for key, item in value.items()]}
    raise TypeError(f"{place}: {kind.__name__} is not allowed; allowed: {_ALLOWED}")


def _put(array: Stored, place: str, arrays: Arrays) -> str:
    """The name under which ``array`` is kept: its place, if that makes a plain name nobody has."""
    plain = re.fullmatch(r"[\w.-]{1,200}", place, re.ASCII) and place not in arrays
    name = place if plain else f"array-{len(arrays)}"
    while name in arrays:
        name += "-"
    arrays[name] = array
    return name


def stored(value: Any, place: str = "") -> Stored:
    """A tensor or array as a file has it."""
    if isinstance(value, Tensor):
        if isinstance(value.format, Integer):
            return Stored(value.format.name, np.asarray(value.array, order="C"))
        kind = kind_of(value.format)
        if kind in ("float32", "float64"):
            return Stored(kind, np.asarray(value.array, kind, order="C"))
        codes = np.asarray(value.bits(), order="C")
        return Stored(kind, codes.view(np.float16) if kind == "float16" else codes)
    array = np.asarray(unmasked(value, place), order="C")
    if array.dtype.name not in NATIVE:
        raise TypeError(f"{place}: dtype {array.dtype} is not allowed; allowed: {', '.join(NATIVE)}")
    return Stored(array.dtype.name, array.astype(array.dtype.newbyteorder("="), copy=False))


def kind_of(fmt: Format) -> str:
    """The name of a format, with its parameters where the name alone would not find it."""
    return fmt.spelled


def _format(kind: str) -> Format:
    if ":" not in kind or kind.endswith(")"):
        return as_format(kind)
    name, exponent_bits, precision, specials = kind.rsplit(":", 3)  # as it was written until version 0.1
    return Format(name, int(exponent_bits), int(precision), specials)


def as_tensor(given: Stored) -> Tensor:
    """The tensor whose values these are."""
    if given.kind in INTEGERS:
        return Tensor(given.array.copy(), as_dtype(given.kind))
    fmt, array = _format(given.kind), given.array
    if given.kind in ("float32", "float64"):
        return Tensor(array.copy(), fmt)
    codes: Array = array.view(np.uint16) if given.kind == "float16" else array
    with np.errstate(all="ignore"):  # a signaling NaN is quieted
        return Tensor(decode(codes, fmt).astype(holder(fmt)), fmt)


def unpack(node: Any, arrays: Arrays) -> Any:
    """The value that `pack` made ``node`` of; its containers and arrays are new ones."""
    if isinstance(node, list):
        return [unpack(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    ((tag, given),) = node.items()
    if tag == "tensor":
        return as_tensor(arrays[given])
    if tag in ("array", "scalar"):
        return arrays[given].array.copy() if tag == "array" else arrays[given].array[()]
    if tag in ("tuple", "dict"):
        items = [unpack(item, arrays) for item in given]
        return tuple(items) if tag == "tuple" else {key: item for key, item in items}  # noqa: C416
    if tag == "set":
        return {unpack(item, arrays) for item in given}
    if tag in ("bytes", "format"):
        return bytes.fromhex(given) if tag == "bytes" else as_dtype(given) if given in INTEGERS else _format(given)
    return int(given, 16) if tag == "integer" else struct.unpack(">d", bytes.fromhex(given))[0]


def copied(value: Any) -> Any:
    """``value`` with containers, arrays and tensors of its own."""
    if isinstance(value, Tensor):
        return Tensor(value.array, value.format)  # arrays are not written into, but those who share memory change
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return value.copy() if isinstance(value, np.ndarray) else value
