"""`hs.onnx.audit`: what must stay in float32 is found, is enough, and none of it can be left out.

The oracle is the file itself: with what is kept it is written by `mixed`, loaded anew and run.
"""

from __future__ import annotations

import json
import math
import pickle
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.cli import main
from halfsim.numerics.precision import FP16
from halfsim.onnx.conversion import saving
from halfsim.onnx.conversion.converted import Converted, Keep
from halfsim.onnx.conversion.mixed import mixed
from halfsim.onnx.conversion.outcome import error_of, least
from tests.onnx.making import BOOL, FLOAT, INT64, STRING, graph, model, node, tensors, value

RNG = np.random.default_rng(0)
X = value("x", FLOAT, ["N", 8])


def arrays(**named: Any) -> dict[str, Any]:
    return {name: np.asarray(x, np.float32) for name, x in named.items()}


def drawn(scale: float = 1.0, rows: int = 4, seed: int = 0) -> dict[str, Any]:
    return {"x": (np.random.default_rng(seed).normal(size=(rows, 8)) * scale).astype(np.float32)}


def audited(proto: Any, feeds: Any, **options: Any) -> Any:
    return hs.onnx.audit(proto, feeds, progress=False, **options)


def written(proto: Any, nodes: Any, tensors: Any, feeds: Any, target: str = "fp16") -> list[Any]:
    return hs.onnx.load(mixed(proto, nodes, tensors, target)).run(None, feeds)


def far(found: list[Any], wanted: list[Any]) -> float:
    return max(error_of(x, y, 16 * 2.0**-24) for x, y in zip(found, wanted, strict=True))


def healthy() -> Any:
    w = RNG.normal(size=(8, 8)) / 3
    return model([node("MatMul", ["x", "w"], ["h"], name="mm"), node("Relu", ["h"], ["y"], name="relu")], [X], ["y"],
                 **arrays(w=w))  # fmt: skip


def large_weight() -> Any:
    nodes = [node("MatMul", ["x", "w"], ["h"], name="mm"), node("Add", ["h", "b"], ["y"], name="bias")]
    return model(nodes, [X], ["y"], **arrays(w=RNG.normal(size=(8, 8)) * 1e5, b=np.ones(8)))


def variance() -> Any:
    nodes = [node("Relu", ["x"], ["r"], name="relu"),
             node("BatchNormalization", ["r", "g", "b", "m", "v"], ["y"], name="norm", epsilon=1e-12)]  # fmt: skip
    one = np.ones(8)
    return model(nodes, [X], ["y"], **arrays(g=one, b=one, m=0 * one, v=one * 1e-8))


def lost_eps() -> Any:
    nodes = [node("Abs", ["x"], ["a"], name="abs"), node("Add", ["a", "eps"], ["d"], name="add"),
             node("Div", ["x", "d"], ["y"], name="div")]  # fmt: skip
    return model(nodes, [X], ["y"], **arrays(eps=1e-8))


def overflow() -> Any:
    nodes = [node("Mul", ["x", "x"], ["s"], name="square"), node("ReduceMean", ["s"], ["m"], name="mean", axes=[1]),
             node("Sqrt", ["m"], ["n"], name="root"), node("Div", ["x", "n"], ["y"], name="div")]  # fmt: skip
    return model(nodes, [X], ["y"], opset=13)


ZEROS = {"x": np.zeros((4, 8), np.float32)}
BROKEN = [
    ("a weight past 65504", large_weight(), drawn(1e-3), ("w",), "overflow", "w"),
    ("a variance of 1e-8", variance(), drawn(1e-4), ("v",), "underflow", "v"),
    ("an eps lost", lost_eps(), ZEROS, ("eps", "div"), "underflow", "eps"),
    ("activations past 65504", overflow(), drawn(500.0), ("square", "mean", "root"), "overflow", ""),
]


