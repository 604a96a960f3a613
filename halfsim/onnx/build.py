"""From the graph of a file to one that runs: names, types, versions, and everything that is missing, told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from halfsim.nn.module import Module
from halfsim.nn.parameter import Parameter
from halfsim.numerics.formats import INTEGERS
from halfsim.onnx.bodies import body_of
from halfsim.onnx.elements import declared, of_results
from halfsim.onnx.graph import Graph, Node, Step
from halfsim.onnx.operator import Operator, key_of
from halfsim.onnx.operators import REFERENCE, ROWS
from halfsim.onnx.operators.shape import constant_of
from halfsim.onnx.package import package
from halfsim.onnx.values import WORDS, as_value, dtype_of, element_of, fitting, is_float
from halfsim.text import clipped

_DEEP = 50  # graphs inside graphs


def graph_attributes(node: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a node that are graphs."""
    for attribute in node.attribute:
        if attribute.type == attribute.GRAPH:
            yield attribute.name, attribute.g
        elif attribute.type == attribute.GRAPHS:
            raise ValueError(f"node {node.name!r}: a list of graphs is not allowed; allowed: one graph an attribute")


def captured_by(graph: Any, depth: int = 0) -> set[str]:
    """The names that a graph, and the graphs in it, read from outside."""
    if depth > _DEEP:
        raise ValueError(f"graph: more than {_DEEP} graphs inside each other are not allowed; allowed: fewer")
    own = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    own |= {i.name for i in graph.input}
    read: set[str] = set()
    for node in graph.node:
        inner = (captured_by(g, depth + 1) for _, g in graph_attributes(node))
        read |= {name for name in (*node.input, *(n for names in inner for n in names)) if name not in own}
        own |= set(node.output)
    return (read | {o.name for o in graph.output if o.name not in own}) - {""}


def dense(tensor: Any) -> Any:
    """A tensor of the file as an array; a sparse one with its zeros."""
    to_array = package().numpy_helper.to_array
    whole_of = tensor.values if hasattr(tensor, "indices") else tensor
    if whole_of.data_type not in WORDS:
        raise ValueError(f"type {whole_of.data_type} is not allowed; allowed: {min(WORDS)} to {max(WORDS)}")
    fitting(tensor.dims, "dims")
    if not hasattr(tensor, "values") or not hasattr(tensor, "indices"):
        array, wanted = to_array(tensor), dtype_of(tensor.data_type)
        same = array.dtype == wanted or wanted.kind == "O"
        return array if same else array.astype(wanted)  # what older versions of onnx have wider
    values, places, shape = to_array(tensor.values), to_array(tensor.indices), tuple(tensor.dims)
    whole = np.zeros(shape, values.dtype)
    whole[np.unravel_index(places, shape) if places.ndim == 1 else tuple(places.T)] = values
    return whole


def read_attributes(node: Any, schema: Any) -> dict[str, Any]:
    """A node's attributes as Python has them, with the defaults of its version; graphs are left out."""
    helper, found = package().helper, {}
    for name, definition in schema.attributes.items():
        if definition.default_value.type and node.op_type != "Constant":
            found[name] = _plain(helper.get_attribute_value(definition.default_value))
    for attribute in node.attribute:
        if attribute.type not in (attribute.GRAPH, attribute.GRAPHS):
            found[attribute.name] = _plain(helper.get_attribute_value(attribute))
    for attribute in node.attribute:
        definition = schema.attributes.get(attribute.name)
        if definition is None:
            allowed = ", ".join(schema.attributes) or "none"
            raise ValueError(f"attribute {attribute.name!r} is not allowed; allowed: {allowed}")
        if int(definition.type.value) != attribute.type:
            kinds = (attribute.AttributeType.Name(n) for n in (attribute.type, int(definition.type.value)))
            raise TypeError("{}: {} is not allowed; allowed: {}".format(attribute.name, *kinds))
    for name, definition in schema.attributes.items():
        if definition.required and name not in found and not any(a.name == name for a in node.attribute):
            raise ValueError(f"{name}: it is missing; allowed: an attribute of this name")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)) or type(value).__name__.startswith("Repeated"):
        return [_plain(x) for x in value]
    if hasattr(value, "data_type") or hasattr(value, "indices"):
        return dense(value)
    return value


