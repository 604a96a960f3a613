"""Operators in every version that changed them, held to onnxruntime; their gradients, and formulas of our own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import halfsim as hs
from halfsim.onnx.operators import formulas
from tests.onnx.making import BOOL, FLOAT, INT64, by_onnxruntime, graph, helper, model, node, tensors, value


def drawn(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> Any:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


class Case(NamedTuple):
    """A node: its operator and opset, the arrays that it reads (None for one left out), attributes, outputs."""

    op: str
    opset: int
    arrays: list[Any]
    attributes: dict[str, Any] = {}  # noqa: RUF012
    outputs: int = 1

    @property
    def name(self) -> str:
        told = "-".join(f"{k}={v}" for k, v in self.attributes.items() if not isinstance(v, list))
        return f"{self.op}-{self.opset}-{told}".replace(" ", "")


X, IMAGE = drawn(3, 4, 5), drawn(2, 4, 7, 8)
ints = np.array
CASES = [
    # attributes that became inputs
    *(
        Case(op, 11, [X], {"axes": [0, 2], "keepdims": keep})
        for op in (
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSumExp",
            "ReduceSumSquare",
            "ReduceProd",
        )
        for keep in (0, 1)
    ),
    *(Case(op, 18, [X, ints([-1])], {"keepdims": 0}) for op in ("ReduceSum", "ReduceMean", "ReduceMin", "ReduceL2")),
    Case("ReduceSum", 13, [X], {"noop_with_empty_axes": 1}),
    Case("ReduceLogSum", 13, [np.abs(X)]),
    Case("Squeeze", 11, [drawn(1, 3, 1)], {"axes": [0]}),
    Case("Squeeze", 13, [drawn(1, 3, 1), ints([-1])]),
    Case("Squeeze", 13, [drawn(1, 3, 1)]),
    Case("Unsqueeze", 11, [X], {"axes": [0, 4]}),
    Case("Unsqueeze", 13, [X, ints([-1])]),
    Case("Clip", 7, [X], {"min": -0.5, "max": 0.25}),
    Case("Clip", 13, [X, None, np.float32(0.5)]),
    Case("Slice", 9, [X], {"starts": [0, 1], "ends": [2, 9], "axes": [0, 2]}),
    Case("Slice", 13, [X, ints([-1]), ints([-9]), ints([2]), ints([-2])]),
    Case("Slice", 11, [X, ints([1, 0]), ints([3, 2**62])]),
    Case("Pad", 7, [X], {"pads": [0, 1, 0, 1, 0, 2], "value": 3.0}),
    Case("Pad", 11, [X, ints([0, 1, 0, 0, 2, 1])], {"mode": "reflect"}),
    Case("Pad", 13, [X, ints([1, -1, 0, 0, 0, 2]), np.float32(-1)]),
    Case("Pad", 18, [X, ints([2, 1]), None, ints([1])], {"mode": "edge"}),
    Case("Split", 11, [X], {"split": [1, 3], "axis": 1}, 2),
    Case("Split", 13, [X, ints([2, 2])], {"axis": 1}, 2),
    Case("Split", 18, [X], {"axis": 2, "num_outputs": 3}, 3),
    Case("TopK", 9, [X], {"k": 2, "axis": 1}, 2),
    Case("TopK", 11, [X, ints([3])], {"largest": 0}, 2),
    Case("Dropout", 10, [X], {"ratio": 0.3}),
    Case("Dropout", 13, [X]),
    Case("Upsample", 9, [IMAGE, np.array([1, 1, 2, 3], np.float32)]),
    Case("Upsample", 7, [IMAGE], {"scales": [1.0, 1.0, 2.0, 2.0]}),
    # defaults that changed
    *(
        Case(op, opset, [X], {} if opset == 13 else {"axis": 1})
        for op in ("Softmax", "LogSoftmax", "Hardmax")
        for opset in (11, 13)
    ),
    Case("Softmax", 13, [X], {"axis": 0}),
    Case("BatchNormalization", 7, [IMAGE, *(np.abs(drawn(4, seed=i)) for i in range(4))]),
    Case("BatchNormalization", 9, [IMAGE, *(np.abs(drawn(4, seed=i)) for i in range(4))], {"epsilon": 1e-3}),
    Case("BatchNormalization", 15, [IMAGE, *(np.abs(drawn(4, seed=i)) for i in range(4))]),
    # broadcasting, elementwise
    *(Case(op, 13, [X, np.abs(drawn(4, 1, seed=1)) + 1]) for op in ("Add", "Sub", "Mul", "Div")),
    Case("Pow", 13, [np.abs(X), ints([2, 3, 0, 1, 2])]),
    Case("Mod", 13, [X, drawn(5, seed=3) + 3], {"fmod": 1}),
    *(
        Case(op, 13, [X])
        for op in (
            "Abs",
            "Ceil",
            "Cos",
            "Erf",
            "Exp",
            "Floor",
            "Neg",
            "Relu",
            "Round",
            "Sigmoid",
            "Sign",
            "Softplus",
            "Softsign",
            "Tanh",
        )
    ),
    *(Case(op, 13, [np.abs(X) + 0.1]) for op in ("Log", "Reciprocal", "Sqrt")),
    Case("LeakyRelu", 13, [X], {"alpha": 0.2}),
    Case("Elu", 13, [X], {"alpha": 1.5}),
    Case("Celu", 13, [X], {"alpha": 2.0}),
    Case("Selu", 13, [X], {"gamma": 1.5}),
    Case("Selu", 13, [X]),
    Case("HardSigmoid", 13, [X], {"alpha": 0.3, "beta": 0.4}),
    Case("HardSwish", 14, [X]),
    Case("ThresholdedRelu", 13, [X], {"alpha": 0.5}),
    Case("Shrink", 13, [X], {"lambd": 0.7, "bias": 0.1}),
    Case("PRelu", 13, [X, drawn(4, 1)]),
    Case("Gelu", 20, [X]),
    Case("Gelu", 20, [X], {"approximate": "tanh"}),
    Case("Mish", 18, [X]),
    Case("Max", 13, [X, drawn(5), drawn(4, 1)]),
    Case("Mean", 13, [X, X]),
    Case("Sum", 13, [X, drawn(4, 1), X]),
    Case("Where", 13, [X > 0, X, drawn(5)]),
    Case("Equal", 13, [X, X]),
    Case("Greater", 13, [X, drawn(5)]),
    Case("IsInf", 10, [X], {"detect_negative": 0}),
    # windows
    *(
        Case("Conv", 11, [IMAGE, drawn(6, 4 // g, 3, 2), drawn(6)], {"group": g, **more})
        for g in (1, 2)
        for more in (
            {},
            {"pads": [1, 0, 1, 0]},
            {"pads": [0, 1, 2, 0], "strides": [2, 1]},
            {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
            {"dilations": [2, 2], "auto_pad": "VALID"},
            {"auto_pad": "SAME_LOWER"},
        )
    ),
    Case("Conv", 11, [drawn(1, 2, 9), drawn(3, 2, 4)], {"strides": [3]}),
    Case("Conv", 11, [drawn(1, 2, 4, 5, 6), drawn(3, 2, 2, 2, 2)]),
    *(
        Case("ConvTranspose", 11, [IMAGE, drawn(4, 3, 3, 2), drawn(3)], more)
        for more in (
            {},
            {"strides": [2, 3]},
            {"strides": [2, 2], "pads": [1, 0, 0, 1]},
            {"strides": [2, 2], "output_padding": [1, 0]},
            {"strides": [2, 2], "output_shape": [15, 16]},
            {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
            {"dilations": [2, 1]},
        )
    ),
    *(
        Case(op, opset, [IMAGE], {"kernel_shape": [3, 2], **more})
        for op, opset in (("MaxPool", 12), ("AveragePool", 11))
        for more in (
            {},
            {"strides": [2, 2]},
            {"pads": [1, 0, 1, 1]},
            {"ceil_mode": 1, "strides": [2, 3]},
            {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        )
    ),
    Case("AveragePool", 11, [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    Case("AveragePool", 19, [IMAGE], {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    Case("MaxPool", 12, [IMAGE], {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    Case("MaxPool", 12, [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, 2),
    Case("MaxPool", 12, [IMAGE], {"kernel_shape": [3, 3], "storage_order": 1}, 2),
    Case("LpPool", 11, [IMAGE], {"kernel_shape": [2, 3], "p": 3}),
    *(Case(op, 13, [IMAGE]) for op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")),
    Case("LRN", 13, [IMAGE], {"size": 3, "alpha": 0.5}),
    Case("InstanceNormalization", 6, [IMAGE, drawn(4), drawn(4)]),
    Case("LayerNormalization", 17, [X, drawn(4, 5), drawn(4, 5)], {"axis": 1}, 3),
    Case("LayerNormalization", 17, [X, drawn(5)]),
    Case("GroupNormalization", 21, [IMAGE, drawn(4), drawn(4)], {"num_groups": 2}),
    Case("LpNormalization", 1, [X], {"axis": 1, "p": 1}),
    Case("RMSNormalization", 23, [X, drawn(5)]),
    Case("MeanVarianceNormalization", 13, [IMAGE]),
    # products, moves
    Case("MatMul", 13, [X, drawn(5, 2)]),
    Case("Gemm", 13, [drawn(4, 3), drawn(5, 4), drawn(5)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    Case("Gemm", 11, [drawn(3, 4), drawn(4, 5)]),
    Case("Einsum", 12, [X, drawn(5, 6)], {"equation": "bij, jk -> bik"}),
    Case("Det", 11, [drawn(2, 3, 3)]),
    Case("Gather", 13, [X, ints([[0, -1], [2, 1]])], {"axis": 1}),
    Case("GatherElements", 13, [X, ints([[[0, -1]]])], {"axis": 2}),
    Case("GatherND", 13, [X, ints([[0, 1], [2, -1]])]),
    Case("GatherND", 13, [X, ints([[0], [1], [3]])], {"batch_dims": 1}),
    Case("ScatterElements", 16, [X, ints([[[1, 1, 0]]]), drawn(1, 1, 3)], {"axis": 1, "reduction": "add"}),
    Case("ScatterND", 16, [X, ints([[0, 1], [2, -1]]), drawn(2, 5)]),
    Case("ScatterND", 18, [X, ints([[0], [0]]), drawn(2, 4, 5)], {"reduction": "max"}),
    Case("Transpose", 13, [X]),
    Case("Transpose", 13, [X], {"perm": [1, 2, 0]}),
    Case("Reshape", 13, [X, ints([0, -1])]),
    Case("Flatten", 13, [X], {"axis": -1}),
    Case("Expand", 13, [drawn(4, 1), ints([3, 1, 5])]),
    Case("Tile", 13, [X, ints([1, 2, 3])]),
    Case("Concat", 13, [X, X], {"axis": -1}),
    Case("DepthToSpace", 13, [IMAGE], {"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", 13, [drawn(1, 2, 4, 6)], {"blocksize": 2}),
    Case("Compress", 11, [X, ints([True, False, True])], {"axis": 1}),
    Case("ReverseSequence", 10, [X, ints([1, 2, 3, 1])]),
    Case("Trilu", 14, [X, ints(1)], {"upper": 0}),
    Case("CumSum", 14, [X, ints(1)], {"reverse": 1, "exclusive": 1}),
    Case("ArgMax", 13, [X], {"axis": 1, "keepdims": 0}),
    Case("ArgMin", 13, [np.round(X)], {"axis": 2, "select_last_index": 1}),
    Case("OneHot", 11, [ints([1, -1]), ints(3), np.array([0.5, 2], np.float32)]),
    Case("Range", 11, [np.float32(0.5), np.float32(3), np.float32(0.4)]),
    Case("EyeLike", 9, [drawn(3, 4)], {"k": 1}),
    Case("NonZero", 13, [np.round(X)]),
    # images
    *(
        Case(
            "Resize",
            13,
            [IMAGE, None, np.array([1, 1, *s], np.float32)],
            {"mode": mode, "coordinate_transformation_mode": where},
        )
        for mode in ("nearest", "linear", "cubic")
        for where in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        for s in ((1.6, 0.7), (2, 2))
        if where != "align_corners" or s == (2, 2)
    ),  # of lengths that are not whole onnx's own cases say otherwise
    *(
        Case("Resize", 19, [IMAGE, None, None, ints([2, 4, 5, 9])], {"mode": mode, "antialias": 1})
        for mode in ("linear", "cubic")
    ),
    Case("Resize", 10, [IMAGE, np.array([1, 1, 2, 0.5], np.float32)], {"mode": "linear"}),
    Case("Resize", 11, [IMAGE, np.array([], np.float32), np.array([1, 1, 2, 2], np.float32)]),
    *(
        Case("GridSample", 20, [IMAGE, drawn(2, 3, 5, 2, high=1.2)], {"mode": mode, "padding_mode": pad})
        for mode in ("linear", "nearest", "cubic")
        for pad in ("zeros", "border", "reflection")
    ),
    *(Case("AffineGrid", 20, [drawn(n, 2, 3), ints([n, 3, 4, 5])], {"align_corners": n % 2}) for n in (1, 2)),
    Case("AffineGrid", 20, [drawn(1, 3, 4), ints([1, 2, 3, 4, 5])]),
    Case(
        "MaxRoiPool",
        13,
        [IMAGE, np.array([[0, 0, 0, 5, 4], [1, 2.6, 1, 9, 9], [0, 7, 6, 3, 2]], np.float32)],
        {"pooled_shape": [3, 2], "spatial_scale": 0.9},
    ),
    *(
        Case(op, 19, [drawn(1, 1, 2, 2)], {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1] * 4, "ceil_mode": 1})
        for op in ("AveragePool", "MaxPool")
    ),
    # quantization
    Case("QuantizeLinear", 13, [X, np.float32(0.02), np.uint8(120)]),
    Case("QuantizeLinear", 13, [X, drawn(4, low=0.01, high=0.1), np.zeros(4, np.int8)], {"axis": 1}),
    Case("DequantizeLinear", 13, [np.arange(-4, 4).astype(np.int8), np.float32(0.3), np.int8(-2)]),
    Case("DynamicQuantizeLinear", 11, [X], {}, 3),
    # spectra
    Case("DFT", 20, [drawn(1, 10, 1)], {"onesided": 1}),
    Case("STFT", 17, [drawn(1, 32, 1), ints(4), drawn(8), ints(8)]),
    Case("HannWindow", 17, [ints(9)]),
]

RECURRENT = [
    Case(op, 14, [drawn(6, 2, 3), drawn(ways, g * 4, 3), drawn(ways, g * 4, 4), drawn(ways, 2 * g * 4), *rest],
         {"hidden_size": 4, "direction": direction, **more}, 3 if op == "LSTM" else 2)
    for op, g in (("RNN", 1), ("GRU", 3), ("LSTM", 4))
    for direction, ways in (("forward", 1), ("reverse", 1), ("bidirectional", 2))
    for rest, more in (
        ([], {}),
        ([np.array([4, 6], np.int32), drawn(ways, 2, 4)], {}),
        ([], {"clip": 0.5}),
        *([([], {"linear_before_reset": 1})] if op == "GRU" else []),
        *([([None, drawn(ways, 2, 4), drawn(ways, 2, 4), drawn(ways, 12)], {})] if op == "LSTM" else []),
    )
]  # fmt: skip


def built(case: Case) -> tuple[Any, dict[str, Any]]:
    """The model of a case, the first array its input, the rest in the file where they are small integers."""
    feeds = {f"i{i}": np.asarray(x) for i, x in enumerate(case.arrays) if x is not None}
    names = [f"i{i}" if x is not None else "" for i, x in enumerate(case.arrays)]
    outputs = [f"o{i}" for i in range(case.outputs)]
    known = {name: x for name, x in feeds.items() if x.dtype.kind == "i" and name != "i0"}
    declared = [t for t in tensors(**feeds) if t.name not in known]
    inputs = [value(t.name, t.data_type, t.dims) for t in declared]
    for t in tensors(**known):
        inputs += [] if t.name in known else [t]
    proto = model([node(case.op, names, outputs, name="it", **case.attributes)], inputs, outputs, case.opset, **known)
    for declaration in proto.graph.output:
        declaration.type.Clear()
    return proto, {name: x for name, x in feeds.items() if name not in known}


@pytest.mark.parametrize("case", [*CASES, *RECURRENT], ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore")
def test_an_operator_gives_what_onnxruntime_gives(case: Case) -> None:
    proto, feeds = built(case)
    theirs = by_onnxruntime(proto, feeds)
    ours = hs.onnx.load(proto).run(None, feeds)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-5 if case.op == "DFT" else 3e-6)


SMOOTH = [case for case in (*CASES, *RECURRENT) if case.op in (
    "Conv", "ConvTranspose", "AveragePool", "LSTM", "GRU", "HardSigmoid", "Shrink", "Resize", "Gather", "Pad", "LpPool",
    "ScatterND", "STFT", "LayerNormalization", "CumSum")][::3]  # fmt: skip


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)
def test_gradients_are_those_of_differences(case: Case) -> None:
    proto, feeds = built(case)
    m = hs.onnx.load(proto)
    rng = np.random.default_rng(1)

    def loss(x: Any) -> Any:
        y = m(
            x,
            **{
                name: hs.tensor(other, "fp64")
                for name, other in feeds.items()
                if name != "i0" and other.dtype.kind == "f"
            },
        )
        y = y[0] if isinstance(y, tuple) else y
        return (y * hs.tensor(np.random.default_rng(2).normal(size=tuple(y.shape)), "fp64")).sum()

    with hs.precision("fp64", override=True):
        x = hs.tensor(feeds["i0"], "fp64", requires_grad=True)
        loss(x).backward()
        way = rng.normal(size=x.shape)
        far = [loss(hs.tensor(feeds["i0"].astype(np.float64) + h * way, "fp64")).item() for h in (1e-5, -1e-5)]
    assert abs((far[0] - far[1]) / 2e-5 - float((x.grad.numpy() * way).sum())) < 1e-4 * max(1, abs(far[0]))


def test_formulas_of_ours_have_their_gradients() -> None:
    x = hs.tensor([-2.5, -0.4, 0.3, 0.9, 2.2, 7.0], "fp64", requires_grad=True)
    assert hs.gradcheck(lambda x: formulas.hard_sigmoid(x, 0.3, 0.4), [x])
    assert hs.gradcheck(lambda x: formulas.swish(x, 1.7), [x])
    assert hs.gradcheck(lambda x: formulas.shrink(x, 0.2, 0.5), [x])


def test_what_no_operation_computes_is_stored_in_the_precision_in_force() -> None:
    nodes = [
        node("Cast", ["i"], ["a"], to=FLOAT),
        node("Scaler", ["x"], ["b"], domain="ai.onnx.ml", offset=[0.0], scale=[1.1]),
        node("ConstantOfShape", ["s"], ["c"], value=tensors(v=np.array([0.1], np.float32))[0]),
        node("Range", ["z", "n", "k"], ["d"]),
    ]
    numbers = {"s": np.array([2]), "z": np.float32(0), "n": np.float32(1), "k": np.float32(0.3)}
    inputs = [value("i", INT64, [1]), value("x", FLOAT, [2])]
    proto = model(nodes, inputs, ["a", "b", "c", "d"], domains={"ai.onnx.ml": 1}, **numbers)
    m = hs.onnx.load(proto)
    feeds = {"i": np.array([4097]), "x": np.array([1.0, 3.0], np.float32)}
    wide, half = m.run(None, feeds), []
    with hs.precision("fp16"):
        half = m(**feeds)
    assert [y.format for y in half] == [hs.float16] * 4
    assert [y.numpy().tolist() for y in half[:3]] == [w.astype(np.float16).tolist() for w in wide[:3]]


@pytest.mark.parametrize("op", ["HardSigmoid", "Swish", "Shrink"])
def test_formulas_of_ours_round_once(op: str) -> None:
    x = drawn(200, low=-4, high=4).astype(np.float16)
    more: dict[str, Any] = {"Swish": {"alpha": 1.5}, "HardSigmoid": {"alpha": 0.17}, "Shrink": {"bias": 0.3}}[op]
    m = hs.onnx.load(model([node(op, ["x"], ["y"], **more)], [value("x", FLOAT, [200])], ["y"], opset=24))
    with hs.precision("fp16"):
        half = m(hs.tensor(x, "fp16"))
    with hs.precision("fp64", override=True):
        wide = m(hs.tensor(x.astype(np.float64), "fp64")).numpy()
    assert half.format is hs.float16
    assert (half.numpy() == wide.astype(np.float32).astype(np.float16)).mean() > 0.99


def test_scans_of_both_versions_agree_with_their_loops() -> None:
    body = graph([node("Add", ["s", "x"], ["t"]), node("Mul", ["t", "x"], ["o"])], ["s", "x"], ["t", "o"])
    new = model([node("Scan", ["s0", "xs"], ["s1", "os"], num_scan_inputs=1, body=body, scan_input_directions=[1])],
                [value("s0", FLOAT, [3]), value("xs", FLOAT, [4, 3])], ["s1", "os"], opset=11)  # fmt: skip
    old = model([node("Scan", ["", "s0", "xs"], ["s1", "os"], num_scan_inputs=1, body=body)],
                [value("s0", FLOAT, [2, 3]), value("xs", FLOAT, [2, 4, 3])], ["s1", "os"], opset=8)  # fmt: skip
    state, xs = drawn(2, 3), drawn(2, 4, 3, seed=1)
    for feeds, proto in (({"s0": state[0], "xs": xs[0]}, new), ({"s0": state, "xs": xs}, old)):
        for mine, other in zip(hs.onnx.load(proto).run(None, feeds), by_onnxruntime(proto, feeds), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6)


def test_random_operators_draw_from_the_stream_and_from_seeds_of_the_file() -> None:
    proto = model([node("RandomNormal", [], ["a"], shape=[1000], mean=3.0, scale=0.5),
                   node("RandomUniform", [], ["b"], shape=[1000], low=2.0, high=4.0, seed=7.0)],
                  [], [value("a", FLOAT), value("b", FLOAT)])  # fmt: skip
    m = hs.onnx.load(proto)
    hs.manual_seed(1)
    first, second = m.run(None, {}), m.run(None, {})
    hs.manual_seed(1)
    again = m.run(None, {})
    assert (first[0] == again[0]).all()
    assert (first[0] != second[0]).any()
    assert (first[1] == second[1]).all()
    assert abs(first[0].mean() - 3) < 0.1
    assert abs(first[0].std() - 0.5) < 0.05
    assert first[1].min() >= 2
    assert first[1].max() < 4


def learnt(op: str, x: Any, kind: int, **attributes: Any) -> tuple[list[Any], list[Any]]:
    """What we and onnxruntime make of an operator of ai.onnx.ml."""
    given, one = value("x", kind, ["N", *np.shape(x)[1:]]), node(op, ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    proto = model([one], [given], ["y"], domains={"ai.onnx.ml": 1})
    proto.graph.output[0].type.Clear()
    return hs.onnx.load(proto).run(None, {"x": x}), by_onnxruntime(proto, {"x": x})


def test_scores_become_maps_and_categories_names() -> None:
    ours, theirs = learnt("ZipMap", drawn(2, 3), FLOAT, classlabels_strings=["a", "b", "c"])
    assert ours == theirs
    names = {"cats_int64s": [3, 5], "cats_strings": ["x", "y"], "default_string": "none"}
    for x, kind in ((np.array([5, 3, 9]), INT64), (np.array(["y", "q"], object), 8)):
        ours, theirs = learnt("CategoryMapper", x, kind, **names)
        assert ours[0].tolist() == theirs[0].tolist()


def test_maps_become_tensors() -> None:
    kind = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, None))
    for more, told in (({}, [[2.5, -1.0]]), ({"map_form": "SPARSE", "max_map": 4}, [[0, 2.5, 0, -1.0]])):
        one = node("CastMap", ["x"], ["y"], domain="ai.onnx.ml", **more)
        m = hs.onnx.load(model([one], [helper.make_value_info("x", kind)], ["y"], domains={"ai.onnx.ml": 1}))
        assert m.run(None, {"x": {3: -1.0, 1: 2.5}})[0].tolist() == told


def test_integers_wrap_and_strings_and_bools_are_moved() -> None:
    nodes = [node("Add", ["i", "i"], ["j"]), node("Not", ["q"], ["r"]), node("Gather", ["s", "k"], ["t"])]
    proto = model(nodes, [value("i", INT64, [1]), value("q", BOOL, [1]), value("s", 8, [2])],
                  [value("j", INT64), value("r", BOOL), value("t", 8)], k=np.array([1]))  # fmt: skip
    j, r, t = hs.onnx.load(proto).run(None, {"i": np.array([2**62]), "q": np.array([True]), "s": np.array(["a", "b"])})
    assert (j.tolist(), r.tolist(), t.tolist()) == ([-(2**63)], [False], ["b"])
