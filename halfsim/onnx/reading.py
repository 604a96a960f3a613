"""A file, bytes or a ModelProto as a model whose parts fit together: versions, functions, data beside the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from halfsim.onnx.package import package
from halfsim.options import shown
from halfsim.text import clipped

OLDEST = 1


def _line(error: BaseException) -> str:
    return clipped(" ".join(str(error).split()), 240) or type(error).__name__


def read(model: Any) -> Any:
    """The ModelProto that ``model`` is: a path, bytes, or one; a file's data beside it is read from its folder alone.

    ``FileNotFoundError`` for a path where nothing is, ``ValueError`` for what is no model, ``TypeError`` for the rest.
    """
    onnx = package()
    if isinstance(model, (bytes, bytearray, memoryview)):
        return _with_data(_parsed(bytes(model), "model"), None)
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        if len(path.name) > 255 or not path.is_file():
            raise FileNotFoundError(f"model: {shown(str(path))} is not there; allowed: the path of an .onnx file")
        return _with_data(_parsed(path.read_bytes(), shown(path.name)), path.parent)
    if isinstance(model, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return _with_data(copy, None)
    raise TypeError(f"model: {shown(model)} is not allowed; allowed: a path, bytes, an onnx.ModelProto")


def _parsed(data: bytes, what: str) -> Any:
    from google.protobuf.message import DecodeError

    model = package().ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RuntimeError, UnicodeDecodeError):
        raise ValueError(f"model: {what} is cut off or no ONNX file; allowed: a whole .onnx file") from None
    if not model.graph.node and not model.graph.output:
        raise ValueError(f"model: {what} has no graph; allowed: a whole .onnx file")
    return model


def _with_data(model: Any, folder: Path | None) -> Any:
    onnx = package()
    helper = onnx.external_data_helper
    outside = [t for t in helper._get_all_tensors(model) if helper.uses_external_data(t)]
    if outside and folder is None:
        raise ValueError(f"model: tensor {outside[0].name!r} lies in a file beside it; allowed: the model's path")
    for tensor in outside:
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        where = (folder or Path()) / location
        inside = where.resolve().is_relative_to((folder or Path()).resolve())
        if not location or Path(location).is_absolute() or not inside or where.is_symlink():
            raise ValueError(
                f"model: tensor {tensor.name!r} asks for {shown(location)}; allowed: files in the model's folder"
            )
        if not where.is_file():
            raise ValueError(f"model: {shown(location)} with tensor {tensor.name!r} is not there; allowed: a file")
    if outside:
        try:
            helper.load_external_data_for_model(model, str(folder))
        except Exception as error:  # the package refuses broken data in many ways
            raise ValueError(f"model: its data beside it cannot be read: {_line(error)}") from None
    return model


def opsets_of(model: Any) -> dict[str, int]:
    """The versions of operators that a model asks for, by domain; ``ValueError`` for those that nobody knows here."""
    newest = package().defs.onnx_opset_version()
    found = {("" if o.domain == "ai.onnx" else o.domain): int(o.version) for o in model.opset_import}
    found.setdefault("", 1 if not found else newest)
    if not OLDEST <= found[""] <= newest:
        raise ValueError(f"opset: {found['']} is not allowed; allowed: {OLDEST} to {newest}")
    return found


def inlined(model: Any) -> Any:
    """The model with its own functions put where they are called; ``ValueError`` for one that calls itself."""
    if not model.functions:
        return model
    calls = {(f.domain, f.name): {(n.domain, n.op_type) for n in f.node} for f in model.functions}
    done: set[tuple[str, str]] = set()
    while len(done) < len(calls):
        ready = {key for key, inner in calls.items() if key not in done and not (inner & calls.keys()) - done}
        if not ready:
            key = sorted(calls.keys() - done)[0]
            raise ValueError(f"function {key[1]!r}: it calls itself; allowed: functions of others")
        done |= ready
    try:
        return package().inliner.inline_local_functions(model)
    except Exception as error:  # of the package's own kind
        raise ValueError(f"functions: {_line(error)}") from None
