"""The OCR model that went blind, in numbers and pictures, for docs/onnx_ocr.md.

HALFSIM_ONNX_WHEELS=FOLDER PYTHONPATH=$PWD python -m tests.onnx.story            prints the numbers
HALFSIM_ONNX_WHEELS=FOLDER PYTHONPATH=$PWD python -m tests.onnx.story --write    and puts them and the pictures there

It takes the wheel rapidocr_onnxruntime 1.4.4, onnxruntime, and onnxconverter-common for the converters' lines.
"""

from __future__ import annotations

import argparse
import inspect
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.onnx.conversion.lists import block_lists
from halfsim.onnx.conversion.mixed import mixed
from halfsim.onnx.conversion.saving import storing
from tests import marks
from tests.onnx.making import by_onnxruntime, onnx
from tests.onnx.wheels import page, read

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURES = DOCS / "onnx_ocr.md", DOCS / "onnx_ocr"
TENSOR, NODE = "batch_norm_0.w_2", "p2o.BatchNormalization.1"
SURE = 0.3  # the score from which RapidOCR takes a point for text


def model() -> Any:
    return onnx.load_model_from_string(read("ch_PP-OCRv4_det_infer"))


def mask(proto: Any) -> Any:
    """Where onnxruntime's CPU finds text on the page."""
    return by_onnxruntime(proto, {"x": page()})[0][0, 0] > SURE


def stored_mask(proto: Any) -> Any:
    """The same where every half tensor is stored as half, as on a GPU."""
    return by_onnxruntime(storing(proto, hs.onnx.load(proto)), {"x": page()}, optimized=False)[0][0, 0] > SURE


def overlap(found: Any, wanted: Any) -> float:
    """Points in both masks by points in either (IoU)."""
    return float((found & wanted).sum() / max(1, (found | wanted).sum()))


# Pictures.


def png(pixels: Any) -> bytes:
    """An array (height, width, 3) of uint8 as a PNG file."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def drawn(found: Any = None) -> Any:
    """The page; where text was found in colour, the rest faint."""
    ink = np.repeat(((page()[0, 0] + 1) / 2)[..., None], 3, 2)
    if found is not None:
        colour = np.array([1.0, 0.62, 0.1])
        ink = np.where(found[..., None], ink * colour, 0.6 + 0.4 * ink)
    return (ink * 255).round().astype(np.uint8)


def pictures() -> Iterator[tuple[str, bytes]]:
    proto = model()
    yield "page", png(drawn())
    yield "float32", png(drawn(mask(proto)))
    yield "half", png(drawn(stored_mask(mixed(proto))))
    yield "kept", png(drawn(stored_mask(mixed(proto, (), [TENSOR]))))


# Numbers.


def tensor() -> str:
    """What the 24 numbers are, and what conversion makes of them."""
    values = hs.onnx.load(model()).get_parameter(TENSOR).numpy()
    whole = sum(p.size for p in hs.onnx.load(model()).parameters())
    return (
        f"The file has {whole:,} weights. {values.size} of them are the tensor `{TENSOR}`, a running variance: they "
        f"lie between {values.min():,.0f} and {values.max():,.0f}. The largest number of float16 is "
        f"{hs.float16.max:,.0f}. So all {int((values > hs.float16.max).sum())} become infinite."
    )


def blindness() -> str:
    """What that does to the node that divides by their root."""

    def spread(proto: Any) -> float:
        made: list[Any] = []
        m = hs.onnx.load(proto)
        m.get_submodule(NODE).register_forward_hook(lambda part, given, out: made.append(out[0].numpy()))
        m.run(None, {"x": page()})
        return float(np.asarray(made[0], np.float64).std((0, 2, 3)).max())

    wide, narrow = spread(model()), spread(mixed(model()))
    return (
        f"In float32 the results of a channel of `{NODE}` differ from place to place with a standard deviation of up "
        f"to {wide:.2f}. In half it is {narrow:.0f} in every channel: the network sees the same everywhere."
    )


def converters() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Files that other programs make of the model."""
    names = block_lists(model(), (), [TENSOR])["node_block_list"]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("", {}), (", BatchNormalization blocked", {"op_block_list": ["BatchNormalization"]}),
        (f", `{NODE}` blocked", {"node_block_list": names}),
    ]  # fmt: skip
    from onnxruntime.transformers import float16 as first  # type: ignore[import-untyped, unused-ignore]

    tools = [(f"onnxruntime.transformers {version('onnxruntime')}", first)]
    try:
        from onnxconverter_common import float16 as second  # type: ignore[import-not-found, unused-ignore]

        tools.append((f"onnxconverter-common {version('onnxconverter-common')}", second))
    except ImportError:
        print("onnxconverter-common is not installed; its lines are left out", file=sys.stderr)
    for name, tool in tools:
        largest = inspect.signature(tool.convert_float_to_float16).parameters["max_finite_val"].default
        name = f"{name}, which clips to {largest:,.0f}"
        for words, options in asked:
            if "op_block_list" in options:
                options = {"op_block_list": [*tool.DEFAULT_OP_BLOCK_LIST, *options["op_block_list"]]}
            yield f"{name}{words}", partial(tool.convert_float_to_float16, model(), keep_io_types=True, **options)


def table() -> str:
    """Every file: how large it is, how much of the page it marks, how far that overlaps with what float32 marks."""
    proto = model()
    wanted, size = mask(proto), proto.ByteSize()
    lines = ["| file | bytes | halves | marked as text | overlap |", "| --- " * 5 + "|"]

    def line(name: str, made: Any, halves: str, found: Any) -> str:
        share = f"{made.ByteSize() / size:.1%} | {halves} | {found.mean():.1%}".replace("%", " %")
        return f"| {name} | {share} | {overlap(found, wanted):.3f} |"

    lines.append(line("float32, as it is shipped", proto, "none", wanted))
    for name, kept in (("all in half", []), (f"all in half but `{TENSOR}`", [TENSOR])):
        made = mixed(proto, (), kept)
        lines.append(line(name, made, "stored", stored_mask(made)))
        lines.append(line(name, made, "passed on", mask(made)))
    for name, convert in converters():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = convert()
        lines.append(line(name, made, "passed on", mask(made)))
    return "\n".join(lines)


def audit() -> str:
    """What `halfsim audit` prints first."""
    found = hs.onnx.audit(model(), {"x": page()})
    return f"{str(found).strip().split(chr(10) * 2)[0]}\n\n{found.verdict()}"


def saved() -> str:
    """What `--save` writes and checks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mixed.onnx"
        found = hs.onnx.audit(model(), {"x": page()})
        found.save(path)
        same = overlap(mask(path.read_bytes()), mask(model()))
        return f"The file has {path.stat().st_size:,} bytes of {model().ByteSize():,}. Its mask overlaps by {same:.3f}."


BLOCKS: dict[str, Callable[[], str]] = {
    "tensor": tensor, "blindness": blindness, "table": table,
    "audit": lambda: f"```text\n{audit()}\n```", "saved": saved,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.onnx.story", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put numbers and pictures into docs/")
    asked = parser.parse_args()
    for mark, block in BLOCKS.items():
        text = block()
        print(f"{text}\n")
        if asked.write:
            marks.put(PAGE, mark, f"\n{text}\n\n")
    if asked.write:
        PICTURES.mkdir(exist_ok=True)
        for name, data in pictures():
            (PICTURES / f"{name}.png").write_bytes(data)


if __name__ == "__main__":
    main()
