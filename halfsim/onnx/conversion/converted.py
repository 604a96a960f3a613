"""A model as its converted file would run: weights stored in the target, nodes computing in it, but for what is kept.

Which node and which weight is in which type is what `halfsim.onnx.conversion.plan` plans for the file that it writes.
A kept node computes in float32, its inputs cast up and its outputs cast down for those that read them in the target. A
kept tensor stays in float32, and so every node that reads it computes in float32.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.policy import Policy, rule_name
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import no_grad
from halfsim.nn.parameter import Parameter
from halfsim.numerics.formats import float32
from halfsim.numerics.precision import FP32, Precision
from halfsim.onnx.build import graph_attributes
from halfsim.onnx.conversion.plan import Plan, Planner, Site, target_in
from halfsim.onnx.elements import declared
from halfsim.onnx.graph import Graph, Node
from halfsim.onnx.model import Model
from halfsim.onnx.reading import inlined, read
from halfsim.onnx.values import FLOAT, as_array, is_float, stored

Outputs = dict[str, Any]  # arrays by the names of a model's outputs
_PLANS = 64  # that are kept


@dataclass(frozen=True)
class Keep:
    """What stays in float32: nodes by their paths, tensors by their names."""

    nodes: frozenset[str] = frozenset()
    tensors: frozenset[str] = frozenset()


@dataclass
class Sides:
    """Of a plan: the nodes that compute in the target, and the weights that are stored in it.

    ``narrow`` says of each input and each result of such a node whether it is read, or made, in the target.
    """

    narrow: dict[str, tuple[list[bool], list[bool]]] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)


class Converted:
    """A model, and how its converted file would run with some of it kept in float32.

    ``tensors`` are the weights that the file would store in the target where nothing is kept, ``readers`` the paths of
    the nodes that read each.
    """

    def __init__(self, source: Any, target: Precision) -> None:
        self.proto = inlined(read(source))
        self.half = target_in(self.proto, target.storage.name)
        self.model, self.target = Model(self.proto), target
        self.nodes = {path: part for path, part in self.model.named_modules() if isinstance(part, Node)}
        held = self.model._parameters
        self.weights = {key: p for key, p in held.items() if p is not None}
        self.wide = {key: p for key, p in self.weights.items() if p.format == float32}
        self._narrow: dict[str, Parameter] = {}
        self._plans: dict[Keep, Sides] = {}
        self.readers: dict[str, list[str]] = {}
        self._read_by(self.model.graph, {})
        self.tensors = [key for key in self.wide if key in self.sides(Keep()).stored]
        self._floats = {o.name for o in self.proto.graph.output if declared(o.type) == FLOAT}

    def _read_by(self, graph: Graph, around: Mapping[str, str]) -> None:
        """Note which nodes read each tensor of the file; ``around`` are those of the graphs outside, by name."""
        made = {*graph.inputs, *graph.constants, *(o for step in graph.steps for o in step.outputs)}
        known = {**{name: key for name, key in around.items() if name not in made}, **graph.learned}
        for step in graph.steps:
            for name in dict.fromkeys(step.inputs):
                if name in known and step.node is not None:
                    self.readers.setdefault(known[name], []).append(step.node._path)
            for inner in step.operator.graphs.values():
                self._read_by(inner, known)

    # Which node and which weight is in which type.

    def sides(self, keep: Keep) -> Sides:
        """What the plan for ``keep`` says."""
        found = self._plans.get(keep)
        if found is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            planner = Planner(self.model, {*keep.nodes}, {*keep.tensors}, self.half)
            plan = planner.graph(self.proto.graph, self.model.graph, ChainMap(), False)
            found = self._plans[keep] = Sides()
            self._read(plan, self.model.graph, found)
        return found

    def _read(self, plan: Plan, graph: Graph, found: Sides) -> None:
        values = [*plan.stored, *(v for s in plan.sites if s.node.op_type == "Constant" for v in s.makes)]
        for value in values:
            if value is not None and value.wanted == {self.half} and value.home in (0, self.half):
                found.stored.add(graph.learned.get(value.name, value.name))
        for site in plan.sites:
            read = [v is not None and v.element == FLOAT and kind == self.half for v, kind in site.reads]
            made = [v is not None and v.element == FLOAT and v.home == self.half for v in site.makes]
            if (any(read) or any(made)) and site.node.op_type != "Constant":
                found.narrow[site.path] = read, made
            self._inside(site, found)

    def _inside(self, site: Site, found: Sides) -> None:
        names = [name for name, _ in graph_attributes(site.node)] if site.graphs else []
        for plan, name in zip(site.graphs, names, strict=True):
            self._read(plan, self.nodes[site.path].operator.graphs[name], found)

    def size(self, keep: Keep | None) -> int:
        """Bytes of the weights that stand in the file; None for the file as it is."""
        stored = set[str]() if keep is None else self.sides(keep).stored
        bits = (p.size * (self.target.storage if k in stored else p.format).bits
                for k, p in self.weights.items())  # fmt: skip
        return -(-sum(bits) // 8)

    def wide_nodes(self, keep: Keep) -> list[str]:
        """The nodes that compute in float32, in the order of the file."""
        narrow = self.sides(keep).narrow
        floats = (path for path, node in self.nodes.items() if FLOAT in (*node.operator.given, *node.operator.elements))
        return [path for path in floats if path not in narrow]

    def policy(self, keep: Keep) -> Policy:
        """What `halfsim.precision` takes to run the model so, with all weights in the file's own format."""
        wide, target = self.wide_nodes(keep), rule_name(self.target)
        rules: dict[str, Any] = {"default": target}
        for path in self.nodes:
            if path in wide:
                rules[_pattern(path)] = "fp32"
            elif any(path.startswith(f"{other}.") for other in wide):
                rules[_pattern(path)] = target
        return Policy(rules)

    # Running.

    def run(
        self, feeds: Mapping[str, Any], keep: Keep | None, watch: Iterable[Any] = (), whole: bool = False
    ) -> Outputs:
        """The outputs with ``keep`` in float32, None for all; outside all scopes and traces but those of ``watch``.

        With ``whole`` weights are rounded where nodes read them, so that a trace sees it happen.
        """
        return Context().run(self._run, feeds, keep, tuple(watch), whole)

    def _run(self, feeds: Mapping[str, Any], keep: Keep | None, watch: Sequence[Any], whole: bool) -> Outputs:
        manual_seed(0)
        sides = Sides() if keep is None else self.sides(keep)
        held, hooks = self.model._parameters, list[Any]()
        try:
            if not whole:
                held.update((key, self.narrow(key)) for key in sides.stored)
            for path, node in self.nodes.items():
                which = sides.narrow.get(path)
                node._precision = FP32 if which is None else self.target
                if which is not None:
                    hooks.append(node.register_forward_hook(_made_narrow(which[1])))
                    if not whole:
                        hooks.append(node.register_forward_pre_hook(_read_narrow(which[0])))
            with ExitStack() as stack:
                for context in (*watch, no_grad()):
                    stack.enter_context(context)
                found = [as_array(x) for x in self.model._run(dict(feeds), None)]
            return dict(self._named(self.model.output_names, found))
        finally:
            held.update(self.wide)
            for hook in hooks:
                hook.remove()

    def narrow(self, key: str) -> Parameter:
        """A weight as the file stores it in the target."""
        if key not in self._narrow:
            self._narrow[key] = Parameter(tensor(self.wide[key], self.target.storage))
        return self._narrow[key]

    def _named(self, names: Sequence[str], values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        """The arrays of the outputs by name, those in sequences numbered; what is left out and text is passed over."""
        for name, value in zip(names, values, strict=True):
            if isinstance(value, (list, tuple)):
                yield from self._named([f"{name}[{i}]" for i in range(len(value))], value)
            elif value is not None and np.asarray(value).dtype.kind in "biufV":
                array = np.asarray(value)
                yield name, array.astype(np.float32) if name in self._floats else array

    def hooked(self, hook: Callable[[str, Any], None]) -> Hooked:
        """A context in which ``hook`` is told the path and the results of each node."""
        return Hooked(self.nodes, hook)


class Hooked:
    """A context in which a function is told the path and the results of each of some nodes."""

    def __init__(self, nodes: Mapping[str, Node], hook: Callable[[str, Any], None]) -> None:
        self.nodes, self.hook, self.hooks = nodes, hook, list[Any]()

    def __enter__(self) -> None:
        for path, node in self.nodes.items():
            self.hooks.append(node.register_forward_hook(lambda _, given, found, path=path: self.hook(path, found)))

    def __exit__(self, *exception: object) -> None:
        for hook in self.hooks:
            hook.remove()


def _read_narrow(which: Sequence[bool]) -> Callable[[Any, Any], Any]:
    """A hook for what a node that computes in the target reads, which is cast down where it was made in float32."""
    return lambda node, values: _cast(values, which)


def _made_narrow(which: Sequence[bool]) -> Callable[[Any, Any, Any], Any]:
    """A hook for the results of such a node: one that only moves values would leave float32 as it is."""
    return lambda node, values, found: _cast(found, which)


def _cast(values: Sequence[Any], which: Sequence[bool]) -> tuple[Any, ...]:
    return tuple(
        stored(x) if i < len(which) and which[i] and is_float(x) and x.format == float32 else x
        for i, x in enumerate(values)
    )


def _pattern(path: str) -> str:
    """A policy's pattern for one path, whose own characters may mean something there."""
    return path.replace("[", "[[]").replace("@", "?")
