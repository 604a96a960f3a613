"""What `halfsim.onnx.load` gives: a module like any other, in the types of the file, run as onnxruntime runs it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs

pytest.importorskip("onnx", reason="the package onnx is missing; it comes with: pip install 'halfsim[onnx]'")

from tests.onnx.making import BOOL, FLOAT, FLOAT16, INT64, by_onnxruntime, graph, helper, model, node, onnx, value

RNG = np.random.default_rng(20260101)
W1, B1, W2 = (RNG.normal(size=s).astype(np.float32) for s in ((4, 8), (8,), (8, 3)))
X = RNG.normal(size=(5, 4)).astype(np.float32)


def network(**names: str) -> Any:
    """Two layers and a softmax."""
    called = {"first": "fc.1/MatMul", "add": "", "last": "head", **names}
    nodes = [
        node("MatMul", ["x", "w1"], ["a"], name=called["first"]),
        node("Add", ["a", "b1"], ["b"], name=called["add"]),
        node("Relu", ["b"], ["c"], name=called["add"]),
        node("MatMul", ["c", "w2"], ["d"], name=called["last"]),
        node("Softmax", ["d"], ["y"], name=called["last"], axis=1),
    ]
    return model(nodes, [value("x", FLOAT, ["N", 4])], [value("y", FLOAT, ["N", 3])], w1=W1, b1=B1, w2=W2)


def expected(x: Any = X) -> Any:
    z = np.maximum(x.astype(np.float64) @ W1 + B1, 0) @ W2
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_importing_halfsim_imports_neither_the_room_nor_the_package() -> None:
    code = """if True:
        import sys, halfsim
        assert not {"onnx", "halfsim.onnx"} & {*sys.modules}
        halfsim.onnx
        assert "onnx" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(hs.__file__).parents[1])


def test_paths_bytes_and_protos_give_the_same(tmp_path: Path) -> None:
    proto = network()
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    found = [hs.onnx.load(m).run(None, {"x": X})[0] for m in (path, str(path), path.read_bytes(), proto)]
    assert all((y == found[0]).all() for y in found)
    np.testing.assert_allclose(found[0], expected(), rtol=1e-5)
    theirs = by_onnxruntime(network(last=""), {"x": X})[0]  # which refuses doubled names
    np.testing.assert_allclose(found[0], theirs, rtol=1e-5)


def test_paths_are_the_names_of_the_file_and_unnamed_and_doubled_ones_are_numbered() -> None:
    m = hs.onnx.load(network())
    assert [path for path, _ in m.named_modules()] == ["", "fc.1/MatMul", "Add_0", "Relu_0", "head", "head_0"]
    assert [m.get_submodule(p).op_type for p in ("fc.1/MatMul", "head", "head_0")] == ["MatMul", "MatMul", "Softmax"]
    assert [name for name, _ in m.named_parameters()] == ["w1", "b1", "w2"]
    assert m.get_parameter("w1").name == "w1"


def test_a_call_gives_tensors_and_gradients_as_any_module() -> None:
    m = hs.onnx.load(network())
    y = m(X)
    assert isinstance(y, hs.Tensor)
    assert (m(x=hs.tensor(X)).numpy() == y.numpy()).all()
    (-y[:, 0].log().sum()).backward()
    w1, b1, w2 = (hs.tensor(w, requires_grad=True) for w in (W1, B1, W2))
    twin = hs.ops.softmax(hs.ops.relu(hs.tensor(X) @ w1 + b1) @ w2, 1)
    (-twin[:, 0].log().sum()).backward()
    for name, other in (("w1", w1), ("b1", b1), ("w2", w2)):
        assert (m.get_parameter(name).grad.numpy() == other.grad.numpy()).all()
    assert m.run(None, {"x": X})[0].dtype == np.float32


def test_the_state_is_the_weights_by_their_names_and_comes_back() -> None:
    m, other = hs.onnx.load(network()), hs.onnx.load(network())
    with hs.no_grad():
        other.get_parameter("w1").data *= 2
    assert list(m.state_dict()) == ["w1", "b1", "w2"]
    assert (other.run(None, {"x": X})[0] != m.run(None, {"x": X})[0]).any()
    other.load_state_dict(m.state_dict())
    assert (other.run(None, {"x": X})[0] == m.run(None, {"x": X})[0]).all()
    for made in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert (made.run(None, {"x": X})[0] == m.run(None, {"x": X})[0]).all()


def test_a_precision_and_a_policy_rule_it_as_any_module() -> None:
    m = hs.onnx.load(network())
    with hs.precision("fp16"):
        half = m(X)
    assert half.format is hs.float16
    h = hs.tensor(X, "fp16"), *(hs.tensor(w, "fp16") for w in (W1, B1, W2))
    with hs.precision("fp16"):
        twin = hs.ops.softmax(hs.ops.relu(h[0] @ h[1] + h[2]) @ h[3], 1)
    assert (half.bits() == twin.bits()).all()
    with hs.precision({"default": "fp16", "head*": "fp32"}):
        assert m(X).format is hs.float32
    with pytest.raises(ValueError, match="fc.1/Matmul"), hs.precision({"default": "fp16", "fc.1/Matmul": "fp32"}):
        m(X)