@pytest.mark.parametrize(("proto", "feeds", "kept", "klass", "tensor"), [row[1:] for row in BROKEN],
                         ids=[row[0] for row in BROKEN])  # fmt: skip
def test_what_must_stay_is_found_and_told(proto: Any, feeds: Any, kept: Any, klass: str, tensor: str) -> None:
    found = audited(proto, feeds)
    assert found.found
    assert found.complete
    assert not found.healthy
    assert set(found.keep) == set(kept)
    assert set(found.keep_nodes) | set(found.keep_tensors) == set(kept)
    told = found.verdict()
    assert (told.klass, told.tensor) == (klass, tensor)
    for name in found.keep:
        assert name in str(told)
        assert name in str(found)
    assert all(not one.holds for one in found.without.values())
    assert set(found.without) == set(kept)


@pytest.mark.parametrize(("proto", "feeds"), [row[1:3] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_is_kept_is_enough_and_none_of_it_can_be_left_out(proto: Any, feeds: Any) -> None:
    found, wanted = audited(proto, feeds), hs.onnx.load(proto).run(None, feeds)
    assert far(written(proto, found.keep_nodes, found.keep_tensors, feeds), wanted) <= 0.05
    with hs.precision(found.policy):
        assert far(hs.onnx.load(proto).run(None, feeds), wanted) <= 0.05
    for name in found.keep:
        nodes, tensors = ([n for n in names if n != name] for names in (found.keep_nodes, found.keep_tensors))
        assert far(written(proto, nodes, tensors, feeds), wanted) > 0.05, name


def chain(seed: int) -> tuple[Any, dict[str, Any]]:
    """A chain of layers, some with a fault: a huge weight, a tiny divisor, a square that overflows."""
    rng = np.random.default_rng(seed)
    nodes, held, at = [], {}, "x"
    for i in range(6):
        kind, out = rng.integers(0, 5), f"h{i}"
        if kind == 0:
            held[f"w{i}"] = rng.normal(size=(8, 8)) * 1e6
            held[f"s{i}"] = 1e-6
            nodes += [node("Mul", [at, f"s{i}"], [f"a{i}"], name=f"down{i}"),
                      node("MatMul", [f"a{i}", f"w{i}"], [out], name=f"mm{i}")]  # fmt: skip
        elif kind == 1:
            held[f"c{i}"] = 1e-9
            nodes += [node("Mul", [at, f"c{i}"], [f"a{i}"], name=f"tiny{i}"),
                      node("Div", [f"a{i}", f"c{i}"], [out], name=f"div{i}")]  # fmt: skip
        elif kind == 2:
            held[f"k{i}"] = 1e4
            nodes += [node("Mul", [at, f"k{i}"], [f"a{i}"], name=f"up{i}"),
                      node("Reshape", [f"a{i}", f"t{i}"], [f"b{i}"], name=f"reshape{i}"),
                      node("Div", [f"b{i}", f"k{i}"], [out], name=f"back{i}")]  # fmt: skip
            held[f"t{i}"] = np.array([0, 8])
        elif kind == 3:
            nodes.append(node("Tanh", [at], [out], name=f"tanh{i}"))
        else:
            held[f"w{i}"] = rng.normal(size=(8, 8)) / 3
            nodes.append(node("MatMul", [at, f"w{i}"], [out], name=f"mm{i}"))
        at = out
    nodes.append(node("Identity", [at], ["y"], name="last"))
    named = {k: np.asarray(v, np.int64 if k.startswith("t") else np.float32) for k, v in held.items()}
    return model(nodes, [X], ["y"], **named), {"x": (rng.normal(size=(4, 8)) * 20).astype(np.float32)}


@pytest.mark.parametrize("seed", range(24))
def test_any_chain_is_mended_by_what_is_kept_and_by_no_less(seed: int) -> None:
    proto, feeds = chain(seed)
    found, wanted = audited(proto, feeds), hs.onnx.load(proto).run(None, feeds)
    assert found.found
    assert (far(written(proto, (), (), feeds), wanted) <= 0.05) is found.healthy
    assert far(written(proto, found.keep_nodes, found.keep_tensors, feeds), wanted) <= 0.05
    for name in found.keep:
        nodes, tensors = ([n for n in names if n != name] for names in (found.keep_nodes, found.keep_tensors))
        assert far(written(proto, nodes, tensors, feeds), wanted) > 0.05, name


def test_what_the_audit_runs_is_what_the_file_does() -> None:
    """The error that is told is that of the file, loaded anew, to the bit."""
    for seed in range(8):
        proto, feeds = chain(seed)
        found, wanted = audited(proto, feeds), hs.onnx.load(proto).run(None, feeds)
        (row,) = found.outputs
        pairs = ((row.narrow, (), ()), (row.mixed, found.keep_nodes, found.keep_tensors))
        for told, nodes, held in pairs:
            assert told == far(written(proto, nodes, held, feeds), wanted), seed


def compared() -> Any:
    """A comparison of a value in half with one in float32, which is cast down before it."""
    nodes = [node("Mul", ["x", "one"], ["h"], name="mul"), node("Greater", ["x", "h"], ["q"], name="ask"),
             node("Where", ["q", "one", "two"], ["y"], name="where")]  # fmt: skip
    return model(nodes, [X], ["y"], **arrays(one=1.0, two=2.0))


def filled() -> Any:
    """A tensor that a node makes in half and a kept node divides by: 1e-8, which is zero by then."""
    nodes = [node("Shape", ["x"], ["s"], name="shape"),
             node("ConstantOfShape", ["s"], ["c"], name="fill", value=tensors(c=np.float32([1e-8]))[0]),
             node("Div", ["x", "c"], ["y"], name="div")]  # fmt: skip
    return model(nodes, [X], ["y"])


def joined() -> Any:
    """A value in float32 beside one in half, moved together: both are half for the kept node behind."""
    nodes = [node("Mul", ["x", "one"], ["h"], name="mul"), node("Concat", ["x", "h"], ["c"], name="join", axis=1),
             node("Identity", ["c"], ["i"], name="same"), node("Exp", ["i"], ["y"], name="exp")]  # fmt: skip
    return model(nodes, [X], ["y"], **arrays(one=1.0))


@pytest.mark.parametrize(("make", "kept"), [(compared, ()), (filled, ("div",)), (joined, ("exp",)), (joined, ())])
def test_casts_are_where_the_file_has_them(make: Any, kept: Any) -> None:
    proto, feeds = make(), drawn()
    with np.errstate(all="ignore"):
        ours = Converted(proto, FP16).run(feeds, Keep(frozenset(kept)))
        np.testing.assert_array_equal(ours["y"], written(proto, kept, (), feeds)[0])


def test_a_healthy_model_keeps_nothing() -> None:
    found = audited(healthy(), drawn())
    assert found.healthy
    assert (found.keep, found.tries, found.without) == ((), (), {})
    assert found.verdict().klass == "benign rounding"
    assert found.verdict().fix == "nothing: convert the model"
    assert found.bytes == 2 * found.bytes_mixed == 2 * found.bytes_saved == 256
    assert found.block_list() == {"op_block_list": [], "node_block_list": [], "nodes_to_exclude": []}


def test_losses_that_do_no_harm_are_told_as_such() -> None:
    w = RNG.normal(size=(8, 8))
    w[:, ::2] *= 1e-9
    proto = model([node("MatMul", ["x", "w"], ["y"], name="mm")], [X], ["y"], **arrays(w=w))
    found = audited(proto, drawn())
    assert found.healthy
    assert "makes 32 weights zero (50.0 %)" in found.verdict().message
    assert found.weights.rows[0].to_zero == 32


def test_nodes_are_measured_on_the_data() -> None:
    found = {row.path: row for row in audited(overflow(), drawn(500.0)).nodes}
    x = drawn(500.0)["x"].astype(np.float64)
    assert found["square"].overflow == int((x * x >= 65520).sum()) > 0
    assert found["square"].largest == pytest.approx(float((x * x).max()), rel=1e-6)
    assert {path: row.kept for path, row in found.items()} == {"square": "node", "mean": "node", "root": "node",
                                                               "div": ""}  # fmt: skip
    healthy_rows = audited(healthy(), drawn()).nodes
    assert 0 < next(r for r in healthy_rows if r.path == "mm").made < 2**-10
    table = audited(overflow(), drawn(500.0)).table()
    assert table.splitlines()[0].split()[:2] == ["node", "operator"]


def test_samples_are_streamed_and_not_held() -> None:
    alive: list[Any] = []

    class Held(np.ndarray):
        pass

    def samples() -> Iterator[dict[str, Any]]:
        for i in range(40):
            x = drawn(500.0 if i % 3 == 2 else 1.0, seed=i)["x"].view(Held)
            alive.append(weakref.ref(x))
            yield {"x": x}
            assert sum(ref() is not None for ref in alive) <= 12

    found = audited(overflow(), samples())
    assert (found.samples, found.broken) == (40, 13)
    assert set(found.keep) == {"square", "mean", "root"}


def test_a_later_sample_that_breaks_otherwise_is_seen() -> None:
    """Past the number that is held, what was found grows."""
    proto = model(
        [node("Mul", ["x", "k"], ["a"], name="up"), node("Div", ["a", "k"], ["b"], name="down"),
         node("Mul", ["b", "c"], ["d"], name="tiny"), node("Div", ["d", "c"], ["y"], name="back")],
        [X], ["y"], **arrays(k=500.0, c=1e-4),
    )  # fmt: skip
    first = ({"x": np.full((1, 8), 200.0 + i, np.float32)} for i in range(12))
    later = ({"x": np.full((1, 8), 1e-3 * (1 + i), np.float32)} for i in range(3))
    found = audited(proto, [*first, *later])
    assert found.found
    for feeds in ({"x": np.full((1, 8), 210.0, np.float32)}, {"x": np.full((1, 8), 1e-3, np.float32)}):
        wanted = hs.onnx.load(proto).run(None, feeds)
        assert far(written(proto, found.keep_nodes, found.keep_tensors, feeds), wanted) <= 0.05


def test_no_more_samples_are_taken_than_asked_for() -> None:
    taken = []

    def samples() -> Iterator[dict[str, Any]]:
        for i in range(100):
            taken.append(i)
            yield drawn(seed=i)

    assert audited(healthy(), samples(), samples=5).samples == 5
    assert len(taken) == 5


def test_inputs_are_made_where_none_are_given_and_that_is_said() -> None:
    with pytest.warns(UserWarning, match=r"random ones were made \(x \[1, 8\]\)") as told:
        found = hs.onnx.audit(healthy(), progress=False)
    assert told[0].filename == __file__
    assert found.healthy
    assert any("not your data" in note for note in found.notes)
    proto = model([node("Gather", ["w", "i"], ["g"], name="look"), node("MatMul", ["g", "v"], ["y"], name="mm")],
                  [value("i", INT64, ["N", "T"])], ["y"], **arrays(w=np.ones((2, 8)), v=np.ones((8, 8))))  # fmt: skip
    with pytest.warns(UserWarning, match=r"i \[1, 64\]"):
        hs.onnx.audit(proto, progress=False)


def test_tolerance_and_accept_decide() -> None:
    proto, feeds = healthy(), drawn()
    assert not audited(proto, feeds, tolerance=1e-5).healthy
    assert audited(proto, feeds, tolerance={"y": 0.5}).outputs[0].tolerance == 0.5
    seen = []

    def accept(found: Any, reference: Any) -> bool:
        seen.append((found["y"].dtype, reference["y"].shape))
        return bool(np.array_equal(found["y"], reference["y"]))

    found = audited(proto, feeds, accept=accept)
    assert found.outputs[0].tolerance is None
    assert found.keep
    assert seen[0] == (np.float32, (4, 8))
    never = audited(proto, feeds, accept=lambda found, reference: False)
    assert not never.found
    assert never.keep == ()
    with pytest.raises(ValueError, match="save: no mixed precision was found"):
        never.save("nowhere.onnx")


def test_tries_may_run_out() -> None:
    found = audited(overflow(), drawn(500.0), max_evaluations=2)
    assert not found.complete
    assert len(found.tries) <= 2


def test_bfloat16_has_the_range_and_not_the_digits() -> None:
    assert audited(large_weight(), drawn(1e-3), target="bf16").healthy
    with pytest.raises(ValueError, match="not allowed in opset 12"):
        audited(model([node("Relu", ["x"], ["y"])], [X], ["y"], opset=12), drawn(), target="bf16")


def test_names_that_policies_read_otherwise() -> None:
    nodes = [node("MatMul", ["x", "w"], ["h"], name="mm@0[1]"), node("Relu", ["h"], ["y"], name="mm@0[1].relu")]
    proto = model(nodes, [X], ["y"], **arrays(w=np.ones((8, 8)) * 1e5))
    found = audited(proto, drawn(1e-4))
    with hs.precision(found.policy):
        assert np.isfinite(hs.onnx.load(proto).run(None, drawn(1e-4))[0]).all()
    assert found.keep == ("w",)


def test_branches_are_audited_too() -> None:
    inner = graph([node("MatMul", ["x", "w"], ["h"], name="inside")], [], ["h"], **arrays(w=np.ones((8, 8)) * 1e5))
    other = graph([node("Relu", ["x"], ["r"], name="other")], [], ["r"])
    nodes = [node("If", ["q"], ["y"], name="if", then_branch=inner, else_branch=other)]
    proto = model(nodes, [X, value("q", BOOL, [])], ["y"])
    found = audited(proto, {**drawn(1e-4), "q": np.array(True)})
    assert found.keep == ("w",)
    assert audited(proto, {**drawn(1e-4), "q": np.array(False)}).healthy


def test_a_run_that_raises_in_half_is_a_run_that_does_not_hold() -> None:
    """A length that was computed in floats and is no whole number any more."""
    nodes = [
        node("Cast", ["n"], ["f"], to=FLOAT, name="float"),
        node("Mul", ["f", "one"], ["g"], name="mul"),
        node("Cast", ["g"], ["i"], to=INT64, name="int"),
        node("Reshape", ["x", "i"], ["y"], name="shape"),
    ]
    proto = model(nodes, [value("x", FLOAT, [1, 2049]), value("n", INT64, [2])], ["y"], **arrays(one=1.0))
    feeds = {"x": np.ones((1, 2049), np.float32), "n": np.array([2049, 1])}
    found = audited(proto, feeds)
    assert found.found
    assert found.keep
    assert "raised" in found.verdict().message
    assert "raised" in next(iter(found.without.values())).reason


def test_costs_are_those_of_the_device() -> None:
    found = audited(large_weight(), drawn(1e-3), device="A100")
    assert [row.variant for row in found.costs] == ["float32", "all in the target", "mixed"]
    wide, narrow, kept = (row.bytes for row in found.costs)
    assert narrow < min(kept, wide)
    assert "A100" in found.page()
    assert audited(healthy(), drawn()).costs == ()


def test_it_is_a_result_as_others_are(tmp_path: Path) -> None:
    found = audited(variance(), drawn(1e-4))
    data = json.loads(found.to_json(tmp_path / "a.json"), parse_constant=lambda word: pytest.fail(word))
    assert data["keep"] == ["v"]
    assert data["verdict"]["tensor"] == "v"
    assert json.loads((tmp_path / "a.json").read_text()) == data
    found.to_html(tmp_path / "a.html")
    assert "What happens without" in (tmp_path / "a.html").read_text()
    assert "<h2>" in found._repr_html_()
    again = pickle.loads(pickle.dumps(found))
    assert again.to_json() == found.to_json()
    assert again.policy == found.policy


def test_the_audit_leaves_scopes_traces_and_random_numbers_alone() -> None:
    hs.manual_seed(7)
    wanted = hs.randn(3).numpy()
    hs.manual_seed(7)
    with hs.trace() as t, hs.precision("pure_fp16", override=True):
        inside = audited(variance(), drawn(1e-4))
    assert not t.places
    assert inside.to_json() == audited(variance(), drawn(1e-4)).to_json()
    np.testing.assert_array_equal(hs.randn(3).numpy(), wanted)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"feeds": {}}, ValueError, "input: 'x' is missing"),
    ({"feeds": {"z": 1}}, ValueError, "input: 'z' is not allowed; allowed: x"),
    ({"feeds": {"x": np.ones((2, 8))}}, TypeError, "x: float64 is not allowed; allowed: float32"),
    ({"feeds": {"x": np.ones((2, 7), np.float32)}}, ValueError, "x: shape"),
    ({"feeds": []}, ValueError, "feeds: no sample is there"),
    ({"feeds": 3}, TypeError, "feeds: 3 is not allowed"),
    ({"feeds": [3]}, TypeError, "feeds: sample 0 is 3"),
    ({"target": "fp32"}, ValueError, "target: 'fp32' is not allowed; allowed: 'fp16', 'bf16'"),
    ({"target": "amp"}, ValueError, "target: 'amp' is not allowed"),
    ({"tolerance": 0}, ValueError, "tolerance: 0 is not allowed"),
    ({"tolerance": "1"}, TypeError, "tolerance: '1' is not allowed"),
    ({"tolerance": {"z": 1}}, ValueError, "tolerance: output 'z' is not there; allowed: y"),
    ({"accept": 1}, TypeError, "accept: 1 is not allowed"),
    ({"samples": 0}, ValueError, "samples: 0 is not allowed"),
    ({"max_evaluations": 0}, ValueError, "max_evaluations: 0 is not allowed"),
    ({"device": "A1000000"}, ValueError, "device: 'A1000000' is not allowed"),
    ({"model": b"no model"}, ValueError, "cut off or no ONNX file"),
]


