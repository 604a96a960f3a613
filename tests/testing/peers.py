"""Other people's formats, as the conformance kit takes them: an encoder and a decoder for each, and its containers.

What is not installed is not there: torch and gfloat are no part of the tests' requirements.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.numerics.blocks import as_block_format
from halfsim.testing import Conformance, conformance

Codec = Callable[[Any], Any]


@dataclass(frozen=True)
class Peer:
    """One format of one library; ``rules`` say what it means to do, where that is not the default."""

    library: str
    name: str
    format: Any
    encode: Codec
    decode: Codec
    containers: tuple[str, ...] = ("float32", "float64")
    rules: dict[str, str] = field(default_factory=dict)

    def found(self, container: str) -> Conformance:
        rules: Any = self.rules
        return conformance(self.encode, self.decode, self.format, container=container, **rules)


def peers() -> Iterator[Peer]:
    """All that are installed."""
    yield Peer(
        "NumPy", "float16", "float16", lambda x: x.astype(np.float16).view(np.uint16), lambda c: c.view(np.float16)
    )
    rows = {
        "ml_dtypes": (_ml_dtypes, _ml_dtypes_blocks),
        "torch": (_torch, _torch_blocks),
        "gfloat": (_gfloat, _gfloat_blocks),
    }
    for library, (numbers, blocks) in rows.items():
        if find_spec(library):
            found = importlib.import_module(library)
            yield from numbers(found)
            yield from blocks(found)


# Block formats: a scale by whatever rule the library has, and its conversion of elements.

_ELEMENTS = ("mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4")  # those of a float type


def _amax(x: Any) -> Any:
    return np.abs(x).max(axis=1, keepdims=True)


def _floor(amax: Any, largest: float) -> Any:
    """The scale in the words of OCP MX 1.0: the power of two of the largest magnitude over that of the element."""
    amax = np.asarray(amax, np.float64)
    exponent = np.frexp(np.where(np.isfinite(amax) & (amax > 0), amax, 1e-300))[1] - np.frexp(largest)[1]
    return np.where(np.isfinite(amax), np.ldexp(1.0, np.clip(exponent, -127, 127)), np.nan)


def _ml_dtypes_blocks(ml_dtypes: Any) -> Iterator[Peer]:
    scales = np.dtype(ml_dtypes.float8_e8m0fnu)
    for name in _ELEMENTS:
        fmt = as_block_format(name)
        dtype = np.dtype(getattr(ml_dtypes, fmt.element.name))

        def nearest(amax: Any, largest: float) -> Any:
            return np.maximum(amax / np.float32(largest), np.float32(2.0**-127)).astype(scales).astype(np.float64)

        for rule, scale in (("floor", _floor), ("nearest", nearest)):

            def encode(x: Any, fmt: Any = fmt, dtype: Any = dtype, scale: Any = scale) -> Any:
                by = scale(_amax(x), fmt.largest)
                elements = np.clip(x / by, -fmt.largest, fmt.largest).astype(np.float32)
                return elements.astype(dtype).view(np.uint8), by.astype(np.float32).astype(scales).view(np.uint8)

            def decode(blocks: Any, dtype: Any = dtype) -> Any:
                codes, by, _ = blocks
                return codes.view(dtype).astype(np.float64) * by.view(scales).astype(np.float64)

            spec = f"{name}(rule={rule})" if rule != "floor" else name
            yield Peer("ml_dtypes", spec, spec, encode, decode, ("float32",))


def _torch_blocks(torch: Any) -> Iterator[Peer]:
    from torch.testing._internal.common_quantized import to_mxfp

    for name, word in (("mxfp8_e4m3", "mxfp8"), ("mxfp4", "mxfp4")):
        element = as_block_format(name).element

        def encode(x: Any, word: str = word) -> Any:
            scales, codes = to_mxfp(torch.from_numpy(x), 32, word)
            found = codes.view(torch.uint8).numpy()
            if word == "mxfp4":
                found = np.stack([found & 15, found >> 4], -1).reshape(x.shape)
            return found, scales.view(torch.uint8).numpy()

        def decode(blocks: Any, element: Any = element) -> Any:
            codes, by, _ = blocks
            values = hs.decode(codes, element)  # PyTorch decodes no 4-bit numbers on a CPU
            if element.bits == 8:
                values = torch.from_numpy(codes).view(torch.float8_e4m3fn).double().numpy()
            return values * torch.from_numpy(by).view(torch.float8_e8m0fnu).double().numpy()

        yield Peer("torch", f"{name}(rule=ceil)", f"{name}(rule=ceil)", encode, decode, ("float32",))


def _gfloat_blocks(gfloat: Any) -> Iterator[Peer]:
    formats = importlib.import_module("gfloat.formats")
    scale_of = importlib.import_module("gfloat.block").compute_scale_amax
    for name in (*_ELEMENTS, "mxint8"):
        info = getattr(formats, f"format_info_{name}{'_e2m1' if name == 'mxfp4' else ''}")

        def encode(x: Any, info: Any = info) -> Any:
            by = np.array([[scale_of(info.etype.emax, row)] for row in x.astype(np.float64)])
            scales = [[gfloat.encode_float(info.stype, float(v))] for (v,) in by]
            rounded = gfloat.round_ndarray(info.etype, x / by, sat=True)
            rounded = np.where(np.isnan(rounded), 0.0, rounded) + (0.0 if info.etype.is_twos_complement else -0.0)
            return gfloat.encode_ndarray(info.etype, rounded).astype(np.int64), np.array(scales)

        def decode(blocks: Any, info: Any = info) -> Any:
            codes, by, _ = blocks
            values, scales = (
                gfloat.decode_ndarray(i, c.astype(np.int64)) for i, c in ((info.etype, codes), (info.stype, by))
            )
            return values * scales

        yield Peer("gfloat", name, name, encode, decode)


def _ml_dtypes(ml_dtypes: Any) -> Iterator[Peer]:
    for name in sorted(dir(ml_dtypes)):
        if name.startswith(("float", "bfloat")):
            dtype: Any = np.dtype(getattr(ml_dtypes, name))
            yield Peer(
                "ml_dtypes",
                name,
                name,
                lambda x, dtype=dtype: x.astype(dtype).view(f"u{dtype.itemsize}"),
                lambda c, dtype=dtype: c.view(dtype).astype(np.float64),
                ("float16", "float32", "float64")
                if hs.float16.contains(hs.formats.as_format(name))
                else ("float32", "float64"),
            )


def _torch(torch: Any) -> Iterator[Peer]:
    names = ("float16", "bfloat16", *hs.formats.TORCH_FLOAT8)
    for name in names:
        dtype = getattr(torch, name)
        word = torch.uint8 if dtype.itemsize == 1 else torch.int16

        def encode(x: Any, dtype: Any = dtype, word: Any = word) -> Any:
            return torch.from_numpy(x).to(dtype).view(word).numpy()

        def decode(c: Any, dtype: Any = dtype) -> Any:
            return (
                torch.from_numpy(c.view(f"{'u' if c.itemsize == 1 else 'i'}{c.itemsize}")).view(dtype).double().numpy()
            )

        rules = {"overflow": "saturate_inf"} if name == "float8_e4m3fn" else {}
        yield Peer("torch", name, name, encode, decode, rules=rules)


# gfloat's names, and what they are called here; of P3109 the two widths of the standard's tables that people use.
_GFLOAT = {
    "binary16": "float16",
    "bfloat16": "bfloat16",
    "ocp_e4m3": "float8_e4m3fn",
    "ocp_e5m2": "float8_e5m2",
    "ocp_e3m2": "float6_e3m2fn",
    "ocp_e2m3": "float6_e2m3fn",
    "ocp_e2m1": "float4_e2m1fn",
    "ocp_e8m0": "float8_e8m0fnu",
}


def _gfloat(gfloat: Any) -> Iterator[Peer]:
    formats = importlib.import_module("gfloat.formats")
    rows = [(name, getattr(formats, f"format_info_{name}"), ours) for name, ours in _GFLOAT.items()]
    for precision in (3, 4):
        info = formats.format_info_p3109(8, precision)
        ours = hs.Format(f"p3109_k8p{precision}", 8 - precision, precision, specials="p3109", bias=info.bias)
        rows.append((f"p3109 k8p{precision}", info, ours))
    for name, info, ours in rows:
        saturates = not hs.formats.as_format(ours).has_special
        yield Peer(
            "gfloat",
            name,
            ours,
            lambda x, info=info, sat=saturates: gfloat.encode_ndarray(info, gfloat.round_ndarray(info, x, sat=sat)),
            lambda c, info=info: gfloat.decode_ndarray(info, c.astype(np.int64)),
        )