def test_the_verdict_speaks_of_the_node() -> None:
    m = hs.onnx.load(network())
    with hs.trace() as t, hs.precision("fp16"):
        m(X * np.float32(30000))
    found = t.verdict()
    assert (found.klass, found.op, found.path) == ("overflow", "matmul", "fc.1/MatMul")


def test_search_and_mend_take_it() -> None:
    m = hs.onnx.load(network())
    x = X * np.float32(20000)
    found = hs.search_policy(lambda: m(x), model=m, accept=lambda y: bool(np.isfinite(y.numpy()).all()))
    assert found.found
    with hs.precision(found.policy):
        assert np.isfinite(m(x).numpy()).all()
    assert hs.mend(lambda: m(x), target="fp16").best is not None


# The types of the file.


def mixed() -> Any:
    """A float32 node, one in float16, a float32 node again."""
    nodes = [
        node("Mul", ["x", "k"], ["a"], name="wide"),
        node("Cast", ["a"], ["h"], name="down", to=FLOAT16),
        node("Mul", ["h", "half"], ["g"], name="narrow"),
        node("Cast", ["g"], ["w"], name="up", to=FLOAT),
        node("Mul", ["w", "k"], ["y"], name="last"),
    ]
    return model(nodes, [value("x", FLOAT, ["N"])], ["y", value("g", FLOAT16)], k=np.float32(1.1), half=np.float16(3.3))


def test_outside_a_precision_a_node_computes_in_the_type_of_the_file() -> None:
    x = np.array([1.7, 20000.0, 1e-6], np.float32)
    y, narrow = hs.onnx.load(mixed()).run(None, {"x": x})
    with np.errstate(over="ignore"):
        half = ((x * np.float32(1.1)).astype(np.float16) * np.float32(np.float16(3.3))).astype(np.float16)
    assert (y.dtype, narrow.dtype) == (np.float32, np.float16)
    assert (narrow == half).all()
    assert np.isinf(narrow[1])
    assert (y == half.astype(np.float32) * np.float32(1.1)).all()


@pytest.mark.parametrize("rule", ["bf16", "pure_fp16", {"default": "bf16"}, "fp64"])
def test_a_precision_rules_float32_nodes_and_float16_stays(rule: Any) -> None:
    m = hs.onnx.load(mixed())
    formats: dict[str, Any] = {}
    for path, part in m.named_children():
        part.register_forward_hook(lambda _, args, out, path=path: formats.__setitem__(path, out[0].format))
    with hs.precision(rule):
        m(np.array([1.7], np.float32))
    wide = {"pure_fp16": hs.float16, "fp64": hs.float64}.get(str(rule), hs.bfloat16)
    assert [formats[p] for p in ("wide", "down", "narrow", "up", "last")] == [wide, hs.float16, hs.float16, wide, wide]


def test_one_that_beats_all_others_rules_float16_too() -> None:
    with hs.precision("fp64", override=True):
        y, g = hs.onnx.load(mixed())(np.array([1.7], np.float32))
    assert y.format is g.format is hs.float64


def test_narrow_types_keep_their_codes() -> None:
    kinds = [
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.FLOAT8E4M3FN,
        onnx.TensorProto.FLOAT8E5M2,
        onnx.TensorProto.INT4,
    ]
    nodes = [node("Cast", ["x"], [f"y{k}"], to=k) for k in kinds]
    proto = model(nodes, [value("x", FLOAT, [4])], [value(f"y{k}", k) for k in kinds], opset=21)
    x = np.array([1.3, -0.02, 3.0, 2.0], np.float32)
    found = hs.onnx.load(proto).run(None, {"x": x})
    import ml_dtypes

    types = (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4)
    for y, dtype in zip(found, types, strict=True):
        assert y.dtype == dtype
        assert (y == x.astype(dtype)).all()


# Graphs in graphs, sequences, functions, data beside the file.


def test_branches_loops_and_what_they_capture() -> None:
    body = graph(
        [node("Mul", ["v", "x"], ["w"], name="inner"), node("Identity", ["c"], ["d"]), node("Add", ["w", "k"], ["s"])],
        [value("i", INT64, []), value("c", BOOL, []), "v"], [value("d", BOOL, []), "w", "s"],
    )  # fmt: skip
    then, other = (graph([node(op, ["l"], ["t"], name=f"{op} it")], [], ["t"]) for op in ("Neg", "Exp"))
    nodes = [
        node("Loop", ["n", "", "x"], ["l", "all"], name="loop", body=body),
        node("If", ["ask"], ["y"], name="choice", then_branch=then, else_branch=other),
    ]
    proto = model(nodes, [value("x", FLOAT, [2]), value("n", INT64, []), value("ask", BOOL, [])], ["y", "all"],
                  k=np.float32(0.5))  # fmt: skip
    m = hs.onnx.load(proto)
    assert {"loop", "inner", "choice", "Neg it", "Exp it"} <= {path for path, _ in m.named_modules()}
    x = np.array([0.5, 2.0], np.float32)
    for n, ask in ((3, True), (1, False), (0, True)):
        feeds = {"x": x, "n": np.array(n), "ask": np.array(ask)}
        y, every = m.run(None, feeds)
        last = x ** (n + 1)
        np.testing.assert_allclose(y, -last if ask else np.exp(last), rtol=1e-6)
        if n:
            np.testing.assert_allclose(every, [x ** (i + 2) + 0.5 for i in range(n)], rtol=1e-6)
    with hs.trace() as t, hs.precision("fp16"):
        m(np.array([200.0, 300.0], np.float32), np.array(3), np.array(True))
    assert t.verdict().path == "inner"


