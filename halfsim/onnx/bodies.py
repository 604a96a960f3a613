"""Operators that are defined by others: the bodies that their definitions have, with a node's own attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halfsim.onnx.operator import Operator
from halfsim.onnx.package import package
from halfsim.onnx.values import element_of


def body_of(operator: Operator, values: Sequence[Any]) -> tuple[Any, dict[str, int]]:
    """The function that a node's operator stands for, given its inputs, with the versions of operators in it.

    ``ValueError`` if there is none.
    """
    onnx, node = package(), operator.proto
    domain, name = operator.key
    schema = onnx.defs.get_schema(name, operator.opsets[domain], domain)
    function = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        types = [_typed(element, x) for element, x in zip(operator.given, values, strict=False)]
        function.ParseFromString(
            schema.get_context_dependent_function(node.SerializeToString(), [t.SerializeToString() for t in types])
        )
    elif schema.has_function:
        function.CopyFrom(schema.function_body)
    else:
        raise ValueError(f"{name}: these types are not allowed; allowed: floats")
    opsets = {**operator.opsets, **{_own(o.domain): int(o.version) for o in function.opset_import}}
    given = {a.name: a for a in node.attribute}
    for key, definition in schema.attributes.items():
        if key not in given and definition.default_value.type:
            given[key] = definition.default_value
    for inner in function.node:
        _referred(inner, given)
    asked = [name if i < len(node.output) and node.output[i] else "" for i, name in enumerate(function.output)]
    del function.output[:]
    function.output.extend(asked)  # a body may make only what is asked for
    return function, opsets


def _own(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _typed(element: int, value: Any) -> Any:
    """The declaration of an input, empty for one left out."""
    onnx, found = package(), element or element_of(value)
    if value is None or not found:
        return onnx.TypeProto()
    if isinstance(value, (list, tuple)):
        return onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(found, None))
    return onnx.helper.make_tensor_type_proto(found, list(value.shape))


def _referred(node: Any, given: dict[str, Any]) -> None:
    """Put the attributes of the calling node where those of the body refer to them; those not given are left out."""
    kept = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            source = given.get(attribute.ref_attr_name)
            if source is None:
                continue
            named = type(attribute)()
            named.CopyFrom(source)
            named.name = attribute.name
            kept.append(named)
        else:
            for graph in [attribute.g, *attribute.graphs]:
                for inner in graph.node:
                    _referred(inner, given)
            kept.append(attribute)
    copies = [type(a).FromString(a.SerializeToString()) for a in kept]
    del node.attribute[:]
    node.attribute.extend(copies)
