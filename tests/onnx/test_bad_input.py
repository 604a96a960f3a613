"""Files and inputs that do not fit are refused in one line, and every missing operator is named at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.onnx.making import BOOL, FLOAT, INT64, STRING, graph, helper, model, node, onnx, value

X = value("x", FLOAT, [2, 3])
ONES = np.ones((2, 3), np.float32)


def one(op: str, *more: str, opset: int = 17, **options: Any) -> Any:
    arrays = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    attributes = {k: v for k, v in options.items() if k not in arrays}
    return model([node(op, ["x", *more], ["y"], **attributes)], [X], ["y"], opset=opset, **arrays)


def changed(change: Callable[[Any], None]) -> Any:
    proto = one("Add", "w", w=np.ones(3, np.float32))
    change(proto)
    return proto


def test_every_missing_operator_is_named_with_its_nodes() -> None:
    nodes = [node("Foo", ["x"], ["a"], name="n1"), node("Bar", ["a"], ["b"]), node("Foo", ["b"], ["c"], name="n2")]
    inner = graph([node("Baz", ["x"], ["t"], name="in it")], [], ["t"])
    nodes.append(node("If", ["q"], ["y"], then_branch=inner, else_branch=inner))
    with pytest.raises(NotImplementedError) as error:
        hs.onnx.load(model(nodes, [X, value("q", BOOL, [])], ["y"]))
    assert str(error.value).startswith("operators: Foo ('n1', 'n2'); Bar ('Bar_0'); Baz ('in it', 'in it') are not")


FILES: list[tuple[Any, type[Exception], str]] = [
    (b"", ValueError, "no graph"),
    (b"not a model at all", ValueError, "cut off or no ONNX file"),
    (3, TypeError, "model: 3 is not allowed; allowed: a path, bytes"),
    ("nowhere.onnx", FileNotFoundError, "'nowhere.onnx' is not there"),
    ("x" * 9999, FileNotFoundError, "is not there"),
    (lambda: one("Relu", opset=99), ValueError, "opset: 99 is not allowed; allowed: 1 to"),
    (lambda: one("Add", "w"), ValueError, "node 'Add_0' (Add): input 'w' is not made before it"),
    (lambda: one("Add", "w", w=np.ones(3, np.int64)), ValueError, "B: int64 is not allowed; allowed: float"),
    (lambda: one("Add"), ValueError, "1 inputs are not allowed; allowed: 2 at least"),
    (lambda: one("Relu", "x"), ValueError, "2 inputs are not allowed; allowed: 1"),
    (lambda: one("Concat"), ValueError, "axis: it is missing"),
    (lambda: one("Concat", axis="first"), ValueError, "axis: STRING is not allowed; allowed: INT"),
    (lambda: one("Relu", alpha=1.0), ValueError, "attribute 'alpha' is not allowed"),
    (lambda: model([node("Relu", ["x"], ["y"])], [value("x", STRING)], ["y"]), ValueError, "X: string is not allowed"),
    (lambda: model([node("Relu", ["x"], ["a"])], [X], ["y"]), ValueError, "output 'y': no node makes it"),
    (lambda: model([node("Relu", ["x"], ["y"])] * 2, [X], ["y"]), ValueError, "output 'y' is made twice"),
    (lambda: changed(lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**40)), ValueError, "dims: (109951"),
    (lambda: changed(lambda m: m.graph.initializer[0].dims.__setitem__(0, -3)), ValueError, "dims: (-3,)"),
    (lambda: changed(lambda m: setattr(m.graph.initializer[0], "data_type", 99)), ValueError, "type 99 is not allowed"),
    (lambda: changed(lambda m: setattr(m.graph.initializer[0], "raw_data", b"12345")), ValueError, "initializer 'w'"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FILES)))
def test_a_file_that_does_not_fit_together_is_refused_in_one_line(number: int) -> None:
    given, kind, words = FILES[number]
    with pytest.raises(kind) as error:
        hs.onnx.load(given() if callable(given) else given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_what_a_graph_inside_reads_has_to_be_there() -> None:
    branch = graph([node("Neg", ["far"], ["t"])], [], ["t"])
    choice = node("If", ["q"], ["y"], then_branch=branch, else_branch=branch)
    with pytest.raises(ValueError, match="node 'If_0' \\(If\\): input 'far' is not made before it"):
        hs.onnx.load(model([choice], [value("q", BOOL, [])], ["y"]))


def test_cycles_and_functions_that_call_themselves() -> None:
    ring = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])]
    with pytest.raises(ValueError, match="input 'b' is not made before it"):
        hs.onnx.load(model(ring, [X], ["b"]))
    function = helper.make_function("d", "F", ["a"], ["b"], [node("F", ["a"], ["b"], domain="d")], [])
    with pytest.raises(ValueError, match="function 'F': it calls itself"):
        hs.onnx.load(model([node("F", ["x"], ["y"], domain="d")], [X], ["y"], functions=[function], domains={"d": 1}))


FEEDS: list[tuple[Any, type[Exception], str]] = [
    ({}, ValueError, "input: 'x' is missing; allowed: x"),
    ({"x": ONES, "z": ONES}, ValueError, "input: 'z' is not allowed; allowed: x"),
    ({"x": ONES[:, :2]}, ValueError, "x: shape (2, 2) is not allowed; allowed: (2, 3)"),
    ({"x": ONES[0]}, ValueError, "x: shape (3,) is not allowed; allowed: (2, 3)"),
    ({"x": ONES.astype(np.float64)}, TypeError, "x: float64 is not allowed; allowed: float32"),
    ({"x": ONES.astype(np.int64)}, TypeError, "x: int64 is not allowed; allowed: float32"),
    ({"x": ONES * 1j}, TypeError, "x: complex64 is not allowed; allowed: float32"),
    ({"x": None}, TypeError, "x: None is not allowed; allowed: a tensor"),
    ({"x": "abc"}, TypeError, "x: 'abc' is not allowed"),
    ({"x": [[1, 2, 3], [4]]}, TypeError, "x: [[1, 2, 3], [4]] is not allowed"),
    ([ONES], TypeError, "feeds: "),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FEEDS)))
def test_inputs_that_do_not_fit_are_refused_in_one_line(number: int) -> None:
    feeds, kind, words = FEEDS[number]
    with pytest.raises(kind) as error:
        hs.onnx.load(one("Relu")).run(None, feeds)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_names_of_outputs_and_numbers_of_inputs() -> None:
    m = hs.onnx.load(one("Relu"))
    with pytest.raises(ValueError, match="output: 'q' is not allowed; allowed: y"):
        m.run(["q"], {"x": ONES})
    with pytest.raises(TypeError, match="output_names: 'y' is not allowed"):
        m.run("y", {"x": ONES})
    with pytest.raises(TypeError, match="inputs: 2 are too many; allowed: x"):
        m(ONES, ONES)
    with pytest.raises(TypeError, match="x: given twice"):
        m(ONES, x=ONES)


@pytest.mark.parametrize(
    ("op", "words", "options"),
    [
        ("Expand", "lengths from 0, 2\\*\\*31 values", {"s": np.array([2**20, 2**20, 2, 3])}),
        ("Tile", "lengths from 0, 2\\*\\*31 values", {"s": np.array([2**20, 2**20])}),
        ("Pad", "lengths from 0, 2\\*\\*31 values", {"s": np.array([2**40, 0, 0, 0])}),
        ("MatMul", "do not fit", {"s": np.ones((2, 3), np.float32)}),
        ("Reshape", "does not fit", {"s": np.array([5])}),
        ("Gather", "out of bounds", {"s": np.array([7])}),
        ("Gather", "axis: 5 is not allowed", {"s": np.array([0]), "axis": 5}),
        ("Squeeze", "axes of length 1", {"s": np.array([7])}),
        ("Conv", "allowed: \\(N, C, 1 to 3 axes\\)", {"s": np.ones((2, 3), np.float32)}),
    ],
)
def test_a_node_that_cannot_run_says_its_name_and_why(op: str, words: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^node '{op}_0' \\({op}\\): .*{words}") as error:
        hs.onnx.load(one(op, "s", **options)).run(None, {"x": ONES})
    assert "\n" not in str(error.value)


def test_shapes_that_would_fill_the_memory_are_refused() -> None:
    far = value("n", INT64, [])
    for op, inputs, arrays in (
        ("ConstantOfShape", ["s"], {"s": np.array([2**20, 2**20])}),
        ("Range", ["a", "n", "b"], {"a": np.array(0), "b": np.array(1)}),
        ("OneHot", ["z", "n", "v"], {"z": np.array([0]), "v": np.array([0, 1])}),
    ):
        m = hs.onnx.load(model([node(op, inputs, ["y"])], [far], [value("y", INT64)], **arrays))
        with pytest.raises(ValueError, match="2\\*\\*31"):
            m.run(None, {"n": np.array(2**60)})


def test_data_outside_the_folder_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "secret.bin"
    inside.mkdir()
    outside.write_bytes(bytes(12))
    path = inside / "m.onnx"
    proto = one("Add", "w", w=np.ones(3, np.float32))
    onnx.save_model(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (inside / "link.bin").symlink_to(outside)
    text = path.read_bytes()
    with pytest.raises(ValueError, match="lies in a file beside it; allowed: the model's path"):
        hs.onnx.load(text)
    for key, told, words in (
        ("location", "../secret.bin", "allowed: files in the model's folder"),
        ("location", str(outside), "allowed: files in the model's folder"),
        ("location", "link.bin", "allowed: files in the model's folder"),
        ("location", "nothing.bin", "is not there"),
        ("offset", "9999", "cannot be read|initializer"),
        ("length", "1", "initializer 'w'"),
    ):
        copy = onnx.load(path, load_external_data=False)
        for entry in copy.graph.initializer[0].external_data:
            entry.value = told if entry.key == key else entry.value
        other = inside / "other.onnx"
        other.write_bytes(copy.SerializeToString())
        with pytest.raises(ValueError, match=words):
            hs.onnx.load(other)


def test_broken_bytes_are_refused_and_never_more() -> None:
    draw, whole = random.Random(0), one("Add", "w", w=np.ones(3, np.float32)).SerializeToString()
    told = []
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            hs.onnx.load(bytes(data)).run(None, {"x": ONES})
        except (ValueError, TypeError, NotImplementedError) as error:
            told.append(str(error))
    assert len(told) > 300
    assert not [words for words in told if "\n" in words or len(words) > 400]


def test_without_the_package_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    from halfsim.onnx.package import package

    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *rest, **options)

    package.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ModuleNotFoundError, match=r'^onnx: onnx is missing; it comes with: pip install "halfsim\[onnx\]"$'
    ):
        hs.onnx.load(b"")
    package.cache_clear()
