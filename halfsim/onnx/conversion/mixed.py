"""A model in mixed precision: half where a node may, float32 where it must, casts between them."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

import numpy as np

from halfsim.onnx.build import dense, graph_attributes
from halfsim.onnx.conversion.plan import CONSTANTS, Plan, Site, Value, planned, target_of
from halfsim.onnx.package import package
from halfsim.onnx.values import FLOAT, FLOAT16, NUMBERS, dtype_of


def mixed(
    model: Any, keep_nodes: Collection[str] = (), keep_tensors: Collection[str] = (), target: Any = "fp16"
) -> Any:
    """The model in mixed precision, as an ``onnx.ModelProto`` that any runtime loads.

    ``model`` is a path, bytes or a ModelProto. Nodes that ``keep_nodes`` names, by their paths in `halfsim.onnx.load`,
    run in float32, with the graphs inside them; so do those that read or make a tensor of ``keep_tensors``, and those
    whose operator takes no ``target`` ("fp16" or "bf16") in the opset of the file; what only moves values stays on
    the side of what it moves, and numbers that come from shapes alone stay in float32. All other float32
    nodes run in the target. Inputs and outputs keep their names and types, those of branches and loops
    too; weights are stored in the type in which they are read, one that is read in both in float32. A tensor is cast
    once, not once a reader. Numbers past the target's range become infinite, as they do in any plain conversion.

    ``ValueError`` for a name that is not in the model and for a target that its opset has not.
    """
    whole, plan = planned(model, keep_nodes, keep_tensors, target)
    graph = _Writer(plan, target_of(target)).graph(plan)
    whole.graph.CopyFrom(graph)
    whole.ir_version = max(whole.ir_version, 4)  # in which a weight need not be an input
    return whole


class _Writer:
    """Writes the graphs of a plan."""

    def __init__(self, plan: Plan, half: int) -> None:
        self.half = half
        self.suffixes = {FLOAT: "fp32", FLOAT16: "fp16", NUMBERS["bfloat16"]: "bf16"}
        self.taken = {site.path for site in plan.every()}
        self.taken |= {name for site in plan.every() for name in (*site.node.input, *site.node.output)}
        self.taken |= {v.name for v in (*plan.inputs, *plan.stored, *plan.outputs)}
        self.taken |= {v.name for s in plan.every() for p in s.graphs for v in (*p.inputs, *p.stored, *p.outputs)}

    def _fresh(self, name: str) -> str:
        found, i = name, 0
        while found in self.taken:
            i += 1
            found = f"{name}_{i}"
        self.taken.add(found)
        return found

    def graph(self, plan: Plan) -> Any:
        """The graph that a plan describes."""
        old, nodes = plan.proto, list[Any]()
        new = type(old)()
        new.CopyFrom(old)
        for part in ("node", "initializer", "input", "value_info"):
            new.ClearField(part)
        leaving = {id(v) for v in plan.outputs}
        known = {v.name: v for v in (*plan.inputs, *plan.stored)}
        for value in plan.inputs:
            self._named(value, nodes, id(value) in leaving)
        for value in plan.stored:
            self._settle(value)
            self._named(value, nodes, id(value) in leaving)
        for tensor in old.initializer:
            new.initializer.append(self._in_half(tensor) if known[tensor.name].home == self.half else tensor)
        for declaration in old.input:
            value = known[declaration.name]
            if not value.stored or value.home == value.element:  # a weight in half is no input any more
                new.input.append(declaration)
        for site in plan.sites:
            self._site(site, nodes, leaving)
            known.update((v.name, v) for v in site.makes if v is not None)
        new.node.extend(nodes)
        for i, value in enumerate(plan.outputs):
            new.output[i].name = value.names[FLOAT if value.element == FLOAT else value.element]
        for declaration in old.value_info:
            self._told(new, declaration, known.get(declaration.name))
        return new

    def _settle(self, value: Value) -> None:
        """Let a tensor of the file be half if nothing reads it in float32."""
        if value.element == FLOAT and not value.home:
            value.home = self.half if value.wanted == {self.half} else FLOAT

    def _named(self, value: Value, nodes: list[Any], leaves: bool, same: Value | None = None) -> None:
        """Give a value its names, and casts where it is read in a type in which it is not made.

        ``same`` is one that has the value in the type in which this one is made, so that nothing has to make it.
        """
        hidden = leaves and value.home != value.element  # its own name is that of the output
        label = self.suffixes.get(value.home, "")
        if same is not None:
            value.names[value.home] = same.names[value.home]
        else:
            value.names[value.home] = self._fresh(f"{value.name}/{label}") if hidden else value.name
        rounded = same is not None and value.home == self.half != same.home
        known = value.names if same is None or rounded else same.names
        for kind in sorted(value.wanted - {value.home}):
            if kind not in known:
                label = self.suffixes[kind]
                known[kind] = value.name if hidden and kind == FLOAT else self._fresh(f"{value.name}/{label}")
                name = self._fresh(f"{value.name}/Cast_{label}")
                cast = package().helper.make_node("Cast", [value.names[value.home]], [known[kind]], name=name, to=kind)
                nodes.append(cast)
            value.names[kind] = known[kind]

    def _site(self, site: Site, nodes: list[Any], leaving: set[int]) -> None:
        node = type(site.node)()
        node.CopyFrom(site.node)
        node.name, first = site.path, site.makes[0] if site.makes else None
        if node.op_type == "Constant" and first is not None:
            self._settle(first)
        elif node.op_type == "Cast" and first is not None:
            source = site.reads[0][0]
            if source is not None and first.home in source.names:  # nothing is left to do
                if id(first) not in leaving:
                    self._named(first, nodes, False, source)
                    return
                node.op_type, site.reads[0] = "Identity", (source, first.home)
                node.ClearField("attribute")
        if first is not None and first.element == FLOAT and first.home == self.half:
            self._chosen(node)
        for i, (value, kind) in enumerate(site.reads):
            if value is not None:
                node.input[i] = value.names[kind if value.element == FLOAT else value.home]
        inner, outer = iter(site.graphs), {n: v.names[FLOAT] for n, v in site.captured.items() if v.element == FLOAT}
        for _, graph in graph_attributes(node):
            if site.graphs:
                graph.CopyFrom(self.graph(next(inner)))
            else:
                _read_under(graph, outer)
        nodes.append(node)
        for i, value in enumerate(site.makes):
            if value is not None:
                self._named(value, nodes, id(value) in leaving)
                node.output[i] = value.names[value.home]

    def _chosen(self, node: Any) -> None:
        """Let an operator that chooses the type of its result choose half."""
        make = package().helper.make_attribute
        if node.op_type == "Cast":
            next(a for a in node.attribute if a.name == "to").i = self.half
        elif node.op_type in ("Constant", "ConstantOfShape"):
            given = node.attribute[0] if node.attribute else None
            zero = package().helper.make_tensor("", FLOAT, [1], [0.0])
            tensor = zero if given is None else given.t
            if given is not None and given.name in CONSTANTS:
                numbers = list(given.floats) if given.name == "value_floats" else [given.f]
                dims = [len(numbers)] if given.name == "value_floats" else []
                tensor = package().helper.make_tensor("", FLOAT, dims, numbers)
            node.ClearField("attribute")
            node.attribute.append(make("value", self._in_half(tensor)))

    def _in_half(self, tensor: Any) -> Any:
        """A tensor of the file in half, of its own name; what is past its range becomes infinite."""
        with np.errstate(over="ignore"):
            array = dense(tensor).astype(dtype_of(self.half))
        if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
            array = array.byteswap()
        return type(tensor)(name=tensor.name, data_type=self.half, dims=tensor.dims, raw_data=array.tobytes())

    def _told(self, graph: Any, declaration: Any, value: Value | None) -> None:
        """Declare a value as it is now; one that is not there any more is not declared."""
        if value is None or value.element != FLOAT:
            graph.value_info.append(declaration)
            return
        kind = next((kind for kind, name in value.names.items() if name == declaration.name), 0)
        if kind:
            graph.value_info.append(declaration)
            if graph.value_info[-1].type.HasField("tensor_type"):
                graph.value_info[-1].type.tensor_type.elem_type = kind


def _read_under(graph: Any, names: dict[str, str]) -> None:
    """Let a graph, and those in it, read values from outside under other names."""
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
        for _, inner in graph_attributes(node):
            _read_under(inner, names)
