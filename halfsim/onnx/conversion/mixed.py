"""A model in mixed precision: half where a node may, float32 where it must, casts between them.

First every node is given its side, in the order of the file (`_Planner`); then the graphs are written (`_Writer`).
"""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.numerics.formats import as_format, bfloat16, float16
from halfsim.onnx.build import dense, graph_attributes
from halfsim.onnx.conversion.slots import counts, half_slots, moves
from halfsim.onnx.elements import declared
from halfsim.onnx.graph import Graph
from halfsim.onnx.model import Model
from halfsim.onnx.operator import Operator
from halfsim.onnx.package import package
from halfsim.onnx.reading import inlined, opsets_of, read
from halfsim.onnx.values import FLOAT, FLOAT16, NUMBERS, dtype_of
from halfsim.options import shown

_TARGETS = {float16: FLOAT16, bfloat16: NUMBERS["bfloat16"]}
_OLDEST = {FLOAT16: 1, NUMBERS["bfloat16"]: 13}  # the first opset that casts to the type
_NUMBERS = ("value_float", "value_floats")
_ANY = {"Cast", "Shape", "Size"}  # which take any type, and read a value in that which it has


@dataclass(eq=False)
class Value:
    """A tensor of the file, and in which types it is made and read.

    ``home`` is the type in which it is made, 0 until it is known of one that stands in the file; ``names`` are those
    under which it is read, by type. One that is ``kept`` has to stay in float32, one that is ``counted`` comes from
    shapes alone.
    """

    name: str
    element: int
    home: int
    kept: bool = False
    stored: bool = False
    counted: bool = False
    wanted: set[int] = field(default_factory=set)
    names: dict[int, str] = field(default_factory=dict)

    def read_as(self, kind: int) -> int:
        """Note that a node reads it in a type, if it is one of the tensors that have two, and give that type."""
        if self.element == FLOAT:
            self.wanted.add(kind)
            return kind
        return self.element


@dataclass
class Site:
    """A node where it stands: its values, None for those left out, and the types in which it reads them."""

    node: Any
    path: str
    reads: list[tuple[Value | None, int]]
    makes: list[Value | None]
    graphs: list[Plan] = field(default_factory=list)
    held: bool = False  # by its name, or by a tensor that has to stay in float32


@dataclass
class Plan:
    """A graph: the values that come to it, its nodes, the values that leave it."""

    proto: Any
    inputs: list[Value]
    stored: list[Value]
    sites: list[Site]
    outputs: list[Value]

    def every(self) -> Iterator[Site]:
        """The nodes of the graph and of those inside, in the order of the file."""
        for site in self.sites:
            yield site
            for inner in site.graphs:
                yield from inner.every()


def target_of(target: Any) -> int:
    """The element type that a target stands for; ``ValueError`` for what is neither float16 nor bfloat16."""
    try:
        found = _TARGETS.get(as_format(target))
    except (ValueError, TypeError):
        found = None
    if found is None:
        raise ValueError(f"target: {shown(target)} is not allowed; allowed: 'fp16', 'bf16'")
    return found


def planned(model: Any, keep_nodes: Collection[str], keep_tensors: Collection[str], target: Any) -> tuple[Any, Plan]:
    """The model with its functions put where they are called, and the plan of its graph."""
    half = target_of(target)
    whole = inlined(read(model))
    opset = opsets_of(whole)[""]
    if opset < _OLDEST[half]:
        raise ValueError(f"target: {shown(target)} is not allowed in opset {opset}; allowed: 'fp16', or opset 13 on")
    loaded = Model(whole)
    nodes, tensors = (_names(*x) for x in (("keep_nodes", keep_nodes), ("keep_tensors", keep_tensors)))
    planner = _Planner(loaded, nodes, tensors, half)
    plan = planner.graph(whole.graph, loaded.graph, ChainMap(), False)
    for what, wanted, known in (("keep_nodes", nodes, planner.paths), ("keep_tensors", tensors, planner.seen)):
        for name in sorted(wanted - {*known}):
            raise ValueError(f"{what}: {shown(name)} is not in the model; allowed: names of its {what[5:]}")
    return whole, plan


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


def _names(what: str, given: Any) -> set[str]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Collection):
        raise TypeError(f"{what}: {shown(given)} is not allowed; allowed: names")
    return {*given}


