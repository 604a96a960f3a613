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
    for library, found in (("ml_dtypes", _ml_dtypes), ("torch", _torch), ("gfloat", _gfloat)):
        if find_spec(library):
            yield from found(importlib.import_module(library))


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
