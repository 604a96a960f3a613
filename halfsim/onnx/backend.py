"""The backend that onnx's own test runner takes: `halfsim.onnx.backend` is the class itself.

>>> import halfsim.onnx.backend
>>> halfsim.onnx.backend.supports_device("CPU"), halfsim.onnx.backend.supports_device("CUDA")
(True, False)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from halfsim.onnx.model import Model, load
from halfsim.onnx.package import package

package()

from onnx.backend.base import Backend, BackendRep, namedtupledict  # noqa: E402


class Prepared(BackendRep):  # type: ignore[misc, unused-ignore]
    """A model that is ready to run: ``run`` takes its inputs in a list, or by name, and gives its outputs."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def run(self, inputs: Any, **kwargs: Any) -> Any:
        """The outputs as a named tuple of NumPy arrays."""
        names = self.model.input_names
        if not isinstance(inputs, Mapping) and len(inputs) > len(names):
            names = self.model.graph.inputs  # those with a value in the file too
        feeds = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=False))
        outputs = self.model.output_names
        return namedtupledict("Outputs", outputs)(*self.model.run(None, feeds))


class backend(Backend):  # type: ignore[misc, unused-ignore]  # noqa: N801  # the name under which it is imported
    """ONNX's backend of halfsim, for its test runner and whoever else takes one.

    `prepare` reads a model and gives what runs it; `run_model` does both; only the device "CPU" is there.
    """

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether every operator of the model is there."""
        try:
            load(model)
        except (NotImplementedError, ValueError, TypeError):
            return False
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> Prepared:
        """What runs the model; ``ValueError`` for another device than the CPU, else as `halfsim.onnx.load`."""
        if not cls.supports_device(device):
            raise ValueError(f"device: {device!r} is not allowed; allowed: 'CPU'")
        return Prepared(load(model))

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any) -> Any:
        """The outputs of a model for its inputs."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any) -> Any:
        """The outputs of one node for its inputs, in the newest opset or ``opset_version``."""
        onnx = package()
        arrays = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
        names = [name for name in node.input if name]
        given = [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in zip(names, arrays, strict=True)
        ]
        made = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
        opset = onnx.helper.make_opsetid(node.domain, kwargs.get("opset_version") or onnx.defs.onnx_opset_version())
        graph = onnx.helper.make_graph([node], "node", given, made)
        return cls.run_model(onnx.helper.make_model(graph, opset_imports=[opset]), arrays, device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it runs there: on the CPU."""
        return device.partition(":")[0] == "CPU"


sys.modules[__name__] = backend  # type: ignore[assignment]
