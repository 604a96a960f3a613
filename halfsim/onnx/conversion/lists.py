"""What has to stay in float32, in the words of the tools that convert models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from halfsim.onnx.conversion.plan import planned


def block_lists(
    model: Any, keep_nodes: Collection[str] = (), keep_tensors: Collection[str] = (), target: Any = "fp16"
) -> dict[str, list[str]]:
    """The arguments by which other tools leave nodes in float32, for what `mixed` would keep.

    ``node_block_list`` goes with ``convert_float_to_float16`` of onnxconverter-common and of onnxruntime.transformers,
    ``nodes_to_exclude`` with onnxruntime's quantization, Olive, and ModelOpt's AutoCast. Both have the names of
    the nodes in the file, those that read a tensor to keep included, since these tools keep nodes alone. A node without
    a name, or with one that another has, cannot be named to them; its operator stands in ``op_block_list``, with those
    all of whose nodes are kept. Given to onnxconverter-common that replaces its own list, ``DEFAULT_OP_BLOCK_LIST``.
    """
    sites = list(planned(model, keep_nodes, keep_tensors, target)[1].every())
    named = Counter(site.node.name for site in sites)
    kept = [site.node for site in sites if site.held and site.node.op_type != "Constant"]
    names = [node.name for node in kept if node.name and named[node.name] == 1]
    every, held = Counter(site.node.op_type for site in sites), Counter(node.op_type for node in kept)
    nameless = {node.op_type for node in kept if not node.name or named[node.name] > 1}
    operators = sorted(nameless | {op for op in held if held[op] == every[op]})
    return {"op_block_list": operators, "node_block_list": names, "nodes_to_exclude": list(names)}
