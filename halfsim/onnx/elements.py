"""Element types of a graph's values, from the operators' own schemas: what the file says before anything runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from halfsim.onnx.package import package
from halfsim.onnx.values import NUMBERS, WORDS

_TENSOR = re.compile(r"tensor\((\w+)\)")
_BY_ATTRIBUTE = {"Cast": "to", "EyeLike": "dtype", "SequenceEmpty": "dtype", "Bernoulli": "dtype",
                 "Multinomial": "dtype", "RandomNormal": "dtype", "RandomUniform": "dtype", "RandomNormalLike": "dtype",
                 "RandomUniformLike": "dtype", "HannWindow": "output_datatype", "HammingWindow": "output_datatype",
                 "BlackmanWindow": "output_datatype", "MelWeightMatrix": "output_datatype", "BitCast": "to",
                 "QuantizeLinear": "output_dtype", "DequantizeLinear": "output_dtype"}  # fmt: skip
# Operators whose results have the element type of an input of another kind: of a sequence its tensors.
_AS_INPUT = {"SequenceAt": 0, "SequenceConstruct": 0, "SequenceInsert": 0, "SequenceErase": 0, "SplitToSequence": 0,
             "ConcatFromSequence": 0, "Optional": 0, "OptionalGetElement": 0, "CastLike": 1, "Identity": 0,
             "QuantizeLinear": 2, "DequantizeLinear": 1, "EyeLike": 0, "Bernoulli": 0, "RandomNormalLike": 0,
             "RandomUniformLike": 0}  # fmt: skip


def declared(type_proto: Any) -> int:
    """The element type that a declaration has, 0 where it has none; of a sequence or an optional that inside."""
    kind = type_proto.WhichOneof("value")
    if kind == "tensor_type":
        return int(type_proto.tensor_type.elem_type)
    if kind in ("sequence_type", "optional_type"):
        return declared(getattr(type_proto, kind).elem_type)
    return int(type_proto.sparse_tensor_type.elem_type) if kind == "sparse_tensor_type" else 0


def formal(parameters: Sequence[Any], i: int) -> Any:
    """The formal parameter that stands for the ``i``-th of a node, None past the last."""
    if i < len(parameters):
        return parameters[i]
    variadic = package().defs.OpSchema.FormalParameterOption.Variadic
    return parameters[-1] if parameters and parameters[-1].option == variadic else None


def _words(parameter: Any) -> set[str]:
    return {word for text in parameter.types for word in _TENSOR.findall(text)}


def of_results(node: Any, schema: Any, attributes: dict[str, Any], inputs: Sequence[int]) -> tuple[list[int], str]:
    """The element types of a node's results, 0 for what the schema does not tell; and what is wrong with its inputs."""
    bound: dict[str, int] = {}
    wrong = ""
    single = package().defs.OpSchema.FormalParameterOption.Single
    left_out = (formal(schema.inputs, i) for i, name in enumerate(node.input) if not name)
    if len(node.input) < schema.min_input or any(p is not None and p.option == single for p in left_out):
        wrong = f"{len(list(filter(None, node.input)))} inputs are not allowed; allowed: {schema.min_input} at least"
    for i, element in enumerate(inputs):
        parameter = formal(schema.inputs, i)
        if parameter is None:
            return [0] * len(node.output), f"{len(inputs)} inputs are not allowed; allowed: {schema.max_input}"
        if not element:
            continue
        words = _words(parameter)
        if words and WORDS[element] not in words:
            wrong = wrong or f"{parameter.name}: {WORDS[element]} is not allowed; allowed: {', '.join(sorted(words))}"
        first = bound.setdefault(parameter.type_str, element)
        if first != element and parameter.is_homogeneous and "(" not in parameter.type_str:
            wrong = wrong or f"{parameter.name}: {WORDS[element]} is not allowed; allowed: {WORDS[first]}, as before it"
    return [_result(node, schema, attributes, inputs, bound, i) for i in range(len(node.output))], wrong


def _result(
    node: Any, schema: Any, attributes: dict[str, Any], inputs: Sequence[int], bound: dict[str, int], i: int
) -> int:
    named = attributes.get(_BY_ATTRIBUTE.get(node.op_type, ""))
    if i == 0 and named:
        return int(named) if isinstance(named, int) else NUMBERS.get(str(named).lower(), 0)
    if i and node.op_type == "LayerNormalization":
        return int(attributes.get("stash_type", 1))  # of mean and deviation, whatever type their values have
    if node.op_type == "ConstantOfShape":
        value = attributes.get("value")
        return 1 if value is None else int(package().helper.np_dtype_to_tensor_dtype(value.dtype))
    parameter = formal(schema.outputs, i)
    words = set() if parameter is None else _words(parameter)
    if len(words) == 1:
        return NUMBERS.get(words.pop(), 0)
    if parameter is not None and parameter.type_str in bound and parameter.is_homogeneous:
        return bound[parameter.type_str]
    source = _AS_INPUT.get(node.op_type)
    if source is not None and source < len(inputs):
        return inputs[source]
    return NUMBERS["uint8"] if node.op_type == "QuantizeLinear" else 0
