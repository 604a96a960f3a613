"""Which inputs and outputs of a node may be half, as the operator's own schema says in the opset of the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halfsim.onnx.elements import formal
from halfsim.onnx.operator import Operator
from halfsim.onnx.operators import ROWS
from halfsim.onnx.operators.table import ML
from halfsim.onnx.package import package
from halfsim.onnx.values import FLOAT, WORDS

# Operators whose result has a type that they choose themselves, and that follows the plan.
CHOOSE = {"Cast", "ConstantOfShape"}
# Inputs that steer an operator and may be half by the schema, though a rounded one asks for another place.
_STEERING = {("Resize", "roi")}
# What begins a computation with lengths, and what ends it: the values of these do not come from the lengths they read.
_LENGTHS = {"Shape", "Size"}
# Operators that take half by their schema, and hold numbers in float32 in their attributes or in their own definition.
_WIDE = {("", "MeanVarianceNormalization")}
_FRESH = {"ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}


def schema_of(operator: Operator) -> Any:
    """The definition of a node's operator in the version that the file asks for."""
    domain, name = operator.key
    return package().defs.get_schema(name, operator.opsets[domain], domain)


def moves(operator: Operator) -> bool:
    """Whether an operator only moves values from place to place."""
    if operator.key == ("", "Cast"):
        return operator.given == operator.elements  # to the type that is there
    row = ROWS.get(operator.key)
    return operator.key == ("", "Identity") or (row is not None and row.given == "moved")


def moved_inputs(operator: Operator) -> list[bool]:
    """Of each input of an operator that moves values, whether it is moved, and does not say where to."""
    if operator.key == ("", "Cast"):
        return [True]
    schema = schema_of(operator)
    first = schema.outputs[0].type_str
    return [getattr(formal(schema.inputs, i), "type_str", "") == first for i in range(len(operator.given))]


def counts(operator: Operator, counted: Sequence[bool], constant: Sequence[bool]) -> bool:
    """Whether a node's results are lengths, or computed from lengths and constants alone."""
    if operator.key[1] in _LENGTHS:
        return True
    if operator.key[1] in _FRESH:
        return False
    here = moved_inputs(operator) if moves(operator) else [True] * len(counted)
    asked = [(c, k) for c, k, used in zip(counted, constant, here, strict=True) if used]
    return any(c for c, _ in asked) and all(c or k for c, k in asked)


def half_slots(operator: Operator, half: int) -> tuple[list[bool], list[bool]] | None:
    """Of each input and output that is float32 in the file, whether it is ``half`` when the node runs in it.

    None for a node that cannot: its operator takes no such type in this opset, computes on sequences or graphs, or
    chooses the type of its result in a way of its own; or the file does not tell a type that may be float32.
    """
    if (
        operator.graphs
        or operator.key in _WIDE
        or operator.key[0] == ML
        or not (FLOAT in operator.given or operator.key[1] in CHOOSE)
    ):
        return None
    schema, name = schema_of(operator), operator.key[1]
    word = f"tensor({WORDS[half]})"

    def takes(parameter: Any) -> bool:
        return word in parameter.types and parameter.is_homogeneous and (name, parameter.name) not in _STEERING

    formals = [formal(schema.inputs, i) for i in range(len(operator.given))]
    results = [formal(schema.outputs, i) for i in range(len(operator.elements))]
    if name != "Identity" and any(not t.startswith("tensor(") for p in (*formals, *results) for t in p.types):
        return None
    names = [*operator.proto.input, *operator.proto.output]
    untold = (n and not e for n, e in zip(names, [*operator.given, *operator.elements], strict=True))
    if any(u and "tensor(float)" in p.types for u, p in zip(untold, [*formals, *results], strict=True)):
        return None
    inputs = [e == FLOAT and takes(p) for e, p in zip(operator.given, formals, strict=True)]
    bound = {p.type_str for goes, p in zip(inputs, formals, strict=True) if goes}
    outputs = []
    for parameter, element in zip(results, operator.elements, strict=True):
        free = name in CHOOSE or parameter.type_str in bound
        if element == FLOAT and takes(parameter) and not free:
            return None
        outputs.append(element == FLOAT and free and takes(parameter))
    return (inputs, outputs) if any(inputs) or any(outputs) else None
