"""Models written to files: whole or not at all, held to onnxruntime first where it is installed."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halfsim.atomic import replacing
from halfsim.card import Record
from halfsim.onnx.conversion.outcome import error_of
from halfsim.onnx.graph import Graph
from halfsim.onnx.model import Model, load
from halfsim.onnx.package import package
from halfsim.onnx.values import FLOAT16, NUMBERS
from halfsim.text import clipped

LARGEST = 2**31 - 2**20  # bytes of a file: protobuf holds less than 2 GiB
_SMALL = 1024  # bytes of tensors that stay in the file, with those that give shapes
_UNSHAPED = "Field 'shape' of 'type' is required"  # of inputs and outputs; runtimes do without
_CPU = ["CPUExecutionProvider"]
_HALVES = (FLOAT16, NUMBERS["bfloat16"])
_LISTS = ("Sequence", "SplitToSequence", "Optional")  # operators that may make sequences, which Identity may not take


@dataclass(frozen=True)
class Held(Record):
    """What onnxruntime made of a model: which version, how far its outputs are from ours, and that in words.

    ``error`` is the largest of the outputs' errors, each the norm of the difference by the norm of the output; None if
    it did not run.
    """

    runtime: str
    error: float | None
    words: str


def save(
    model: Any, path: str | os.PathLike[str], feeds: Mapping[str, Any] | None = None,
    tolerance: float = 0.05, external: bool = False, least: float = 0.0,
) -> Held | None:  # fmt: skip
    """Write a model, checked first: by onnx's checker, then by onnxruntime if it is installed; None if it is not.

    With ``feeds`` onnxruntime runs it, see `held`. Weights go into a file beside it if ``external``, and if it would be
    too large for one file. ``ValueError`` in one line, and nothing written, for a model that the checker or onnxruntime
    refuses, and for outputs further than ``tolerance`` from ours, of which those smaller than ``least`` are measured
    against that; ``OSError`` where it cannot be written.
    """
    onnx, target = package(), Path(path)
    outside = external or model.ByteSize() > LARGEST
    if not outside:
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            if _UNSHAPED not in str(error):
                raise ValueError(f"model: onnx refuses it: {_line(error)}") from None
    found = held(model, feeds, least) if not outside or model.ByteSize() <= LARGEST else None
    if found is not None and found.error is not None and not found.error <= tolerance:
        raise ValueError(f"model: {found.words}; allowed: {tolerance:g}")
    if not outside:
        with replacing(target) as file:
            file.write(model.SerializeToString())
        return found
    _with_data_beside(model, target)
    return found


def _with_data_beside(model: Any, target: Path) -> None:
    """Write a model with its weights in a file beside it, which a name of its own keeps apart from that of before."""
    onnx, whole = package(), type(model)()
    whole.CopyFrom(model)
    tensors = [t for t in onnx.external_data_helper._get_all_tensors(whole) if len(t.raw_data) >= _SMALL]
    sums = hashlib.sha256()
    for tensor in tensors:
        sums.update(tensor.raw_data)
    beside = target.with_name(f"{target.name}.{sums.hexdigest()[:12]}.data")
    stale = {*target.parent.glob(f"{glob.escape(target.name)}.{'[0-9a-f]' * 12}.data")} - {beside}
    with replacing(beside) as file:
        for tensor in tensors:
            onnx.external_data_helper.set_external_data(
                tensor, beside.name, offset=file.tell(), length=len(tensor.raw_data)
            )
            file.write(tensor.raw_data)
            tensor.ClearField("raw_data")
    with replacing(target) as file:
        file.write(whole.SerializeToString())
    for old in stale:  # of the file that was replaced
        with suppress(OSError):
            old.unlink()


def held(model: Any, feeds: Mapping[str, Any] | None, least: float = 0.0) -> Held | None:
    """Load a model in onnxruntime, run it on ``feeds`` and compare; None where onnxruntime is not installed.

    Its kernels for the CPU are those of float32 with casts around them, and casts between two of them are left out:
    what a half cannot hold goes through. Two Identities behind every half tensor make it store them. ``ValueError`` for
    a model that it refuses.
    """
    try:
        import onnxruntime as runtime  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        return None
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    name = f"onnxruntime {runtime.__version__}"
    loaded = load(model)
    try:
        usual = runtime.SessionOptions()
        usual.log_severity_level = 4
        plain = runtime.InferenceSession(model.SerializeToString(), usual, providers=_CPU)
        if feeds is None:
            return Held(name, None, f"{name} loads it")
        plain.run(None, dict(feeds))
        session = runtime.InferenceSession(storing(model, loaded).SerializeToString(), options, providers=_CPU)
        theirs = session.run(None, dict(feeds))
    except Exception as error:  # of onnxruntime's own kinds
        if "NotImplemented" in type(error).__name__:
            return Held(name, None, f"{name} has no kernels for it on the CPU: {_line(error)}")
        raise ValueError(f"model: {name} refuses it: {_line(error)}") from None
    far = max((_far(x, y, least) for x, y in zip(loaded.run(None, feeds), theirs, strict=True)), default=0.0)
    return Held(name, far, f"{name} runs it, its outputs at most {far:.0e} of their norm from ours")


def _far(ours: Any, theirs: Any, least: float = 0.0) -> float:
    """The error of an output, see `error_of`; of a sequence the largest, of what is not float 1 where it differs."""
    if isinstance(ours, list):
        return max((_far(x, y, least) for x, y in zip(ours, theirs, strict=True)), default=0.0)
    if ours is None or ours.dtype.kind not in "fV" or ours.dtype.names:
        return float(not np.array_equal(ours, theirs))
    return error_of(ours, theirs, least)


def storing(model: Any, loaded: Model) -> Any:
    """The model with two Identities behind every half tensor, so that a runtime without half kernels stores it."""
    whole = type(model)()
    whole.CopyFrom(model)
    halves: set[str] = set()

    def gather(graph: Graph) -> None:
        for step in graph.steps:
            operator = step.operator
            if not operator.key[1].startswith(_LISTS):
                halves.update(n for n, e in zip(step.outputs, operator.elements, strict=True) if n and e in _HALVES)
            for inner in operator.graphs.values():
                gather(inner)

    gather(loaded.graph)
    _apart(whole.graph, halves)
    return whole


def _apart(graph: Any, halves: set[str]) -> None:
    nodes, make = [*graph.node], package().helper.make_node
    graph.ClearField("node")
    for node in nodes:
        names = [name for name in node.output if name in halves]
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                _apart(attribute.g, halves)
        for i, name in enumerate(node.output):
            node.output[i] = f"{name}/made" if name in halves else name
        graph.node.append(node)
        for name in names:
            graph.node.append(make("Identity", [f"{name}/made"], [f"{name}/kept"]))
            graph.node.append(make("Identity", [f"{name}/kept"], [name]))


def _line(error: BaseException) -> str:
    return clipped(" ".join(str(error).split()), 240) or type(error).__name__
