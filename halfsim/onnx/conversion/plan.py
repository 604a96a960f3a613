"""Which node of a model runs in half and which in float32, and in which type each tensor is made and read."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from halfsim.numerics.formats import as_format, bfloat16, float16
from halfsim.onnx.build import graph_attributes
from halfsim.onnx.conversion.slots import counts, half_slots, moves
from halfsim.onnx.elements import declared
from halfsim.onnx.graph import Graph
from halfsim.onnx.model import Model
from halfsim.onnx.operator import Operator
from halfsim.onnx.reading import inlined, opsets_of, read
from halfsim.onnx.values import FLOAT, FLOAT16, NUMBERS
from halfsim.options import shown

_TARGETS = {float16: FLOAT16, bfloat16: NUMBERS["bfloat16"]}
_OLDEST = {FLOAT16: 1, NUMBERS["bfloat16"]: 13}  # the first opset that casts to the type
CONSTANTS = ("value_float", "value_floats")
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
    captured: dict[str, Value] = field(default_factory=dict)  # what its graphs read, if they are left as they are


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


def target_in(model: Any, target: Any) -> int:
    """The element type that a target stands for; ``ValueError`` where the model's opset has no casts to it."""
    half, opset = target_of(target), opsets_of(model)[""]
    if opset < _OLDEST[half]:
        raise ValueError(f"target: {shown(target)} is not allowed in opset {opset}; allowed: 'fp16', or opset 13 on")
    return half


def planned(model: Any, keep_nodes: Collection[str], keep_tensors: Collection[str], target: Any) -> tuple[Any, Plan]:
    """The model with its functions put where they are called, and the plan of its graph."""
    whole = inlined(read(model))
    half = target_in(whole, target)
    loaded = Model(whole)
    nodes, tensors = (_names(*x) for x in (("keep_nodes", keep_nodes), ("keep_tensors", keep_tensors)))
    planner = Planner(loaded, nodes, tensors, half)
    plan = planner.graph(whole.graph, loaded.graph, ChainMap(), False)
    for what, wanted, known in (("keep_nodes", nodes, planner.paths), ("keep_tensors", tensors, planner.seen)):
        for name in sorted(wanted - {*known}):
            raise ValueError(f"{what}: {shown(name)} is not in the model; allowed: names of its {what[5:]}")
    return whole, plan


def _names(what: str, given: Any) -> set[str]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Collection):
        raise TypeError(f"{what}: {shown(given)} is not allowed; allowed: names")
    return {*given}


class Planner:
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
        element = FLOAT if attribute.name in CONSTANTS else tensor.data_type  # 0 for strings and integers alone
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
        graphs = list(graph_attributes(node))
        if not operator.graphs and graphs:  # of an operator that ONNX defines by others: left as they are
            outer = {name: values[name] for name in operator.captured}
            for value in outer.values():
                value.read_as(FLOAT)
            return Site(node, path, read, makes, [], held or wide, outer)
        inner = [self.graph(g, operator.graphs[name], values, wide or named) for name, g in graphs]
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
