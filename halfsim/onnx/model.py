"""A model of a file as a module: its nodes are its parts, its weights its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.making import foreign, tensor
from halfsim.autograd.scope import no_grad
from halfsim.autograd.tensor import Tensor
from halfsim.nn.module import Module
from halfsim.numerics.formats import Format, Integer
from halfsim.onnx.build import Builder
from halfsim.onnx.elements import declared
from halfsim.onnx.graph import Graph
from halfsim.onnx.operators.shape import as_tensor
from halfsim.onnx.reading import inlined, opsets_of, read
from halfsim.onnx.values import FORMATS, STRING, WORDS, as_array, as_value, dtype_of
from halfsim.options import shown

__all__ = ["Model", "load"]


class Model(Module):
    """A model of an ONNX file, made by `halfsim.onnx.load`; it is called as any module, or as onnxruntime's session.

    ``model(x)`` takes its inputs in their order or by name, and gives its output, or a tuple of several, as tensors.
    A node's path is its name in the file; unnamed nodes and doubled names are numbered. Floating-point weights,
    constants of the graph included, are parameters under their names in the file, integers of initializers buffers.
    """

    graph: Graph

    def __init__(self, proto: Any) -> None:
        super().__init__()
        builder = Builder(opsets_of(proto), self)
        self.graph = builder.graph(inlined(proto).graph, {})
        builder.refuse()
        self._types = {i.name: i.type for i in proto.graph.input}
        self._name_parts("")

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs that have to be given."""
        return [name for name in self.graph.inputs if name not in self._given()]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        return list(self.graph.outputs)

    def _given(self) -> set[str]:
        """The inputs that have a value in the file."""
        return {*self.graph.constants, *self.graph.learned}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output, or a tuple of several, for inputs in their order or by name."""
        names = self.input_names
        if len(args) > len(names):
            raise TypeError(f"inputs: {len(args)} are too many; allowed: {', '.join(names) or 'none'}")
        feeds = dict(zip(names, args, strict=False))
        for name in kwargs:
            if name in feeds:
                raise TypeError(f"{name}: given twice; allowed: once")
        found = [as_tensor(x) for x in self._run({**feeds, **kwargs}, None)]
        return found[0] if len(found) == 1 else tuple(found)

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        """The outputs named, None for all, as NumPy arrays: called as onnxruntime's ``InferenceSession.run``.

        ``feeds`` are the inputs by name: arrays, lists for sequences, None for optional values without an element.
        Nothing goes on the tape. ``ValueError`` for missing and unknown names and for shapes other than those
        declared, ``TypeError`` for other element types.
        """
        if not isinstance(feeds, Mapping):
            raise TypeError(f"feeds: {shown(feeds)} is not allowed; allowed: a mapping from names to arrays")
        with no_grad(), self._scope():
            return [as_array(x) for x in self._run(dict(feeds), output_names)]

    def _run(self, feeds: dict[str, Any], names: Sequence[str] | None) -> list[Any]:
        if names is not None and (isinstance(names, str) or not isinstance(names, Sequence)):
            raise TypeError(f"output_names: {shown(names)} is not allowed; allowed: a list of names, None")
        wanted = self.output_names if names is None else list(names)
        for name in wanted:
            if name not in self.graph.outputs:
                raise ValueError(f"output: {shown(name)} is not allowed; allowed: {', '.join(self.graph.outputs)}")
        for name in feeds:
            if name not in self.graph.inputs:
                raise ValueError(f"input: {shown(name)} is not allowed; allowed: {', '.join(self.graph.inputs)}")
        for name in self.input_names:
            if name not in feeds:
                raise ValueError(f"input: {name!r} is missing; allowed: {', '.join(self.input_names)}")
        inputs = [name for name in self.graph.inputs if name in feeds]
        values = [taken(name, feeds[name], self._types[name]) for name in inputs]
        known = dict(zip(self.graph.outputs, self.graph.run(values, inputs=inputs), strict=True))
        return [known[name] for name in wanted]

    def extra_repr(self) -> str:
        return f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}"


def taken(name: str, value: Any, type_proto: Any) -> Any:
    """What is given for an input, as a node has it; its type and shape are those declared."""
    kind = type_proto.WhichOneof("value")
    if kind == "optional_type":
        return None if value is None else taken(name, value, type_proto.optional_type.elem_type)
    if kind == "sequence_type":
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{name}: {shown(value)} is not allowed; allowed: a list of tensors")
        return [taken(name, x, type_proto.sequence_type.elem_type) for x in value]
    if kind != "tensor_type":
        return as_value(value)
    if value is None:
        raise TypeError(f"{name}: None is not allowed; allowed: a tensor")
    found = _typed(name, value, declared(type_proto))
    if type_proto.tensor_type.HasField("shape"):
        _check(name, tuple(found.shape), type_proto.tensor_type.shape.dim)
    return found


def _typed(name: str, value: Any, element: int) -> Any:
    """``value`` in the element type declared: tensors of floats as they are, arrays of that type, Python's numbers."""
    value = foreign(value)
    if isinstance(value, Tensor):
        if isinstance(value.format, Integer) is (element in FORMATS):
            raise TypeError(f"{name}: {value.format} is not allowed; allowed: {WORDS.get(element, 'tensors')}")
        if isinstance(value.format, Format):
            return value
        value = value.array
    if not isinstance(value, (np.ndarray, np.generic)):
        value = _of_python(name, value, element)
    array = np.asarray(value)
    if element == STRING:
        return array.astype(object)
    wanted = dtype_of(element) if element else array.dtype
    if array.dtype != wanted:
        raise TypeError(f"{name}: {array.dtype.name} is not allowed; allowed: {np.dtype(wanted).name}")
    return as_value(np.ascontiguousarray(array) if array.ndim else array)


