"""ONNX's own cases: a sample of them in every run, all of them in the slow group, as docs/onnx.md tells.

All of them ran on 2026-11-30 with onnx 1.23.2: 2,022 of 2,033 passed.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests
from onnx.backend.test.runner import Runner

import halfsim as hs
from tests import marks

FILES = [case for kind in ("simple", "pytorch-operator", "pytorch-converted") for case in load_model_tests(kind=kind)]

# Files of onnx's node cases, whose import makes the cases of an operator.
SAMPLE = (
    "abs", "batch_normalization", "clip", "conv", "convtranspose", "cumsum", "dequantizelinear", "einsum", "gather",
    "gatherelements", "gemm", "gridsample", "gru", "hardsigmoid", "if_", "instance_normalization", "loop", "lrn",
    "lstm", "matmul", "pad", "quantizelinear", "reducemax", "reshape", "resize", "rnn", "scan", "scatternd", "slice",
    "softmax", "split", "squeeze", "topk", "transpose", "unique", "where",
)  # fmt: skip


def _read(path: Path, kind: Any) -> Any:
    which = kind.WhichOneof("value")
    proto = {"sequence_type": onnx.SequenceProto, "optional_type": onnx.OptionalProto}.get(which, onnx.TensorProto)()
    proto.ParseFromString(path.read_bytes())
    as_python = {"sequence_type": numpy_helper.to_list, "optional_type": numpy_helper.to_optional}
    return as_python.get(which, numpy_helper.to_array)(proto)


@pytest.mark.parametrize("case", FILES, ids=[case.name for case in FILES])
def test_a_case_that_onnx_keeps_as_a_file(case: Any) -> None:
    folder = Path(case.model_dir)
    model = hs.onnx.load(folder / "model.onnx")
    proto = onnx.load(folder / "model.onnx").graph
    for data in sorted(folder.glob("test_data_set_*")):
        given = [_read(data / f"input_{i}.pb", x.type) for i, x in enumerate(proto.input)
                 if (data / f"input_{i}.pb").exists()]  # fmt: skip
        told = [_read(data / f"output_{i}.pb", x.type) for i, x in enumerate(proto.output)]
        found = hs.onnx.backend.prepare(onnx.load(folder / "model.onnx")).run(given)
        Runner.assert_similar_outputs(told, found, case.rtol, case.atol)
    assert model.output_names == [x.name for x in proto.output]


def test_the_files_are_all_there() -> None:
    assert Path(DATA_DIR).is_dir()
    assert len(FILES) >= 140


@functools.cache
def _made(subject: str) -> list[Any]:
    """The cases that the import of a file of onnx's makes; none where all were made before."""
    from onnx.backend.test.case.node import _NodeTestCases

    before = len(_NodeTestCases)
    importlib.import_module(f"onnx.backend.test.case.node.{subject}")
    return list(_NodeTestCases[before:])


def _array(x: Any) -> Any:
    return numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else x


@pytest.mark.parametrize("subject", SAMPLE)
@pytest.mark.filterwarnings("ignore")  # of what makes the cases
def test_the_cases_of_an_operator(subject: str) -> None:
    found = [case for case in _made(subject) if "loop16_seq_none" not in case.name]  # which the runner cannot compare
    if not found:
        pytest.skip("all of onnx's cases were made before")
    for case in found:
        prepared = hs.onnx.backend.prepare(case.model)
        for given, told in case.data_sets:
            results = prepared.run([_array(x) for x in given])
            Runner.assert_similar_outputs([_array(x) for x in told], results, case.rtol, case.atol)


def test_a_node_alone_runs_on_the_backend() -> None:
    node = onnx.helper.make_node("Add", ["a", "b"], ["c"])
    one = np.ones(2, np.float32)
    assert hs.onnx.backend.run_node(node, [one, one])[0].tolist() == [2.0, 2.0]
    assert issubclass(hs.onnx.backend, onnx.backend.base.Backend)
    assert not hs.onnx.backend.supports_device("CUDA")


def test_the_backend_knows_what_it_cannot_run() -> None:
    graph = onnx.helper.make_graph([onnx.helper.make_node("Foo", ["x"], ["y"])], "g",
                                   [onnx.helper.make_tensor_value_info("x", 1, [1])],
                                   [onnx.helper.make_tensor_value_info("y", 1, [1])])  # fmt: skip
    assert not hs.onnx.backend.is_compatible(onnx.helper.make_model(graph))


@pytest.mark.slow
def test_every_case_comes_out_as_the_page_tells() -> None:
    from tests.onnx import conformance

    found = [conformance.outcome(*key, run) for key, run in conformance.cases().items()]
    text = conformance.tables(found)
    assert text in marks.between(conformance.PAGE, "conformance")
    node = [one for one in found if one.suite == "NodeModel"]
    assert sum(one.kind == "passed" for one in node) >= 1800
    assert sum(one.kind == "wrong" for one in node) <= 15
    assert all(one.kind == "passed" for one in found if one.suite != "NodeModel")
    assert all(conformance.why(one.name) for one in found if one.kind != "passed")