class Builder:
    """Builds the graphs of one file; ``owner`` is the model that its nodes and tensors become parts of, if any."""

    def __init__(self, opsets: Mapping[str, int], owner: Module | None = None) -> None:
        self.opsets, self.owner = dict(opsets), owner
        self.missing: dict[str, list[str]] = {}
        self.wrong: list[str] = []
        self._schemas: dict[tuple[str, str], Any] = {}

    def refuse(self) -> None:
        """``ValueError`` or ``NotImplementedError`` that names every node that cannot run."""
        if self.missing:
            told = "; ".join(f"{op} ({', '.join(map(repr, nodes))})" for op, nodes in self.missing.items())
            told = clipped(" ".join(told.split()), 2000)
            raise NotImplementedError(f"operators: {told} are not allowed; allowed: those that halfsim.onnx has")
        if self.wrong:
            more = f"; and {len(self.wrong) - 1} more" if len(self.wrong) > 1 else ""
            raise ValueError(f"{self.wrong[0]}{more}")

    def schema(self, key: tuple[str, str]) -> Any:
        """The definition of an operator in the version that the file asks for, None if there is none."""
        if key not in self._schemas:
            domain, name = key
            try:
                found = package().defs.get_schema(name, self.opsets[domain], domain)
            except (KeyError, package().defs.SchemaError):
                found = None
            self._schemas[key] = None if found is None or (found.deprecated and key not in ROWS) else found
        return self._schemas[key]

    # Names.

    def _path(self, node: Any) -> str:
        """The node's name as it is; unnamed ones and those whose name is taken get a number."""
        taken = {} if self.owner is None else self.owner._modules
        base = node.name or node.op_type
        name, i = base, 0
        while name in taken or (not node.name and name == base):
            name, i = f"{base}_{i}", i + 1
        return name

    def _hold(self, graph: Graph, name: str, array: Any, learned: bool = True) -> int:
        """Let the graph have a tensor of the file: floats as a parameter of the owner, integers as a buffer."""
        value = as_value(array)
        if self.owner is None or not (is_float(value) or learned):
            graph.constants[name] = value
            return element_of(value)
        key, i, taken = name, 0, {**self.owner._parameters, **self.owner._buffers}
        while key in taken:
            i += 1
            key = f"{name}_{i}"
        if is_float(value):
            self.owner._parameters[key] = Parameter(value)
        elif getattr(value, "dtype", None) is not None and value.dtype.name in INTEGERS:
            self.owner._buffers[key] = value
        else:
            graph.constants[name] = value
            return element_of(value)
        graph.learned[name] = key
        return element_of(value)

    # Graphs.

    def graph(self, proto: Any, outer: Mapping[str, int], depth: int = 0) -> Graph:
        """A graph that runs, of one of the file; ``outer`` are the element types of the names around it."""
        if depth > _DEEP:
            raise ValueError(f"graph: more than {_DEEP} graphs inside each other are not allowed; allowed: fewer")
        stored = {**{t.name: t for t in proto.initializer}, **{t.values.name: t for t in proto.sparse_initializer}}
        graph = Graph([i.name for i in proto.input], [o.name for o in proto.output], self.owner)
        types = {i.name: declared(i.type) for i in proto.input}
        for name, tensor in stored.items():
            try:
                types[name] = self._hold(graph, name, dense(tensor))
            except Exception as error:  # the package refuses broken tensors in many ways
                raise ValueError(f"initializer {name!r}: {clipped(' '.join(str(error).split()), 200)}") from error
        self._nodes(graph, proto.node, types, outer, depth)
        for name in graph.outputs:
            if name not in types and name not in outer:
                self.wrong.append(f"output {name!r}: no node makes it; allowed: values of the graph")
        return graph.finish()

    def body(self, function: Any, types: Mapping[str, int], outer: Mapping[str, int]) -> Graph:
        """The body of a function as a graph that runs."""
        graph = Graph(function.input, function.output, None)
        self._nodes(graph, function.node, {**types}, outer, 0)
        return graph.finish()

    def _nodes(
        self, graph: Graph, nodes: Sequence[Any], types: dict[str, int], outer: Mapping[str, int], depth: int
    ) -> None:
        for node in nodes:
            path = self._path(node)
            for name in filter(None, node.output):
                if name in types:
                    self.wrong.append(f"node {path!r} ({node.op_type}): output {name!r} is made twice; allowed: once")
            step = self._node(graph, node, path, types, outer, depth)
            if step is None:
                continue
            graph.steps.append(step)
            types.update(zip(filter(None, node.output), _named(step.operator.elements, node.output), strict=False))

    def _node(
        self, graph: Graph, node: Any, path: str, types: dict[str, int], outer: Mapping[str, int], depth: int
    ) -> Step | None:
        """The step of a node; None of a constant, which the graph holds, and of a node that cannot run."""
        if node.domain == "ai.onnx":  # the long name of ONNX's own domain
            node.domain = ""
        key, label = key_of(node), f"node {path!r} ({node.op_type})"
        schema = self.schema(key)
        if schema is None or not (key in ROWS or key in REFERENCE or _has_body(schema)):
            self.missing.setdefault(f"{key[0]}.{key[1]}" if key[0] else key[1], []).append(path)
            types.update(dict.fromkeys(filter(None, node.output), 0))
            return None
        try:
            for name in node.input:
                if name and name not in types and name not in outer:
                    raise ValueError(f"input {name!r} is not made before it; allowed: values made before")
            attributes = read_attributes(node, schema)
            if key == ("", "Constant"):
                self._place(Node(_bare(node, label, schema, attributes, self.opsets)), path)
                types[node.output[0]] = self._hold(graph, node.output[0], constant_of(attributes), learned=False)
                return None
            known = {**outer, **types}
            inputs = [known.get(name, 0) if name else 0 for name in node.input]
            elements, wrong = of_results(node, schema, attributes, inputs)
            if wrong:
                raise TypeError(wrong)
            captured = sorted(set().union(*(captured_by(g) for _, g in graph_attributes(node))))
            for name in captured:
                if name not in known:
                    raise ValueError(f"input {name!r} is not made before it; allowed: values made before")
            inner: dict[str, Graph] = {}
            module_at = self._reserve(path)
            if key in ROWS:
                inner = {name: self.graph(g, known, depth + 1) for name, g in graph_attributes(node)}
        except Exception as error:
            words = " ".join(str(error).split())
            self.wrong.append(f"{label}: {clipped(words, 240) or type(error).__name__}")
            types.update(dict.fromkeys(filter(None, node.output), 0))
            return None
        if not any(elements) and inner:
            elements = _through(node, inner)
        operator = Operator(node, label, schema, attributes, inputs, elements, self.opsets, inner, captured, expanded)
        module = None
        if self.owner is not None and module_at:
            module = self.owner._modules[path] = Node(operator)
        return Step(operator, module, list(node.input), list(node.output))

    def _reserve(self, path: str) -> bool:
        """Take a path before those of the nodes inside."""
        if self.owner is None:
            return False
        self.owner._modules[path] = None
        return True

    def _place(self, module: Node, path: str) -> None:
        if self.owner is not None:
            self.owner._modules[path] = module