@pytest.mark.parametrize(("changed", "kind", "said"), BAD, ids=[row[2] for row in BAD])
def test_what_does_not_fit_is_refused_in_one_line(changed: Any, kind: type[Exception], said: str) -> None:
    given = {"model": healthy(), "feeds": drawn(), **changed}
    with pytest.raises(kind) as error:
        audited(given.pop("model"), given.pop("feeds"), **given)
    assert str(error.value).startswith(said) or said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="input 's' holds no numbers"):
        hs.onnx.audit(model([node("Identity", ["s"], ["y"])], [value("s", STRING, [1])], [value("y", STRING)]))
    with pytest.raises(ValueError, match=r"input 'x': \(1048576, 1048576\) is not allowed"):
        hs.onnx.audit(model([node("Relu", ["x"], ["y"])], [value("x", FLOAT, [2**20, 2**20])], ["y"]))


def test_errors_of_outputs() -> None:
    one = np.ones(4, np.float32)
    assert error_of(one, one) == 0
    assert error_of(one[:3], one) == math.inf
    assert error_of(np.array([1, np.nan]), np.array([1, np.nan])) == 0
    assert error_of(np.array([1, np.inf]), np.array([1, 2.0])) == math.inf
    assert error_of(np.array([np.inf, 3]), np.array([np.inf, 4.0])) == 0.25
    assert error_of(np.array([1, 2, 3, 5]), np.array([1, 2, 3, 4])) == 0.25
    assert error_of(np.zeros(4), np.full(4, 1e-9), 1e-6) == pytest.approx(1e-3)


