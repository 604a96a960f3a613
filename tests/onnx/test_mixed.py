"""Files in mixed precision: that onnxruntime loads them and computes what our run of them says, to the last bits."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.onnx.conversion.lists import block_lists
from halfsim.onnx.conversion.mixed import mixed
from halfsim.onnx.conversion.saving import _far, held, save, storing
from tests.onnx.making import BOOL, FLOAT, FLOAT16, INT64, by_onnxruntime, graph, model, node, onnx, value

helper = onnx.helper
RNG = np.random.default_rng(20260101)
BF16 = onnx.TensorProto.BFLOAT16
W1, W2 = (RNG.normal(size=s).astype(np.float32) for s in ((4, 8), (8, 3)))
B1 = RNG.normal(size=8).astype(np.float32)
X = RNG.normal(size=(5, 4)).astype(np.float32)


def every(g: Any) -> Iterator[Any]:
    """The nodes of a graph and of those inside."""
    for n in g.node:
        yield n
        for a in n.attribute:
            if a.type == a.GRAPH:
                yield from every(a.g)


def kinds(proto: Any) -> dict[str, int]:
    """The element types of all tensors, as onnx infers them, and of all weights."""
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    found = {t.name: t.data_type for t in inferred.initializer}
    for told in (*inferred.input, *inferred.output, *inferred.value_info):
        found[told.name] = told.type.tensor_type.elem_type
    return found


def casts(proto: Any) -> list[tuple[str, int]]:
    return [(n.input[0], n.attribute[0].i) for n in every(proto.graph) if n.op_type == "Cast"]


def converted(
    proto: Any, feeds: Mapping[str, Any], nodes: Collection[str] = (), tensors: Collection[str] = (), ulps: int = 1
) -> Any:
    """The model in mixed precision, held to what every such file is: sound, with its own face, and run alike."""
    made = mixed(proto, nodes, tensors)
    if all(o.type.tensor_type.HasField("shape") for o in proto.graph.output):
        onnx.checker.check_model(made, full_check=True)
    assert made.opset_import == proto.opset_import
    old = {t.name for t in proto.graph.initializer}
    for part in ("input", "output"):
        told = [[(x.name, x.type) for x in getattr(m.graph, part) if x.name not in old] for m in (proto, made)]
        assert told[0] == told[1]
    assert len({n.name for n in every(made.graph)}) == sum(1 for _ in every(made.graph))
    assert max(Counter(casts(made)).values(), default=1) == 1  # a tensor is cast once
    sources = {n.output[0]: (n.input[0], n.attribute[0].i) for n in every(made.graph) if n.op_type == "Cast"}
    assert not [n for n in sources.values() if n[0] in sources]  # no cast of a cast
    by_onnxruntime(made, feeds)
    loaded = hs.onnx.load(made)
    theirs = by_onnxruntime(storing(made, loaded), feeds, optimized=False)
    for ours, other in zip(loaded.run(None, feeds), theirs, strict=True):
        assert ours.dtype == other.dtype
        if ours.dtype.kind == "f":
            with np.errstate(over="ignore"):
                np.testing.assert_array_max_ulp(ours.astype(np.float16), other.astype(np.float16), ulps)
        else:
            assert (ours == other).all()
    return made


def network(first: str = "first", last: str = "last", **more: Any) -> Any:
    nodes = [
        node("MatMul", ["x", "w1"], ["a"], name=first),
        node("Add", ["a", "b1"], ["b"], name="add"),
        node("Relu", ["b"], ["c"]),
        node("MatMul", ["c", "w2"], ["d"], name=last),
        node("Softmax", ["d"], ["y"], name="soft", axis=1),
    ]
    return model(nodes, [value("x", FLOAT, ["N", 4])], [value("y", FLOAT, ["N", 3])], w1=W1, b1=B1, w2=W2, **more)


def test_all_in_half_has_a_cast_at_either_end() -> None:
    made = converted(network(), {"x": X})
    assert casts(made) == [("x", FLOAT16), ("y/fp16", FLOAT)]
    assert {t.data_type for t in made.graph.initializer} == {FLOAT16}
    assert [n.name for n in made.graph.node if n.op_type != "Cast"] == ["first", "add", "Relu_0", "last", "soft"]
    assert (onnx.numpy_helper.to_array(made.graph.initializer[0]) == W1.astype(np.float16)).all()


def test_a_kept_node_runs_in_float32_with_its_weights() -> None:
    made = converted(network(), {"x": X}, ["last"])
    assert casts(made) == [("x", FLOAT16), ("c", FLOAT), ("d", FLOAT16), ("y/fp16", FLOAT)]
    assert {t.name: t.data_type for t in made.graph.initializer} == {"w1": FLOAT16, "b1": FLOAT16, "w2": FLOAT}


def test_all_kept_is_the_model_itself() -> None:
    names = [path for path, _ in hs.onnx.load(network()).named_children()]
    made = converted(network(), {"x": X}, names)
    assert not casts(made)
    assert (by_onnxruntime(made, {"x": X})[0] == by_onnxruntime(network(), {"x": X})[0]).all()


@pytest.mark.parametrize("name", ["b1", "b", "a"])
def test_what_reads_or_makes_a_kept_tensor_runs_in_float32(name: str) -> None:
    found = kinds(converted(network(), {"x": X}, (), [name]))
    assert found[name] == FLOAT
    assert found["w2"] == FLOAT16
    assert found["w1"] == (FLOAT if name == "a" else FLOAT16)  # the node that makes it computes in float32


def test_a_kept_tensor_stays_so_when_it_is_only_moved() -> None:
    nodes = [
        node("Transpose", ["w"], ["t"], name="turn"), node("Reshape", ["t", "s"], ["r"], name="form"),
        node("MatMul", ["x", "r"], ["h"], name="product"), node("Neg", ["h"], ["y"], name="last"),
    ]  # fmt: skip
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [5, 8])], w=W1.T, s=np.array([4, 8]))
    found = kinds(converted(proto, {"x": X}, (), ["w"]))
    assert (found["w"], found["t"], found["r"], found["h"]) == (FLOAT, FLOAT, FLOAT, FLOAT)
    assert kinds(converted(proto, {"x": X}))["r"] == FLOAT16


def test_what_moves_values_stays_on_their_side() -> None:
    nodes = [
        node("Exp", ["x"], ["a"], name="one"), node("Transpose", ["a"], ["b"]), node("Reshape", ["b", "s"], ["c"]),
        node("Exp", ["c"], ["d"], name="two"), node("Reshape", ["d", "s"], ["y"]),
    ]  # fmt: skip
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [20])], s=np.array([-1]))
    assert casts(converted(proto, {"x": X}, ["one"])) == [("c", FLOAT16), ("y/fp16", FLOAT)]
    assert casts(converted(proto, {"x": X}, ["one", "two"])) == []


def test_a_weight_that_two_sides_read_is_stored_once_in_float32() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="narrow"), node("MatMul", ["x", "w"], ["b"], name="wide"),
        node("MatMul", ["x", "w"], ["c"], name="narrow too"), node("Sum", ["a", "b", "c"], ["y"], name="sum"),
    ]  # fmt: skip
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [5, 8])], w=W1)
    made = converted(proto, {"x": X}, ["wide"])
    assert [(t.name, t.data_type) for t in made.graph.initializer] == [("w", FLOAT)]
    assert casts(made) == [("x", FLOAT16), ("w", FLOAT16), ("b", FLOAT16), ("y/fp16", FLOAT)]


def test_constants_in_nodes_and_attributes() -> None:
    nodes = [
        node("Constant", [], ["k"], value=onnx.numpy_helper.from_array(B1[:4])),
        node("Constant", [], ["f"], value_float=1.1),
        node("Constant", [], ["l"], value_floats=[0.1, 0.2, 0.3, 70000.0]),
        node("Constant", [], ["s"], value_ints=[5, 1]),
        node("ConstantOfShape", ["s"], ["z"], value=helper.make_tensor("v", FLOAT, [1], [0.3])),
        node("ConstantOfShape", ["s"], ["o"]),
        node("Sum", ["x", "k", "f", "l", "z", "o"], ["y"], name="sum"),
    ]
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [5, 4])])
    made = converted(proto, {"x": X})
    found = kinds(made)
    assert {found[n] for n in "kflzo"} == {FLOAT16}
    assert found["s"] == INT64
    assert np.isinf(hs.onnx.load(made).run(None, {"x": X})[0][:, 3]).all()
    made = converted(proto, {"x": X}, (), ["l"])
    assert kinds(made)["l"] == FLOAT
    assert np.isfinite(hs.onnx.load(made).run(None, {"x": X})[0]).all()


def test_an_input_that_is_an_output_and_a_graph_without_nodes() -> None:
    both = model(
        [node("Neg", ["x"], ["y"])], [value("x", FLOAT, [2])], [value("x", FLOAT, [2]), value("y", FLOAT, [2])]
    )
    converted(both, {"x": X[0, :2]})
    empty = model([], [value("x", FLOAT, [2])], [value("x", FLOAT, [2])])
    assert converted(empty, {"x": X[0, :2]}).graph == empty.graph
    weight = model([node("Mul", ["x", "w"], ["y"])], [value("x", FLOAT, [8])],
                   [value("y", FLOAT, [8]), value("w", FLOAT, [8])], w=B1)  # fmt: skip
    made = converted(weight, {"x": X.reshape(-1)[:8]})
    assert made.graph.initializer[0].data_type == FLOAT
    assert casts(made) == [("x", FLOAT16), ("w", FLOAT16), ("y/fp16", FLOAT)]


def test_an_output_that_others_read_has_its_own_name() -> None:
    nodes = [node("Exp", ["x"], ["a"], name="one"), node("Exp", ["a"], ["b"], name="two"),
             node("Neg", ["a"], ["c"], name="three")]  # fmt: skip
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value(n, FLOAT, [5, 4]) for n in "abc"])
    made = converted(proto, {"x": X}, ["three"])
    assert casts(made) == [("x", FLOAT16), ("a/fp16", FLOAT), ("b/fp16", FLOAT)]
    assert [n.input[0] for n in made.graph.node if n.name in ("two", "three")] == ["a/fp16", "a"]


def test_doubled_and_taken_names() -> None:
    nodes = [node("Exp", ["x"], ["y/fp16"], name="n"), node("Neg", ["y/fp16"], ["x/fp16"], name="n"),
             node("Neg", ["x/fp16"], ["y"])]  # fmt: skip
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [5, 4])])
    made = converted(proto, {"x": X}, ["n_0"])
    assert [n.name for n in made.graph.node if n.op_type != "Cast"] == ["n", "n_0", "Neg_0"]
    assert kinds(made)["x/fp16"] == FLOAT


def test_inputs_that_have_to_be_float32_stay_so() -> None:
    sizes = {"x": value("x", FLOAT, [1, 1, 4, 4])}
    nodes = [node("Resize", ["x", "", "s"], ["y"], mode="linear")]
    proto = model(nodes, list(sizes.values()), [value("y", FLOAT, None)], s=np.array([1, 1, 1.3, 1.3], np.float32))
    made = converted(proto, {"x": X.reshape(-1)[:16].reshape(1, 1, 4, 4)})
    assert (kinds(made)["s"], casts(made)) == (FLOAT, [("x", FLOAT16), ("y/fp16", FLOAT)])
    nodes = [
        node("Resize", ["x", "r", "", "n"], ["y"], mode="linear", coordinate_transformation_mode="tf_crop_and_resize")
    ]
    proto = model(nodes, list(sizes.values()), [value("y", FLOAT, None)], n=np.array([1, 1, 3, 3]),
                  r=np.array([0, 0, 0.1, 0.1, 1, 1, 0.9, 0.9], np.float32))  # fmt: skip
    made = converted(proto, {"x": X.reshape(-1)[:16].reshape(1, 1, 4, 4)}, ulps=4)  # places in float32 there
    assert (kinds(made)["r"], casts(made)) == (FLOAT, [("x", FLOAT16), ("y/fp16", FLOAT)])
    boxes, scores = np.array([[[0, 0, 1, 1], [0, 0, 1, 0.9]]], np.float32), np.array([[[0.9, 0.8]]], np.float32)
    nodes = [node("Exp", ["b"], ["e"]), node("Log", ["e"], ["l"]),
             node("NonMaxSuppression", ["l", "s", "n", "t", "t"], ["y"])]  # fmt: skip
    proto = model(nodes, [value("b", FLOAT, [1, 2, 4]), value("s", FLOAT, [1, 1, 2])], [value("y", INT64, None)],
                  n=np.array([2]), t=np.array([0.5], np.float32))  # fmt: skip
    assert casts(converted(proto, {"b": boxes, "s": scores})) == [("b", FLOAT16), ("l", FLOAT)]


def test_numbers_that_come_from_shapes_stay_float32() -> None:
    nodes = [
        node("Shape", ["x"], ["n"]), node("Cast", ["n"], ["f"], to=FLOAT), node("Div", ["want", "f"], ["s"]),
        node("Relu", ["x"], ["r"]), node("Resize", ["r", "", "s"], ["y"], mode="nearest"),
    ]  # fmt: skip
    x = RNG.normal(size=(1, 1, 3, 3000)).astype(np.float32)
    proto = model(nodes, [value("x", FLOAT, [1, 1, "H", "W"])], [value("y", FLOAT, None)],
                  want=np.array([1, 1, 6, 3001], np.float32))  # fmt: skip
    made = converted(proto, {"x": x})
    assert {kinds(made)[n] for n in ("f", "want", "s")} == {FLOAT}
    assert by_onnxruntime(made, {"x": x})[0].shape == (1, 1, 6, 3001)


@pytest.mark.parametrize("kept", [(), ("inner",), ("choice",), ("loop", "Neg it")])
def test_branches_and_loops(kept: Any) -> None:
    body = graph(
        [node("Mul", ["v", "x"], ["w"], name="inner"), node("Identity", ["c"], ["d"]), node("Add", ["w", "k"], ["s"])],
        [value("i", INT64, []), value("c", BOOL, []), value("v", FLOAT, [2])],
        [value("d", BOOL, []), value("w", FLOAT, [2]), value("s", FLOAT, [2])],
    )
    then, other = (
        graph([node("Mul", ["l", "m"], ["t0"], name=f"{op} times"), node(op, ["t0"], ["t"], name=f"{op} it")], [],
              [value("t", FLOAT, [2])], m=np.array([1.7, 1 / 3], np.float32))
        for op in ("Neg", "Exp")
    )  # fmt: skip
    nodes = [
        node("Loop", ["n", "", "x"], ["l", "all"], name="loop", body=body),
        node("If", ["ask"], ["y"], name="choice", then_branch=then, else_branch=other),
    ]
    proto = model(nodes, [value("x", FLOAT, [2]), value("n", INT64, []), value("ask", BOOL, [])],
                  [value("y", FLOAT, [2]), value("all", FLOAT, None)], k=np.float32(0.3))  # fmt: skip
    for n, ask in ((3, True), (1, False)):
        feeds = {"x": np.array([0.7, 1.3], np.float32), "n": np.array(n), "ask": np.array(ask)}
        made = converted(proto, feeds, kept)
    inner = [t.data_type for n in made.graph.node for a in n.attribute for t in a.g.initializer]
    assert inner == [FLOAT if "choice" in kept else FLOAT16] * 2 or "Neg it" in kept


def test_weights_declared_as_inputs_are_inputs_no_more_when_they_are_half() -> None:
    proto = model([node("Mul", ["x", "w"], ["a"]), node("Add", ["a", "v"], ["y"], name="last")],
                  [value("x", FLOAT, [8]), value("w", FLOAT, [8]), value("v", FLOAT, [8])], [value("y", FLOAT, [8])],
                  w=B1, v=B1)  # fmt: skip
    proto.ir_version = 3
    made = converted(proto, {"x": X.reshape(-1)[:8]}, ["last"])
    assert ([i.name for i in made.graph.input], made.ir_version) == (["x", "v"], 4)


def test_recurrent_layers_normalization_and_old_opsets() -> None:
    x = RNG.normal(size=(3, 1, 4)).astype(np.float32)
    w, r = RNG.normal(size=(1, 8, 4)).astype(np.float32), RNG.normal(size=(1, 8, 2)).astype(np.float32)
    lstm = model([node("LSTM", ["x", "w", "r"], ["a", "", "c"], hidden_size=2)], [value("x", FLOAT, [3, 1, 4])],
                 [value("a", FLOAT, None), value("c", FLOAT, None)], w=w, r=r)  # fmt: skip
    converted(lstm, {"x": x}, ulps=4)  # within a step it is float32 there
    scale, bias, mean, var = (RNG.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4))
    for opset in (9, 14, 15):
        nodes = [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], name="bn")]
        norm = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [5, 4])], opset,
                     s=scale, b=bias, m=mean, v=var)  # fmt: skip
        assert {t.data_type for t in converted(norm, {"x": X}).graph.initializer} == {FLOAT16}
        assert {t.data_type for t in converted(norm, {"x": X}, (), ["v"]).graph.initializer} == {FLOAT}
    norm = model([node("LayerNormalization", ["x", "s", "b"], ["y", "m", "i"])], [value("x", FLOAT, [5, 4])],
                 [value(n, FLOAT, None) for n in ("y", "m", "i")], s=scale, b=bias)  # fmt: skip
    found = kinds(converted(norm, {"x": X}))
    assert (found["y/fp16"], found["m"]) == (FLOAT16, FLOAT)


def test_float16_and_casts_of_the_file_are_joined() -> None:
    nodes = [
        node("Mul", ["x", "k"], ["a"], name="one"), node("Cast", ["a"], ["h"], to=FLOAT16),
        node("Mul", ["h", "half"], ["g"], name="two"), node("Cast", ["g"], ["w"], to=FLOAT),
        node("Mul", ["w", "k"], ["y"], name="three"), node("Cast", ["w"], ["i"], to=INT64),
    ]  # fmt: skip
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [5, 4]), value("i", INT64, [5, 4])],
                  k=np.float32(1.1), half=np.float16(3.3))  # fmt: skip
    assert casts(converted(proto, {"x": X})) == [("x", FLOAT16), ("y/fp16", FLOAT), ("g", INT64)]
    made = converted(proto, {"x": X}, ["three"])
    assert ("g", FLOAT) in casts(made)


def test_sequences_and_random_numbers_stay_float32() -> None:
    nodes = [
        node("Exp", ["x"], ["e"]), node("SequenceConstruct", ["e", "e"], ["s"]),
        node("ConcatFromSequence", ["s"], ["c"], axis=0), node("Exp", ["c"], ["y"]),
    ]  # fmt: skip
    proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [10, 4])])
    assert casts(converted(proto, {"x": X})) == [("x", FLOAT16), ("e", FLOAT), ("c", FLOAT16), ("y/fp16", FLOAT)]
    drawn = model([node("RandomNormalLike", ["x"], ["r"], seed=1.0), node("Mul", ["r", "x"], ["y"])],
                  [value("x", FLOAT, [5, 4])], [value("y", FLOAT, [5, 4])])  # fmt: skip
    assert kinds(mixed(drawn))["r"] == FLOAT


def test_functions_of_the_file_are_converted_where_they_are_called() -> None:
    inner = [node("Mul", ["a", "a"], ["t"], name="square"), node("Add", ["t", "a"], ["b"], name="add")]
    function = helper.make_function("mine", "Poly", ["a"], ["b"], inner, [helper.make_opsetid("", 17)])
    calls = [node("Poly", ["x"], ["h"], domain="mine"), node("Poly", ["h"], ["y"], domain="mine")]
    proto = model(calls, [value("x", FLOAT, [2])], [value("y", FLOAT, [2])], functions=[function], domains={"mine": 1})
    made = mixed(proto)
    assert (len(made.functions), casts(made)) == (0, [("x", FLOAT16), ("y/fp16", FLOAT)])


def test_value_info_says_what_is_there() -> None:
    proto = onnx.shape_inference.infer_shapes(network())
    assert {v.name for v in proto.graph.value_info} == set("abcd")
    made = converted(proto, {"x": X}, ["last"])
    told = {v.name: v.type.tensor_type.elem_type for v in made.graph.value_info}
    assert told == {"a": FLOAT16, "b": FLOAT16, "c": FLOAT16, "d": FLOAT}


def test_bfloat16_where_the_standard_has_it() -> None:
    made = mixed(network(), (), ["b1"], "bf16")
    onnx.checker.check_model(made, full_check=True)
    assert {t.name: t.data_type for t in made.graph.initializer} == {"w1": BF16, "b1": FLOAT, "w2": BF16}
    with hs.precision("bf16"):
        twin = hs.onnx.load(network())(X)
    assert abs(hs.onnx.load(made)(X).numpy() - twin.numpy()).max() < 0.02
    with pytest.raises(
        ValueError, match="^target: 'bf16' is not allowed in opset 12; allowed: 'fp16', or opset 13 on$"
    ):
        mixed(network(opset=12), target="bf16")
    conv = model([node("Conv", ["x", "w"], ["y"])], [value("x", FLOAT, [1, 1, 4, 4])], [value("y", FLOAT, None)],
                 w=np.ones((1, 1, 2, 2), np.float32))  # fmt: skip
    assert mixed(conv, target="bf16").graph.initializer[0].data_type == FLOAT  # Conv takes it from opset 22 on


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"target": "fp8_e4m3"}, ValueError, "target: 'fp8_e4m3' is not allowed; allowed: 'fp16', 'bf16'"),
        ({"keep_nodes": ["q"]}, ValueError, "keep_nodes: 'q' is not in the model"),
        ({"keep_tensors": ["q"]}, ValueError, "keep_tensors: 'q' is not in the model"),
        ({"keep_tensors": "w1"}, TypeError, "keep_tensors: 'w1' is not allowed; allowed: names"),
    ],
)
def test_refusals(options: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match="^" + re.escape(words)):
        mixed(network(), **options)


def random_model(draw: np.random.Generator) -> tuple[Any, list[str], list[str]]:
    """A random graph of small operators, and what to keep of it."""
    names, nodes = ["x"], list[Any]()
    weights: dict[str, Any] = {}
    for i in range(int(draw.integers(3, 14))):
        a, b = draw.choice(names, 2)
        op = str(draw.choice(["Add", "Mul", "Tanh", "Transpose", "MatMul", "Identity", "Where", "Concat", "Cast"]))
        out = f"t{i}"
        if op in ("Add", "Mul", "MatMul"):
            if draw.random() < 0.5:
                weights.setdefault(f"w{i % 3}", draw.normal(size=(4, 4)).astype(np.float32))
                b = f"w{i % 3}"
            nodes.append(node(op, [a, b], [out]))
        elif op == "Where":
            nodes.extend([node("Less", [a, b], [f"m{i}"]), node("Where", [f"m{i}", b, a], [out])])
        elif op == "Concat":
            nodes.extend([node("Concat", [a, b], [f"c{i}"], axis=0), node("Slice", [f"c{i}", "from", "to"], [out])])
        else:
            nodes.append(node(op, [a], [out], **({"to": FLOAT} if op == "Cast" else {})))
        names.append(out)
    told = [value(n, FLOAT, [4, 4]) for n in {*map(str, draw.choice(names, 2)), names[-1]}]
    weights |= {"from": np.array([2]), "to": np.array([6])}
    proto = model(nodes, [value("x", FLOAT, [4, 4])], told, **weights)
    paths = [path for path, _ in hs.onnx.load(proto).named_children()]
    return (
        proto,
        [p for p in paths if draw.random() < 0.3],
        [n for n in (*names, *list(weights)[:-2]) if draw.random() < 0.1],
    )


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_run_in_onnxruntime_as_here(seed: int) -> None:
    draw = np.random.default_rng(seed)
    proto, nodes, tensors = random_model(draw)
    made = converted(proto, {"x": draw.normal(size=(4, 4)).astype(np.float32) / 2}, nodes, tensors, 4)
    found = kinds(made)
    assert all(found.get(name, FLOAT) == FLOAT for name in tensors)


# Files.


def large() -> Any:
    w = RNG.normal(size=(64, 64)).astype(np.float32)
    return model([node("MatMul", ["x", "w"], ["y"], name="n")], [value("x", FLOAT, [2, 64])],
                 [value("y", FLOAT, [2, 64])], w=w)  # fmt: skip


def test_a_saved_file_has_half_the_size_and_is_held_to_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is missing, to which onnx models are held")
    proto, x, path = large(), RNG.normal(size=(2, 64)).astype(np.float32), tmp_path / "m.onnx"
    found = save(mixed(proto), path, {"x": x})
    assert found is not None
    assert found.error is not None
    assert found.error < 1e-3
    assert re.fullmatch(r"onnxruntime [\d.]+ runs it, its outputs at most \S+ of their norm from ours", found.words)
    assert path.stat().st_size <= 0.55 * proto.ByteSize()
    assert hs.onnx.load(path).get_parameter("w").format is hs.float16
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_weights_beside_the_file(tmp_path: Path) -> None:
    proto, x, path = large(), RNG.normal(size=(2, 64)).astype(np.float32), tmp_path / "m.onnx"
    source = tmp_path / "source.onnx"
    onnx.save_model(large(), source, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert mixed(source).graph.initializer[0].data_type == FLOAT16  # read from the file beside it
    made = mixed(proto)
    wanted = hs.onnx.load(made).run(None, {"x": x})[0]
    for _ in range(2):
        save(made, path, {"x": x}, external=True)
        beside = list(tmp_path.glob("m.onnx.*.data"))
        assert len(beside) == 1
        assert beside[0].stat().st_size == 64 * 64 * 2
        assert path.stat().st_size < 1000
        assert (hs.onnx.load(path).run(None, {"x": x})[0] == wanted).all()
        onnx.checker.check_model(path)
        made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[::-1][::-1]
    other = mixed(proto)
    other.graph.initializer[0].raw_data = bytes(64 * 64 * 2)
    save(other, path, external=True)
    assert [*tmp_path.glob("m.onnx.*.data")] != beside  # and that of before is gone
    assert len([*tmp_path.glob("m.onnx.*.data")]) == 1


def test_nothing_is_written_of_a_model_that_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is missing, to which onnx models are held")
    path, x = tmp_path / "m.onnx", RNG.normal(size=(2, 64)).astype(np.float32)
    path.write_bytes(b"before")
    broken = mixed(large())
    broken.graph.node[1].input[1] = "nothing"
    with pytest.raises(ValueError, match="^model: onnx refuses it: [^\n]*$"):
        save(broken, path)
    with pytest.raises(ValueError, match="^model: onnxruntime [^\n]*from ours[^\n]*allowed: -1$"):
        save(mixed(large()), path, {"x": x}, tolerance=-1)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_onnxruntime_alone_lets_infinities_through_and_held_does_not() -> None:
    """Between two kernels its casts are left out: 300 squared is no infinity there, and is one in any half unit."""
    nodes = [node("Mul", ["x", "x"], ["s"]), node("Mul", ["s", "k"], ["y"])]
    proto = mixed(model(nodes, [value("x", FLOAT, [1])], [value("y", FLOAT, [1])], k=np.float32(0.001)))
    x = np.array([300.0], np.float32)
    assert np.isinf(hs.onnx.load(proto).run(None, {"x": x})[0]).all()
    assert np.isfinite(by_onnxruntime(proto, {"x": x})[0]).all()
    found = held(proto, {"x": x})
    assert found is not None
    assert found.error == 0


def test_an_infinity_that_only_one_has_is_infinitely_far() -> None:
    one, two = np.array([1, np.inf, np.nan], np.float32), np.array([1, 70000, np.nan], np.float32)
    assert _far(one, one) == 0
    assert _far(one, two) == _far(two, one) == np.inf
    assert _far(two[:1], np.array([4], np.float32)) == 0.75
    assert _far([two], [two]) == 0
    assert _far(np.float32([1e-7]), np.float32([2e-7]), least=1e-6) == pytest.approx(0.1)


def test_the_lists_name_nodes_and_the_operators_of_those_without_names() -> None:
    found = block_lists(network(), ["Relu_0", "last"], ["b1"])
    names = ["add", "last"]
    assert found == {"op_block_list": ["Add", "Relu"], "node_block_list": names, "nodes_to_exclude": names}
    doubled = network(first="n", last="n")
    assert block_lists(doubled, ["n_0"]) == {"op_block_list": ["MatMul"], "node_block_list": [], "nodes_to_exclude": []}
    assert block_lists(network()) == {"op_block_list": [], "node_block_list": [], "nodes_to_exclude": []}


def test_the_lists_are_what_onnxruntimes_converter_takes() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is missing, to which onnx models are held")
    from onnxruntime.transformers.float16 import convert_float_to_float16  # type: ignore[import-untyped, unused-ignore]

    lists = block_lists(network(), ["last"], ["b1"])
    theirs = convert_float_to_float16(network(), keep_io_types=True, node_block_list=lists["node_block_list"])
    ours = mixed(network(), ["last"], ["b1"])
    weights = [{t.name: t.data_type for t in m.graph.initializer} for m in (theirs, ours)]
    assert weights[0] == weights[1] == {"w1": FLOAT16, "b1": FLOAT, "w2": FLOAT}


def test_the_planned_side_of_every_pair_of_operators() -> None:
    """Any two of these after each other, either of them kept or none, run as here."""
    ops = {"Relu": {}, "Softmax": {"axis": 1}, "Flatten": {}, "ReduceSum": {"keepdims": 1}, "Sigmoid": {}}
    for (a, first), (b, second) in itertools.product(ops.items(), repeat=2):
        nodes = [node(a, ["x"], ["h"], name="p", **first), node(b, ["h"], ["y"], name="q", **second)]
        proto = model(nodes, [value("x", FLOAT, [5, 4])], [value("y", FLOAT, None)])
        for kept in ((), ("p",), ("q",)):
            converted(proto, {"x": X}, kept)