def _of_python(name: str, value: Any, element: int) -> Any:
    """Python's numbers and lists as an array of the type declared."""
    try:
        array = np.asarray(value)
        if element == STRING or not element:
            return array
        if element in FORMATS and array.dtype.kind in "biuf":
            return as_array(tensor(array, FORMATS[element]))
        if array.dtype.kind in "biu" or not array.size:
            return array.astype(dtype_of(element))
    except (ValueError, TypeError, OverflowError):
        pass
    raise TypeError(f"{name}: {shown(value)} is not allowed; allowed: a tensor of {WORDS.get(element, 'numbers')}")


def _check(name: str, shape: tuple[int, ...], dims: Any) -> None:
    """``ValueError`` for a shape that is not as declared; what an axis is called does not bind its length."""
    told = ", ".join(d.dim_param or str(d.dim_value) if d.WhichOneof("value") else "?" for d in dims)
    fits = len(shape) == len(dims)
    for n, d in zip(shape, dims, strict=False):
        if d.WhichOneof("value") == "dim_value" and d.dim_value > 0:
            fits = fits and n == d.dim_value
    if not fits:
        raise ValueError(f"{name}: shape {shape} is not allowed; allowed: ({told})")


def load(model: Any) -> Model:
    """A model of an ONNX file as a module whose nodes are its parts, so that everything that takes a module takes it.

    ``model`` is a path, the bytes of a file, or an ``onnx.ModelProto``; opsets 6 to the newest that the package onnx
    knows, control flow, sequences, functions and data beside the file included. Outside a precision a node computes
    in the type that the file gives it, float16 as kernels of frameworks do, with sums in float32; a precision or a
    policy rules float32 nodes as it rules any module, and tensors of other types stay what the file says. What does not
    round (integers, strings, shapes) is NumPy's or the package's own. ``ValueError`` in one line for a file that
    is cut off or does not fit together, ``NotImplementedError`` that names every node whose operator is missing,
    ``ModuleNotFoundError`` without the package onnx.
    """
    return Model(read(model))
