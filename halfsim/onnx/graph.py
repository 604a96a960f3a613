"""Graph: nodes in the order of the file, run one after another; a value is let go of after its last use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from halfsim.nn.module import Module
from halfsim.onnx.operator import Operator


class Node(Module):
    """A node as a module: its path is its name in the file, so that policies, traces and reports speak of it."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator

    @property
    def op_type(self) -> str:
        """The operator's name."""
        return str(self.operator.proto.op_type)

    @property
    def inputs(self) -> list[str]:
        """The names of the values that it reads, "" for one left out."""
        return list(self.operator.proto.input)

    @property
    def outputs(self) -> list[str]:
        """The names of the values that it makes."""
        return list(self.operator.proto.output)

    def forward(self, *values: Any, outer: Mapping[str, Any] | None = None, graph: Any = None) -> tuple[Any, ...]:
        """The results for the values of its inputs, as the graph has them."""
        return self.operator.run(values, outer or {}, graph)

    def extra_repr(self) -> str:
        return f"{self.op_type}: {', '.join(self.inputs)} -> {', '.join(self.outputs)}"


@dataclass
class Step:
    """One node where it stands: ``freed`` are the values that nothing reads after it."""

    operator: Operator
    node: Node | None
    inputs: list[str]
    outputs: list[str]
    freed: list[str] = field(default_factory=list)


def _found(name: str, known: Mapping[str, Any], around: Mapping[str, Any]) -> Any:
    """A value by its name; ``ValueError`` for one that a node should have made and did not."""
    if name in known:
        return known[name]
    if name not in around:
        raise ValueError(f"value {name!r} was not made by its node; allowed: nodes that make all their outputs")
    return around[name]


class Graph:
    """A graph of the file, or the body of a function: ``run`` takes the values of its inputs to those of its outputs.

    ``constants`` are values that stand in the file, ``learned`` those that ``owner`` holds as parameters or buffers,
    by their keys there.
    """

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str], owner: Module | None) -> None:
        self.inputs, self.outputs, self.owner = list(inputs), list(outputs), owner
        self.constants: dict[str, Any] = {}
        self.learned: dict[str, str] = {}
        self.steps: list[Step] = []

    def finish(self) -> Graph:
        """Decide after which step each value is let go of."""
        kept, seen = {*self.outputs, *self.constants, *self.learned, ""}, set[str]()
        made = {*self.inputs, *(name for step in self.steps for name in step.outputs)}
        for step in reversed(self.steps):
            used = {*step.inputs, *step.operator.captured, *step.outputs} & made
            step.freed = sorted(used - kept - seen)
            seen |= used
        return self

    def held(self) -> dict[str, Any]:
        """The values that stand in the file, by name."""
        found = dict(self.constants)
        if self.owner is not None:
            parameters, buffers = self.owner._parameters, self.owner._buffers
            for name, key in self.learned.items():
                found[name] = parameters[key] if key in parameters else buffers[key]
        return found

    def run(
        self, values: Sequence[Any], outer: Mapping[str, Any] | None = None, inputs: Sequence[str] | None = None
    ) -> list[Any]:
        """The values of its outputs, for those of its inputs, or of ``inputs`` alone where others have one in the file.

        ``outer`` has the values that it reads from the graph around it.
        """
        around: Mapping[str, Any] = outer or {}
        known = self.held()
        known.update(zip(self.inputs if inputs is None else inputs, values, strict=False))
        known[""] = None
        for step in self.steps:
            self._step(step, known, around)
            for name in step.freed:
                known.pop(name, None)
        return [_found(name, known, around) for name in self.outputs]

    def _step(self, step: Step, known: dict[str, Any], around: Mapping[str, Any]) -> None:
        values = [_found(name, known, around) for name in step.inputs]
        captured = {name: _found(name, known, around) for name in step.operator.captured}
        if step.node is None:
            results = step.operator.run(values, captured, self)
        else:
            results = step.node(*values, outer=captured, graph=self)
        known.update(zip(step.outputs, results, strict=False))
        known[""] = None

    def recomputed(self, name: str, given: Mapping[str, Any]) -> Any:
        """The value ``name``, computed again from values that are ``given`` and from those that stand in the file."""
        makers = {output: step for step in self.steps for output in step.outputs if output}
        known = {**self.held(), "": None, **given}
        wanted = [name]
        while wanted:
            step = makers.get(wanted[-1])
            if wanted[-1] in known:
                wanted.pop()
                continue
            if step is None:
                raise ValueError(f"y: {name!r} does not come from xs and zs alone; allowed: values that do")
            missing = [one for one in (*step.inputs, *step.operator.captured) if one not in known]
            if missing:
                wanted.extend(missing)
            else:
                self._step(step, known, {})
        return known[name]
