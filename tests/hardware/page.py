"""The tables of docs/hardware.md that the catalogue makes: ``python -m tests.hardware.page [--write]``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from halfsim.hardware import Device, devices
from halfsim.hardware.catalogue import DOCUMENTS
from halfsim.hardware.devices import Figure

PAGE = Path(__file__).parents[2] / "docs" / "hardware.md"
_KEYS = {document: key for key, document in DOCUMENTS.items()}
_SIGNS = {"*": "\\*", '"': '"', "?": "?", "": ""}
_MEMORY = 1e9 / 2**30


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    rows = [list(head), *map(list, lines)]
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def shown(figure: Figure | None, scale: float = 1.0) -> str:
    """A figure with the sign of its mark."""
    return "-" if figure is None else f"{figure.value * scale:.5g}{_SIGNS[figure.sign]}"


def ratio(d: Device) -> float | None:
    """How much faster the matrix units take float16 than the vector units float32."""
    return None if {"fp32", "fp16 matrix"} - set(d.peaks) else d.peaks["fp16 matrix"].value / d.peaks["fp32"].value


def catalogue() -> str:
    """A line a device: the figures that are asked for most, the evidence of the arithmetic."""
    lines = []
    for d in devices():
        peaks = [shown(d.peaks.get(key)) for key in ("fp32", "fp16", "fp16 matrix")]
        times = ratio(d)
        kinds = ", ".join(f"{fmt} {'converted' if kind == 'convert' else kind}" for fmt, kind in d.support.items())
        name = f"{d.name} ({d.product})" if d.product else d.name
        lines.append((name, str(d.year), kinds, *peaks, "-" if times is None else f"{times:.3g}", shown(d.bandwidth),
                      shown(d.memory, _MEMORY), d.evidence))  # fmt: skip
    head = ("device", "year", "in half precision", "fp32", "fp16 vector", "fp16 matrix", "matrix / fp32", "GB/s", "GiB",
            "evidence of the arithmetic")  # fmt: skip
    return table(head, lines)


def ratios() -> str:
    """One sentence: by how much matrix units are faster."""
    groups: dict[str, list[str]] = {}
    for d in devices():
        times = ratio(d)
        if times is not None and d.units:
            groups.setdefault(f"{times:.2g}", []).append(d.name)
    told = [f"{times} times on {', '.join(groups[times])}" for times in sorted(groups, key=float)]
    return f"The catalogue's figures make it {'; '.join(told)}."


def sources() -> str:
    """A line a device: every figure with its documents and its mark."""
    lines = []
    for d in devices():
        groups: dict[tuple[str, str], list[str]] = {}
        for name, figure in d.figures.items():
            keys = ", ".join(f"[{_KEYS[document]}](#{_KEYS[document]})" for document in figure.documents)
            text = figure.stated or f"{figure.value:.6g}{figure.unit and f' {figure.unit}'}"
            groups.setdefault((keys, figure.mark), []).append(f"{name} {text}")
        told = [f"{', '.join(names)}: {keys}{mark and f' (*{mark}*)'}" for (keys, mark), names in groups.items()]
        lines.append((d.name, "; ".join(told).replace("*", "\\*").replace("(\\*", "(*").replace("\\*)", "*)")))
    return table(("device", "figures and where they stand"), lines)


def documents() -> str:
    """The documents, each with the anchor that the figures point to."""
    read = {"text": "read", "quoted": "read as quoted", "": "not re-read"}
    lines = [(f'<a id="{key}"></a>{key}', f"{d.publisher}: {d.title}", d.edition, read[d.read],
              f"<{d.url}>" if d.url else "-") for key, d in DOCUMENTS.items()]  # fmt: skip
    return table(("", "document", "edition", "here", "where"), lines)


PARTS = {"ratios": ratios, "catalogue": catalogue, "sources": sources, "documents": documents}


def filled(page: str) -> str:
    """``page`` with every part between its marks made anew."""
    for name, part in PARTS.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = page.split(start)
        page = f"{before}{start}\n\n{part()}\n\n{end}{rest.split(end)[1]}"
    return page


if __name__ == "__main__":
    made = filled(PAGE.read_text(encoding="utf-8"))
    if "--write" in sys.argv:
        PAGE.write_text(made, encoding="utf-8")
    else:
        print(made)
