"""What an audit found: printed, as a page, as JSON, and as the file in mixed precision that follows from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from typing import Any

from halfsim.autograd.policy import Policy
from halfsim.card import Record, Text
from halfsim.diagnose.finding import Finding
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Block, Figure, definitions, sections
from halfsim.nn.conversion import Conversion
from halfsim.onnx.conversion.evidence import NodeRow
from halfsim.onnx.conversion.lists import block_lists
from halfsim.onnx.conversion.mixed import mixed
from halfsim.onnx.conversion.outcome import Tried, least
from halfsim.onnx.conversion.priced import Price
from halfsim.onnx.conversion.saving import Held, save
from halfsim.text import columns, counted, filled, number, percent, si, size

_SHOWN = 12  # lines of a printed table


@dataclass(frozen=True)
class OutputRow(Record):
    """One output: how far it is off with everything in the target, and with what is kept; and how far it may be.

    ``tolerance`` is None where a function of the caller's judges.
    """

    name: str
    narrow: float
    mixed: float
    tolerance: float | None


@dataclass(frozen=True)
class Audit(Document):
    """What `halfsim.onnx.audit` found: ``keep`` names what must stay in float32, tensors and nodes, worst first.

    ``found`` is false where no such set was found; ``complete`` where the tries ran out before the smallest one was.
    ``keep_nodes`` and ``keep_tensors`` are its two kinds, ``policy`` what `halfsim.precision` takes to run it so.
    ``weights`` says what storing does to each tensor, ``nodes`` what each node did, ``outputs`` how far each output is
    off, ``without`` what happens where one name is left out, ``tries`` all that was tried. ``bytes`` are those of the
    weights in the file, ``bytes_mixed`` with what is kept, ``costs`` those on a device, if one was asked for.
    """

    title = "halfsim: what half precision does to this model"

    target: str
    samples: int
    broken: int
    found: bool
    complete: bool
    keep: tuple[str, ...]
    keep_nodes: tuple[str, ...]
    keep_tensors: tuple[str, ...]
    policy: Policy
    outputs: tuple[OutputRow, ...]
    weights: Conversion = field(repr=False)
    nodes: tuple[NodeRow, ...] = field(repr=False)
    without: Mapping[str, Tried] = field(repr=False)
    tries: tuple[Tried, ...] = field(repr=False)
    bytes: int
    bytes_mixed: int
    costs: tuple[Price, ...]
    notes: tuple[str, ...]
    _verdict: Finding = field(repr=False)
    _proto: Any = field(repr=False, compare=False)
    _feeds: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def healthy(self) -> bool:
        """Whether all of the model may be in the target."""
        return self.found and not self.keep

    @property
    def bytes_saved(self) -> int:
        """Bytes of weights that the file with what is kept has less than the file as it is."""
        return self.bytes - self.bytes_mixed

    def verdict(self) -> Finding:
        """What must stay in float32 and why, or that nothing must; its place is that of the first name in ``keep``."""
        return self._verdict

    def table(self) -> str:
        """One line a node, the worst first: what overflowed, was flushed, cancelled, and the errors."""
        return Text(columns(_node_table(self.nodes), left=2))

    def save(self, path: str | os.PathLike[str], check: bool = True) -> Held | None:
        """Write the model in mixed precision, with what is in ``keep`` in float32, whole or not at all.

        Inputs and outputs keep their names and types. Where onnxruntime is installed it runs the file on the last
        sample first, and what came of that is returned; without ``check`` it only loads it. ``ValueError`` where
        nothing was found to keep that is enough, and where onnxruntime refuses the file or makes something else of it.
        """
        if not self.found:
            raise ValueError("save: no mixed precision was found to hold; allowed: an audit that has found=True")
        return save(
            mixed(self._proto, self.keep_nodes, self.keep_tensors, self._target), path, self._feeds if check else None,
            least=least(self.weights.format),
        )  # fmt: skip

    def block_list(self) -> dict[str, list[str]]:
        """What to keep in the words of other tools: ``op_block_list``, ``node_block_list``, ``nodes_to_exclude``.

        These go with onnxconverter-common and onnxruntime.transformers, and with onnxruntime's quantization, Olive and
        ModelOpt. They keep nodes: where a tensor is to be kept, those that read it. Weights that stand in nodes
        ``Constant`` they convert all the same; the file that `save` writes does not.
        """
        return block_lists(self._proto, self.keep_nodes, self.keep_tensors, self._target)

    @property
    def _target(self) -> Any:
        return self.weights.format.name

    # Words.

    def __str__(self) -> str:
        blocks = [filled(self._story(), whole=True), str(self.verdict()), columns(_output_table(self.outputs))]
        if len(self._proof()) > 1:
            blocks.append(columns(self._proof()[: _SHOWN + 1], left=2))
        blocks.append(str(self.weights))
        shown = _node_table([row for row in self.nodes if _grave(row)][:_SHOWN])
        if len(shown) > 1:
            blocks.append(columns(shown, left=2))
        if self.costs:
            blocks.append(columns(_cost_table(self.costs)))
        return "\n\n".join([*blocks, *(filled(note) for note in self.notes)])

    def _story(self) -> str:
        many = counted(self.samples, "sample")
        if not self.found:
            text = f"No set of names was found with which the outputs hold on {many}."
        elif not self.keep:
            text = f"Everything can run in {self.target}: the outputs hold on {many}."
        else:
            kept = f"Keep {', '.join(self.keep)} in float32"
            text = f"{kept}; the rest runs in {self.target}, and the outputs hold on {many}."
        if not self.complete:
            text += " The tries ran out: it may be possible to keep less."
        share = percent(self.bytes_saved, self.bytes)
        return f"{text} Weights: {size(self.bytes)}, then {size(self.bytes_mixed)} ({share} saved)."

    def _proof(self) -> list[tuple[str, ...]]:
        """What happens where one of those kept is left out: a head, and a line for each."""
        rows = ((name, one.reason) for name, one in self.without.items())
        return [("without it", "what happens"), *rows]

    def _weights_table(self) -> list[tuple[str, ...]]:
        rows = self.weights
        head = ("tensor", "values", rows.past, "to zero", "to subnormal", "relative error")
        ranked = [*rows.worst(), *sorted((r for r in rows.rows if not r.lost), key=lambda r: -r.largest_relative_error)]
        lines = (
            (r.name, *(Figure(f"{n:,}", n) for n in (r.size, r.to_infinity, r.to_zero, r.to_subnormal)),
             Figure(f"{r.largest_relative_error:.2g}", r.largest_relative_error))
            for r in ranked
        )  # fmt: skip
        return [head, *lines]

    def _body(self) -> Iterator[str]:
        found = self.verdict()
        yield definitions([("verdict", self._story()), ("why", str(found))])
        blocks: list[tuple[str, Block]] = [("Outputs", _output_table(self.outputs))]
        if len(self._proof()) > 1:
            blocks.append(("What happens without", self._proof()))
        if self.costs:
            blocks.append((f"On {self.costs[0].device}", _cost_table(self.costs)))
        blocks += [("Weights", self._weights_table()), ("Nodes", _node_table(self.nodes)), ("Tries", self._tries())]
        yield from sections([*blocks, *(("", note) for note in self.notes)])

    def _tries(self) -> list[tuple[str, ...]]:
        head = ("try", "kept in float32", "outcome", "error")
        lines = (
            (Figure(f"{i}", i), _few(one.kept), one.reason or "the outputs hold", _figure(one.worst[1]))
            for i, one in enumerate(self.tries, 1)
        )
        return [head, *lines]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; numbers that are not finite are strings."""
        return jsonable({
            "schema": 1, "kind": "onnx audit", **attributes(self, "_verdict", "_proto", "_feeds", "weights"),
            "policy": str(self.policy), "keep": list(self.keep), "healthy": self.healthy,
            "bytes_saved": self.bytes_saved, "verdict": self._verdict.to_dict(),
            "weights": {"format": self.weights.format.name, "rows": [asdict(row) for row in self.weights.rows]},
            "nodes": [asdict(row) for row in self.nodes], "outputs": [asdict(row) for row in self.outputs],
            "costs": [asdict(row) for row in self.costs], "tries": [one.to_dict() for one in self.tries],
            "without": {name: one.to_dict() for name, one in self.without.items()},
        })  # fmt: skip


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4]) or "-"
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _figure(x: float | None) -> Figure:
    return Figure("-" if x is None else number(x), x)


