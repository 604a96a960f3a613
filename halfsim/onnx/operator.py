"""Operator: one node of a graph, ready to run on values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from halfsim.autograd.scope import resolve, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import native
from halfsim.onnx.operators import REFERENCE, ROWS, Row
from halfsim.onnx.package import package
from halfsim.onnx.values import FLOAT, FORMATS, as_array, is_float, stored, unwrapped, wrapped
from halfsim.options import MISFITS
from halfsim.text import clipped

if TYPE_CHECKING:
    from halfsim.onnx.graph import Graph

_LONG = 300  # characters of an error that a node repeats
_KNOWN = 16  # bodies of one node that are kept, each for other shapes


def key_of(node: Any) -> tuple[str, str]:
    """The domain, "" for ONNX's own, and the name of a node's operator."""
    return ("" if node.domain == "ai.onnx" else node.domain), node.op_type


def said(label: str, error: BaseException) -> Exception:
    """The error of a node in one line, that begins with the node's name."""
    words = clipped(" ".join(str(error).split()), _LONG) or type(error).__name__
    kind: type[Exception] = TypeError if isinstance(error, TypeError) else ValueError
    told = kind(words if getattr(error, "of_node", False) else f"{label}: {words}")
    vars(told)["of_node"] = True  # so that nodes around this one do not add their names
    return told


class Operator:
    """A node: its attributes with the defaults of its version, the element types of its results, what runs it.

    ``elements`` are those that the file gives; a result in another floating-point type than float32 stays in it,
    whatever precision rules. ``graphs`` are its attributes that are graphs, ``captured`` the names that these read
    from outside; ``expand`` makes the graph of a node whose operator is defined by others.
    """

    def __init__(
        self,
        node: Any,
        label: str,
        schema: Any,
        attributes: dict[str, Any],
        inputs: Sequence[int],
        elements: Sequence[int],
        opsets: Mapping[str, int],
        graphs: dict[str, Graph],
        captured: Sequence[str],
        expand: Callable[[Operator, Sequence[Any]], Graph],
    ) -> None:
        self.expand = expand
        self.proto, self.label, self.attributes, self.opsets = node, label, attributes, dict(opsets)
        self.key, self.since = key_of(node), int(schema.since_version)
        self.given, self.elements, self.graphs, self.captured = list(inputs), list(elements), graphs, list(captured)
        first = schema.outputs[0].type_str if schema.outputs else ""
        self.same = [p.type_str == first for p in schema.inputs]
        self.kept = FORMATS.get(self.elements[0]) if self.elements and self.elements[0] != FLOAT else None
        self._reference: Any = None
        self._bodies: dict[Any, Graph] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reference": None, "_bodies": {}}

    def run(self, values: Sequence[Any], outer: Mapping[str, Any], graph: Graph) -> tuple[Any, ...]:
        """The results for its inputs; ``outer`` has what its graphs capture, ``graph`` is where the node stands."""
        try:
            with self._ruled(self.kept) if self.kept is not None else contextlib.nullcontext():
                return self._run(list(values), outer, graph)
        except (*MISFITS, NotImplementedError, RuntimeError) as error:
            raise said(self.label, error) from error

    def _ruled(self, kept: Format) -> Any:
        """The scope of a node whose type in the file is not float32: that, unless a rule stores in it anyway."""
        if resolve(self.key[1], None, kept).storage == kept:
            return contextlib.nullcontext()
        return scoped(rule=native(kept), base="")

    def _run(self, values: list[Any], outer: Mapping[str, Any], graph: Graph) -> tuple[Any, ...]:
        row = ROWS.get(self.key)
        if row is not None:
            found = self._by_row(row, values, outer, graph)
            if found is not None:
                return found
        if self.key in REFERENCE or row is not None:
            return self._by_reference(values)
        return self._by_body(values, outer)

    # By a row.

    def _by_row(self, row: Row, values: list[Any], outer: Mapping[str, Any], graph: Graph) -> tuple[Any, ...] | None:
        """The row's results, None where it leaves the types given to the reference."""
        if row.given == "floats":
            if not any(map(is_float, values)) or not (is_float(values[0]) or values[0] is None):
                return None
        elif row.given == "moved":
            last = len(self.same) - 1
            values = [wrapped(x) if self.same[min(i, last)] else x for i, x in enumerate(values)]
            if not isinstance(values[0], Tensor):
                return None
        attributes = self.attributes
        for i, name in enumerate(row.inputs):
            if name in attributes and (i >= len(values) or values[i] is None):
                values += [None] * (i + 1 - len(values))
                values[i] = attributes[name]
        options = {name: attributes[name] for name in row.options if attributes.get(name) is not None}
        for name in row.options:
            if name in self.graphs:
                options[name] = partial(self.graphs[name].run, outer=outer)
        own = {"since": self.since, "wanted": len(self.proto.output), "elements": self.elements, "graph": graph}
        options |= {name: own[name] for name in row.extras}
        found = row.function(*values, **options)
        results = found if isinstance(found, tuple) else (found,)
        return tuple(unwrapped(x) for x in results) if row.given == "moved" else results

    # By the package's own evaluator.

    def _by_reference(self, values: list[Any]) -> tuple[Any, ...]:
        """What `onnx.reference` computes, floats stored once in the precision in force."""
        if self._reference is None:
            self._reference = _evaluator(self.proto, self.opsets)
        names = self.proto.input
        feeds = {name: as_array(x) for name, x in zip(names, values, strict=False) if name and x is not None}
        found = self._reference.run(None, feeds)
        return tuple(stored(x, e) for x, e in zip(found, self.elements, strict=False))

    # By the body that the operator's own definition has.

    def _by_body(self, values: list[Any], outer: Mapping[str, Any]) -> tuple[Any, ...]:
        shapes = tuple(getattr(x, "shape", None) for x in values)
        body = self._bodies.get(shapes)
        if body is None:
            if len(self._bodies) >= _KNOWN:
                self._bodies.clear()
            body = self._bodies[shapes] = self.expand(self, values)
        values += [None] * (len(body.inputs) - len(values))
        return tuple(body.run(values, outer=outer))


def _evaluator(node: Any, opsets: Mapping[str, int]) -> Any:
    """The package's evaluator of one node."""
    package()
    from onnx import GraphProto
    from onnx.reference import ReferenceEvaluator

    graph = GraphProto()
    graph.node.add().CopyFrom(node)
    for name in node.input:
        if name:
            graph.input.add().name = name
    for name in filter(None, node.output):
        graph.output.add().name = name
    return ReferenceEvaluator(graph, opsets={"": 1, **opsets})