class _Planner:
    """Gives every node its side; ``seen`` are the names of all float32 tensors, ``paths`` those of all nodes."""

    def __init__(self, model: Model, keep_nodes: set[str], keep_tensors: set[str], half: int) -> None:
        self.keep_nodes, self.keep_tensors, self.half = keep_nodes, keep_tensors, half
        self.paths = [path for path, _ in model.named_children()]
        self.seen: set[str] = set()
        self._next_path = iter(self.paths)  # in the order in which the nodes are met here

    def _value(self, name: str, element: int, home: int, key: str = "", stored: bool = False) -> Value:
        kept = False
        if element == FLOAT:
            self.seen |= {name, key or name}
            kept = not {name, key or name}.isdisjoint(self.keep_tensors)
        return Value(name, element, home, kept, stored)

    def graph(self, proto: Any, graph: Graph, around: ChainMap[str, Value], wide: bool) -> Plan:
        """The plan of a graph; ``around`` are the values that it sees, ``wide`` says that all of it is float32."""
        values = around.new_child()
        kinds = {t.name: t.data_type for t in proto.initializer}
        sparse = {t.values.name: t.values.data_type for t in proto.sparse_initializer}
        inputs = [self._value(i.name, declared(i.type), declared(i.type)) for i in proto.input
                  if i.name not in kinds and i.name not in sparse]  # fmt: skip
        stored = [self._stored(name, kind, graph) for name, kind in kinds.items()]
        fixed = [self._value(name, kind, kind, graph.learned.get(name, ""), True) for name, kind in sparse.items()]
        values.update((v.name, v) for v in (*inputs, *stored, *fixed))
        steps, sites = iter(graph.steps), []
        for node in proto.node:
            path = next(self._next_path)
            if node.op_type == "Constant":
                site = self._constant(node, path, graph)
            else:
                site = self._site(node, path, next(steps).operator, values, wide)
            values.update((v.name, v) for v in site.makes if v is not None)
            sites.append(site)
        outputs = [values[o.name] for o in proto.output]
        for value in outputs:
            value.read_as(FLOAT)
        return Plan(proto, inputs, stored + fixed, sites, outputs)

    def _stored(self, name: str, element: int, graph: Graph) -> Value:
        home = 0 if element == FLOAT else element
        return self._value(name, element, home, graph.learned.get(name, ""), stored=True)

    def _constant(self, node: Any, path: str, graph: Graph) -> Site:
        attribute = node.attribute[0]
        sparse = attribute.name == "sparse_value"
        tensor = attribute.sparse_tensor.values if sparse else attribute.t
        element = FLOAT if attribute.name in _NUMBERS else tensor.data_type  # 0 for strings and integers alone
        value = self._stored(node.output[0], element, graph)
        value.home = element if sparse else value.home
        value.kept = value.kept or (path in self.keep_nodes and element == FLOAT)
        return Site(node, path, [], [value])

    def _site(self, node: Any, path: str, operator: Operator, values: ChainMap[str, Value], wide: bool) -> Site:
        reads = [values[name] if name else None for name in node.input]
        makes = [self._value(name, e, e) if name else None
                 for name, e in zip(node.output, operator.elements, strict=True)]  # fmt: skip
        counted = counts(operator, *([v is None or getattr(v, what) for v in reads] for what in ("counted", "stored")))
        kept = any(v.kept for v in reads if v is not None)
        named = path in self.keep_nodes
        held = named or kept or any(v.kept for v in makes if v is not None)
        carried = kept and (moves(operator) or operator.key[1] == "Cast")  # moved, it is the same tensor
        slots = None if held or wide or counted else half_slots(operator, self.half)
        reading, making = self._sides(operator, reads, slots)
        for value, side in zip(makes, making, strict=True):
            if value is not None:
                value.counted = counted
                if value.element == FLOAT:
                    value.home, value.kept = side, value.kept or carried
        read = [(v, 0 if v is None else v.read_as(side)) for v, side in zip(reads, reading, strict=True)]
        inner = [self.graph(g, operator.graphs[name], values, wide or named) for name, g in graph_attributes(node)]
        return Site(node, path, read, makes, inner, held or wide)

    def _sides(
        self, operator: Operator, reads: list[Value | None], slots: tuple[list[bool], list[bool]] | None
    ) -> tuple[list[int], list[int]]:
        """The types of a node's inputs and outputs, as far as they are float32 in the file."""
        blind = FLOAT not in operator.elements  # no rounding is of its making
        if slots is None and not (blind and operator.key[1] in _ANY):
            return [FLOAT] * len(reads), [FLOAT] * len(operator.elements)
        inputs, outputs = slots or ([True] * len(reads), [False] * len(operator.elements))
        homes = {v.home for v, goes in zip(reads, inputs, strict=True) if goes and v is not None}
        side = self.half
        if homes and (blind or moves(operator)) and self.half not in homes and (blind or homes != {0}):
            side = FLOAT
        return [side if goes else FLOAT for goes in inputs], [side if goes else FLOAT for goes in outputs]


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
        inner = iter(site.graphs)
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                attribute.g.CopyFrom(self.graph(next(inner)))
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
            if given is not None and given.name in _NUMBERS:
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