def expanded(operator: Operator, values: Sequence[Any]) -> Graph:
    """The graph that a node's operator stands for, given its inputs; ``ValueError`` if there is none."""
    function, opsets = body_of(operator, values)
    builder, given = Builder(opsets), [*operator.given, *([0] * len(function.input))]
    types = dict(zip(function.input, given, strict=False))
    graph = builder.body(function, types, dict.fromkeys(operator.captured, 0))
    builder.refuse()
    return graph


def _bare(node: Any, label: str, schema: Any, attributes: dict[str, Any], opsets: Mapping[str, int]) -> Operator:
    """The operator of a constant, whose tensor the graph holds."""
    rest = {name: x for name, x in attributes.items() if not name.endswith("value")}
    slim = type(node)()
    slim.CopyFrom(node)
    del slim.attribute[:]
    return Operator(slim, label, schema, rest, [], [0], opsets, {}, [], expanded)


def _has_body(schema: Any) -> bool:
    return bool(schema.has_function or schema.has_context_dependent_function)


def _named(elements: Sequence[int], names: Sequence[str]) -> list[int]:
    """The element types of the results that have names."""
    return [e for e, name in zip(elements, names, strict=False) if name]


def _through(node: Any, inner: Mapping[str, Graph]) -> list[int]:
    """The element types of a node's results where they are those of the graph inside."""
    graph = next(iter(inner.values()))
    made = {name: e for step in graph.steps for name, e in zip(step.outputs, step.operator.elements, strict=False)}
    found = [made.get(name, 0) for name in graph.outputs]
    skip = 1 if node.op_type == "Loop" else 0
    return (found[skip:] + [0] * len(node.output))[: len(node.output)]