def test_sequences_and_missing_values_are_fed_as_in_onnxruntime() -> None:
    kind = helper.make_tensor_type_proto(FLOAT, None)
    sequence = helper.make_value_info("s", helper.make_sequence_type_proto(kind))
    maybe = helper.make_value_info("o", helper.make_optional_type_proto(kind))
    nodes = [node("ConcatFromSequence", ["s"], ["y"], axis=0), node("OptionalHasElement", ["o"], ["there"])]
    m = hs.onnx.load(model(nodes, [sequence, maybe], ["y", value("there", BOOL)], opset=18))
    parts = [np.array([1.0, 2.0], np.float32), np.array([3.0], np.float32)]
    y, there = m.run(["y", "there"], {"s": parts, "o": None})
    assert y.tolist() == [1, 2, 3]
    assert not there
    assert m.run(["there"], {"s": parts, "o": parts[0]})[0]


def test_functions_of_the_file_are_put_where_they_are_called() -> None:
    nodes = [node("Mul", ["a", "a"], ["t"], name="square"), node("Add", ["t", "a"], ["b"], name="add")]
    function = helper.make_function("mine", "Poly", ["a"], ["b"], nodes, [helper.make_opsetid("", 17)])
    calls = [node("Poly", ["x"], ["h"], domain="mine"), node("Poly", ["h"], ["y"], domain="mine")]
    m = hs.onnx.load(model(calls, [value("x", FLOAT, [2])], ["y"], functions=[function], domains={"mine": 1}))
    x = np.array([2.0, -1.0], np.float32)
    assert m.run(None, {"x": x})[0].tolist() == [42.0, 0.0]
    assert len([*m.children()]) == 4


def test_the_long_name_of_onnxs_own_domain_is_known() -> None:
    nodes = [node("Add", ["i", "i"], ["j"], domain="ai.onnx"), node("Neg", ["x"], ["y"], domain="ai.onnx")]
    proto = model(nodes, [value("i", INT64, [1]), value("x", FLOAT, [1])], [value("j", INT64), "y"])
    proto.opset_import[0].domain = "ai.onnx"
    j, y = hs.onnx.load(proto).run(None, {"i": np.array([2]), "x": np.array([1.5], np.float32)})
    assert (j.tolist(), y.tolist()) == ([4], [-1.5])


def test_an_input_with_a_value_in_the_file_may_be_left_out() -> None:
    proto = model([node("Add", ["x", "w"], ["y"])], [value("x", FLOAT, [2]), value("w", FLOAT, [2])], ["y"],
                  w=np.array([1.0, 2.0], np.float32))  # fmt: skip
    m = hs.onnx.load(proto)
    x = np.ones(2, np.float32)
    assert m.input_names == ["x"]
    assert m.run(None, {"x": x})[0].tolist() == [2, 3]
    assert m.run(None, {"x": x, "w": x})[0].tolist() == [2, 2]


def test_data_beside_the_file_is_read_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save_model(network(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    np.testing.assert_allclose(hs.onnx.load(path).run(None, {"x": X})[0], expected(), rtol=1e-5)


def test_values_are_let_go_of_after_their_last_use_and_nothing_goes_on_the_tape() -> None:
    m = hs.onnx.load(network())
    assert [step.freed for step in m.graph.steps] == [["x"], ["a"], ["b"], ["c"], ["d"]]
    made: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def watch(part: Any, args: Any, results: Any) -> None:
        alive.append(sum(one() is not None for one in made))  # its operand, but none before that
        made.append(weakref.ref(results[0]))
        assert results[0].node is None

    for part in m.children():
        part.register_forward_hook(watch)
    m.run(None, {"x": X})
    assert alive == [0, 1, 1, 1, 1]


def test_weights_of_nodes_are_parameters_too_and_halves_say_what_they_lost() -> None:
    wide = np.array([1e5, 2e5], np.float32)
    constant = node("Constant", [], ["w"], name="weights", value=onnx.numpy_helper.from_array(wide))
    m = hs.onnx.load(model([constant, node("Mul", ["x", "w"], ["y"])], [value("x", FLOAT, [2])], ["y"]))
    assert [name for name, _ in m.named_parameters()] == ["w"]
    with pytest.warns(Warning, match="w"):
        m.half()
    assert np.isinf(m.run(None, {"x": np.ones(2, np.float32)})[0]).all()
