"""A cost as text, and the parts of its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from halfsim.costs.facts import Bill, Facts
from halfsim.markup import definitions, table
from halfsim.text import columns, filled, short, si, size

_SHOWN = 16  # layers of the text, those that take longest
_HEAD = ("recipe", "parameters", "gradients", "optimizer", "activations", "together", "largest batch", "model")
_STEP = ("recipe", "GFLOP", "moved", "time", "bound by", "energy", "speed", "products at (TFLOP/s)")

WORDS = [
    ("activations", "in training what the engine holds for the backward pass, counted; in inference the most that one "
     "operation reads and writes, parameters apart"),
    ("largest batch", "that fits into the device's memory beside parameters, gradients and optimizer state"),
    ("model", "how many parameters would fit if there were nothing else"),
    ("time", "a lower bound (roofline): each operation takes its arithmetic at the peak rate or its bytes at the "
     "memory's bandwidth, whichever is longer; nothing is kept in a cache, no kernel waits for its launch"),
    ("energy", "of arithmetic and memory on a 45 nm process (Horowitz 2014); newer processes take a fraction of it, "
     "in other proportions"),
    ("speed", "against the first recipe"),
]  # fmt: skip


def title(cost: Facts) -> str:
    """What is priced, where."""
    return f"{cost.model}; {cost.parameters:,} parameters; batch {cost.batch:,}; {cost.device.name}"


def text(cost: Facts) -> str:
    """Tables for a terminal."""
    parts = [filled(title(cost))]
    for name, bills in _both(cost):
        parts += [f"{name}: memory", columns(_memory(bills)), f"{name}: time", columns(_steps(bills), left=1)]
        if name.startswith("training"):
            parts += [f"{name}: by layer", columns(_layers(bills, _SHOWN))]
    parts.append("\n".join(map(filled, _notes(cost))))
    return "\n\n".join(parts)


def body(cost: Facts) -> Iterator[str]:
    """The parts of the page, as HTML."""
    yield f'<h1>What half precision buys</h1><p class="soft">{escape(title(cost))}</p>'
    for name, bills in _both(cost):
        for what, rows in (("memory", _memory(bills)), ("time", _steps(bills)), ("by layer", _layers(bills))):
            heading = f"{name[:1].upper()}{name[1:]}: {what}"
            yield f"<h2>{escape(heading)}</h2>" + table(rows[0], rows[1:], words=1, label=heading)
    yield "<h2>The device</h2>" + "".join(f"<p>{escape(line)}</p>" for line in _notes(cost))
    yield "<h2>What the words mean</h2>" + definitions(WORDS)


def _both(cost: Facts) -> list[tuple[str, list[Bill]]]:
    return [(f"training with {cost.optimizer}", [*cost.training.values()]), ("inference", [*cost.inference.values()])]


def _memory(bills: Sequence[Bill]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_HEAD]
    for b in bills:
        parts = (b.parameters, b.gradients, b.optimizer, b.activations, b.bytes)
        batch = "any" if b.largest_batch is None else f"{b.largest_batch:,}" if b.largest_batch else "none fits"
        rows.append((b.recipe, *map(size, parts), batch, short(b.largest_model)))
    return rows


def _steps(bills: Sequence[Bill]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_STEP]
    for b in bills:
        s, first = b.total, bills[0].total.seconds
        speed = f"{first / s.seconds:.2f} x" if s.seconds else "-"
        taken = (f"{s.flops / 1e9:.3g}", size(s.bytes), si(s.seconds, "s"), s.bound, si(s.joules, "J"))
        rows.append((b.recipe, *taken, speed, f"{s.peak} {s.at / 1e12:.3g}"))
    return rows


def _layers(bills: Sequence[Bill], most: int | None = None) -> list[tuple[str, ...]]:
    """A line a layer, in the order of the model; of more than ``most`` those that take longest, and the others' sum."""
    found = [{layer.path: layer for layer in b.layers} for b in bills]
    paths = list(dict.fromkeys(path for layers in found for path in layers))
    slowest = sorted(paths, key=lambda path: -max(f[path].seconds if path in f else 0.0 for f in found))[:most]
    rows = [("layer", "GFLOP", *(word for b in bills for word in (b.recipe, "bound")))]
    for path in paths:
        if path in slowest:
            own = [f.get(path) for f in found]
            flops = max(s.flops for s in own if s is not None)
            cells = [("-", "-") if s is None else (si(s.seconds, "s"), s.bound) for s in own]
            rows.append((path, f"{flops / 1e9:.3g}", *(cell for pair in cells for cell in pair)))
    rest = [path for path in paths if path not in slowest]
    if rest:
        sums = [sum(f[path].seconds for path in rest if path in f) for f in found]
        rows.append((f"{len(rest)} others", "", *(cell for s in sums for cell in (si(s, "s"), ""))))
    return rows


def _notes(cost: Facts) -> list[str]:
    d = cost.device
    marks = {f.mark for f in (*d.peaks.values(), d.bandwidth, d.memory) if f.mark}
    rest = f"other operations than products at fp32 vector {d.peaks['fp32'].value:g} TFLOP/s"
    lines = [f"{d.name}: {d.bandwidth.value:g} GB/s, {d.memory.value:g} GB; {rest}.", f"Figures: {d.bandwidth.source}."]
    if marks:
        lines.append(f"Marks: {'; '.join(sorted(marks))}.")
    lines.append("Time is a lower bound (roofline). Energy: Horowitz 2014, 45 nm.")
    return lines
