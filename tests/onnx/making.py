"""Small models for tests, and what onnxruntime says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx as onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL, STRING, FLOAT16 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.STRING,
    TensorProto.FLOAT16,
)
node = helper.make_node


def value(name: str, kind: int = FLOAT, shape: Sequence[Any] | None = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def tensors(**arrays: Any) -> list[Any]:
    return [numpy_helper.from_array(np.asarray(x), name) for name, x in arrays.items()]


def graph(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], **arrays: Any) -> Any:
    named = (
        [value(x) if isinstance(x, str) else x for x in inputs],
        [value(x) if isinstance(x, str) else x for x in outputs],
    )
    return helper.make_graph(list(nodes), "g", *named, tensors(**arrays))


def model(
    nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], opset: int = 17, functions: Sequence[Any] = (),
    domains: Mapping[str, int] | None = None, **arrays: Any,
) -> Any:  # fmt: skip
    """A model of nodes, of inputs and outputs (names of float tensors, or declarations), and of tensors by name."""
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in (domains or {}).items())]
    made = graph(nodes, inputs, outputs, **arrays)
    return helper.make_model(made, opset_imports=opsets, functions=list(functions), ir_version=10)


def by_onnxruntime(proto: Any, feeds: Mapping[str, Any], optimized: bool = True) -> list[Any]:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is missing, to which onnx models are held")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if not optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    return list(runtime.InferenceSession(data, options).run(None, dict(feeds)))