def _output_table(rows: Sequence[OutputRow]) -> list[tuple[str, ...]]:
    head = ("output", "error in the target", "error with what is kept", "allowed")
    return [head, *((r.name, _figure(r.narrow), _figure(r.mixed), _figure(r.tolerance)) for r in rows)]


def _cost_table(rows: Sequence[Price]) -> list[tuple[str, ...]]:
    head = ("on the device", "time", "traffic", "energy", "bound by")
    lines = ((r.variant, Figure(si(r.seconds, "s"), r.seconds), Figure(size(r.bytes), r.bytes),
              Figure(si(r.joules, "J"), r.joules), r.bound) for r in rows)  # fmt: skip
    return [head, *lines]


def _grave(row: NodeRow) -> bool:
    return bool(row.overflow or row.kept or row.flushed or row.cancelled)


def _node_table(rows: Sequence[NodeRow]) -> list[tuple[str, ...]]:
    head = ("node", "operator", "largest", "overflow", "flushed", "cancelled", "made here", "come together", "float32")
    ranked = sorted(rows, key=lambda r: (-bool(r.kept in ("node", "tensor")), -r.overflow, -_size(r.made)))
    lines = (
        (
            r.path, r.op_type, _figure(r.largest), Figure(f"{r.overflow:,}", r.overflow),
            Figure(percent(r.flushed, r.nonzero), r.flushed / r.nonzero if r.nonzero else 0.0),
            Figure(f"{r.cancelled:,}", r.cancelled), _figure(r.made), _figure(r.total), Figure(r.kept, None),
        )
        for r in ranked
    )  # fmt: skip
    return [head, *lines]


def _size(x: float) -> float:
    return x if isfinite(x) else inf
