"""A cost as text, and the parts of its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from halfsim.costs.energy import SOURCE, memory
from halfsim.costs.facts import Bill, Facts
from halfsim.costs.recipes import RECIPES
from halfsim.costs.roofline import latency
from halfsim.markup import definitions, table
from halfsim.text import columns, filled, short, si, size

_SHOWN = 16  # layers of the text, those that take longest
_HEAD = ("recipe", "parameters", "gradients", "optimizer", "activations", "peak", "largest batch", "model")
_STEP = ("recipe", "GFLOP", "moved", "time", "most of it", "at least", "energy", "speed", "products at")

TIME = "an estimate (roofline), not a bound"

LEFT_OUT = (
    "memory: the CUDA context and libraries (hundreds of MB), workspaces of cuDNN and cuBLAS, fragmentation, "
    "temporaries of optimizers",
    "time: launches, kernels that stay below the peak, data loading, communication; on the other side caches and "
    "fusion, which save bytes",
    "energy: caches and registers, control, whatever leaks or waits",
)

WORDS = [
    ("activations", "in training what the engine holds for the backward pass, counted; in inference the most that one "
     "operation reads and writes, parameters apart"),
    ("peak", "the most bytes in use at one time: parameters, gradients, optimizer state, and activations with the "
     "gradients on their way through the backward pass"),
    ("largest batch", "whose peak fits into the device's memory"),
    ("model", "how many parameters would fit if there were nothing else"),
    ("time", "an estimate (roofline): each kernel takes its arithmetic at the peak rate or its bytes at the memory's "
     "bandwidth, whichever is longer, one after another; caches and fusion can beat it, most kernels take longer"),
    ("most of it", "what takes most of the time: arithmetic, bandwidth, or kernels that wait for one another"),
    ("at least", "a bound: the products alone, formed directly, at the peak rate"),
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
    for word, lines in (("assumed", assumed(cost)), ("not counted", LEFT_OUT)):
        parts.append("\n".join([f"{word}:", *(filled(line, "- ") for line in lines)]))
    parts.append("\n".join(map(filled, _device(cost))))
    return "\n\n".join(parts)


def body(cost: Facts) -> Iterator[str]:
    """The parts of the page, as HTML."""
    yield f'<h1>What half precision buys</h1><p class="soft">{escape(title(cost))}</p>'
    for name, bills in _both(cost):
        for what, rows in (("memory", _memory(bills)), ("time", _steps(bills)), ("by layer", _layers(bills))):
            heading = f"{name[:1].upper()}{name[1:]}: {what}"
            yield f"<h2>{escape(heading)}</h2>" + table(rows[0], rows[1:], words=1, label=heading)
    for heading, lines in (("What is assumed", assumed(cost)), ("What is left out", LEFT_OUT)):
        yield f"<h2>{heading}</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
    yield "<h2>The device</h2>" + "".join(f"<p>{escape(line)}</p>" for line in _device(cost))
    yield "<h2>What the words mean</h2>" + definitions(WORDS)


def _both(cost: Facts) -> list[tuple[str, list[Bill]]]:
    return [(f"training with {cost.optimizer}", [*cost.training.values()]), ("inference", [*cost.inference.values()])]


def _memory(bills: Sequence[Bill]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_HEAD]
    for b in bills:
        parts = (b.parameters, b.gradients, b.optimizer, b.activations, b.peak)
        batch = "any" if b.largest_batch is None else f"{b.largest_batch:,}" if b.largest_batch else "none fits"
        rows.append((b.recipe, *map(size, parts), batch, short(b.largest_model)))
    return rows


def _steps(bills: Sequence[Bill]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_STEP]
    for b in bills:
        s, first = b.total, bills[0].total.seconds
        speed = f"{first / s.seconds:.2f} x" if s.seconds else "-"
        taken = (
            f"{s.flops / 1e9:.3g}",
            size(s.bytes),
            si(s.seconds, "s"),
            s.bound,
            si(b.least, "s"),
            si(s.joules, "J"),
        )
        rows.append((b.recipe, *taken, speed, f"{s.peak} {s.at / 1e12:.3g}"))
    return rows


def _layers(bills: Sequence[Bill], most: int | None = None) -> list[tuple[str, ...]]:
    """A line a layer, in the order of the model; of more than ``most`` those that take longest, and the others' sum."""
    found = [{layer.path: layer for layer in b.layers} for b in bills]
    paths = list(dict.fromkeys(path for layers in found for path in layers))
    slowest = sorted(paths, key=lambda path: -max(f[path].seconds if path in f else 0.0 for f in found))[:most]
    both = len(bills) <= 3 or most is None  # a terminal is no wider
    rows = [("layer", "GFLOP", *(word for b in bills for word in (b.recipe, "most")[: 1 + both]))]
    for path in paths:
        if path in slowest:
            own = [f.get(path) for f in found]
            flops = max(s.flops for s in own if s is not None)
            cells = [("-", "-") if s is None else (si(s.seconds, "s"), s.bound) for s in own]
            rows.append((path, f"{flops / 1e9:.3g}", *(cell for pair in cells for cell in pair[: 1 + both])))
    rest = [path for path in paths if path not in slowest]
    if rest:
        sums = [sum(f[path].seconds for path in rest if path in f) for f in found]
        rows.append((f"{len(rest)} others", "", *(cell for s in sums for cell in (si(s, "s"), "")[: 1 + both])))
    return rows


def assumed(cost: Facts) -> list[str]:
    """What the numbers rest on besides the counts and the device's figures."""
    bills = [*cost.training.values(), *cost.inference.values()]
    lines = [f"{name}: {RECIPES[name].words}" for name in dict.fromkeys(b.recipe for b in bills)]
    lines.append("kernels go through memory as PyTorch's and cuDNN's do on GPUs, and nothing is kept in a cache")
    kernels = ", ".join(f"{b.recipe} {b.kernels:,}" for b in cost.training.values())
    lines.append(f"kernels of a training step: {kernels}; each is some microseconds more where the device waits for it")
    wait = latency(cost.device)
    if any(step.bound == "latency" for b in bills for step in b.layers):
        lines.append(
            f"a time step of a recurrent layer takes two kernels, {wait * 1e6:g} us each at least, and reads the "
            "recurrent weights again; cuDNN's persistent kernels, which keep them, can be faster"
        )
    kind, byte = memory(cost.device)
    lines.append(f"energy: {SOURCE}; {byte:g} pJ a byte of {kind}, whatever the device's process")
    if "tf32" in cost.device.support and "fp32" in cost.training:
        lines.append("PyTorch runs float32 convolutions and recurrent layers here in TF32 unless told otherwise: "
                     "recipe pytorch")  # fmt: skip
    return lines


def _device(cost: Facts) -> list[str]:
    d = cost.device
    marks = {f.mark for f in (*d.peaks.values(), d.bandwidth, d.memory) if f.mark}
    rest = f"other operations than products at fp32 vector {d.peaks['fp32'].value:g} TFLOP/s"
    lines = [f"{d.name}: {d.bandwidth.value:g} GB/s, {d.memory.value:g} GB; {rest}.", f"Figures: {d.bandwidth.source}."]
    if marks:
        lines.append(f"Marks: {'; '.join(sorted(marks))}.")
    least = "'at least' is one" if d.ceiling else "nor is 'at least': these peaks can be passed"
    lines.append(f"Time is {TIME}; {least}. 'products at' is in TFLOP/s.")
    return lines