# The command.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(variance().SerializeToString())
    np.savez(tmp_path / "x.npz", **drawn(1e-4))
    np.savez(tmp_path / "many.npz", x=np.stack([drawn(1e-4, seed=i)["x"] for i in range(3)]))
    return path


def test_the_command(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = file.parent
    words = ["audit", str(file), "--inputs", str(folder / "x.npz"), "--device", "A100"]
    assert main([*words, "--save", str(folder / "mixed.onnx"), "--html", str(folder / "a.html")]) == 0
    told = capsys.readouterr()
    assert "Keep v in float32" in told.out
    assert told.err == ""
    assert (folder / "a.html").exists()
    wanted = hs.onnx.load(file).run(None, drawn(1e-4))
    assert far(hs.onnx.load(folder / "mixed.onnx").run(None, drawn(1e-4)), wanted) <= 0.05
    assert main(["audit", str(file), "--inputs", str(folder / "many.npz"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["samples"], data["keep"]) == (3, ["v"])
    assert main(["audit", str(file), "--inputs", str(folder / "many.npz"), "--samples", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 2


def test_what_was_found_is_told_where_the_file_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def held(model: Any, feeds: Any, least: float = 0.0) -> saving.Held:
        asked.append(least)
        return saving.Held("a runtime", 0.5, "a runtime runs it, its outputs at most 5e-01 of their norm from ours")

    monkeypatch.setattr(saving, "held", held)
    path = file.parent / "mixed.onnx"
    assert main(["audit", str(file), "--inputs", str(file.parent / "x.npz"), "--save", str(path)]) == 2
    told = capsys.readouterr()
    assert "Keep v in float32" in told.out
    assert "written" not in told.out
    assert told.err.splitlines() == [
        "halfsim audit: MODEL.onnx: a runtime runs it, its outputs at most 5e-01 of their norm from ours; allowed: 0.05"
    ]
    assert not path.exists()
    assert asked == [least(hs.float16)], "tiny outputs are measured as the audit measures them"


def test_the_command_makes_inputs_and_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["audit", str(file), "--json"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("halfsim audit: No inputs were given")
    assert len(told.err.splitlines()) == 1
    assert json.loads(told.out)["notes"]


def test_the_command_refuses_in_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = file.parent
    (folder / "cut.onnx").write_bytes(file.read_bytes()[:200])
    (folder / "bad.npz").write_text("no archive")
    np.savez(folder / "wrong.npz", z=np.ones(3))
    np.savez(folder / "wide.npz", x=np.ones((2, 8)))
    np.save(folder / "one.npy", np.ones(3))
    x = ["--inputs", str(folder / "x.npz")]
    cases = {
        (str(folder / "cut.onnx"),): "MODEL.onnx: 'cut.onnx' is cut off",
        ("nowhere.onnx",): "MODEL.onnx: 'nowhere.onnx' is not there",
        (str(file), "--inputs", "nowhere.npz"): "'nowhere.npz': no such file",
        (str(file), "--inputs", str(folder / "bad.npz")): "--inputs: ",
        (str(file), "--inputs", str(folder / "one.npy")): "--inputs: ",
        (str(file), "--inputs", str(folder / "wrong.npz")): "input: 'z' is not allowed; allowed: x",
        (str(file), "--inputs", str(folder / "wide.npz")): "x: float64 is not allowed; allowed: float32",
        (str(file), *x, "--save", str(folder / "none" / "m.onnx")): "--save: ",
        (str(file), *x, "--html", str(folder)): "--html: ",
        (str(file), *x, "--target", "fp8"): "--target: 'fp8' is not allowed",
        (str(file), *x, "--device", "A1000000"): "--device: 'A1000000' is not allowed",
    }
    before = {path.name for path in folder.iterdir()}
    for words, said in cases.items():
        assert main(["audit", *words]) == 2, words
        err = capsys.readouterr().err
        assert err.startswith(f"halfsim audit: {said}"), err
        assert len(err.splitlines()) == 1
    assert {path.name for path in folder.iterdir()} == before
