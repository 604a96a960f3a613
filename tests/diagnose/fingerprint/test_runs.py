"""Runs with one planted difference: the first operation that is named is the planted one."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.fingerprint import file
from halfsim.diagnose.fingerprint.align import aligned
from halfsim.diagnose.fingerprint.compare import compared
from halfsim.diagnose.trace import Forecast
from tests.cli.calling import called, refusal
from tests.diagnose.fingerprint.training import run

nn = hs.nn


def first(a: Any, b: Any) -> Any:
    found = hs.compare_fingerprints(a, b)
    assert not found.equal
    assert found.first is not None
    return found.first


def test_equal_runs_have_equal_fingerprints(tmp_path):
    a, b = run(), run()
    assert a.lines == b.lines
    found = hs.compare_fingerprints(a, b)
    assert (found.equal, found.first, found.steps) == (True, None, ())
    assert found.matched == len(a.lines) == found.operations[0]
    a.fingerprint(tmp_path / "a")
    assert hs.compare_fingerprints(tmp_path / "a", b).equal


@pytest.mark.parametrize("precision", ["fp32", "fp16", "pure_fp16", "storage=bf16, rounding=stochastic", "amp"])
def test_what_is_traced_so_has_the_same_bits(precision):
    """Losses, weights and counts are those of a run that nobody traces."""
    results = []
    for how in (None, {}, {"fingerprint": True}, {"fingerprint": 100, "forecast": "fp16"}):
        hs.manual_seed(0)
        model = nn.Sequential(nn.Linear(9, 7), nn.LayerNorm(7), nn.Dropout(0.3), nn.Linear(7, 3))
        optimizer = hs.optim.Adam(model.parameters(), lr=1e-2, eps=1e-4)
        x = np.random.default_rng(0).standard_normal((5, 9))
        trace = None if how is None else hs.trace(**how)
        with hs.precision(precision):
            t = None if trace is None else trace.__enter__()
            for _ in range(3):
                optimizer.zero_grad()
                nn.cross_entropy(model(hs.tensor(x)), [0, 1, 2, 0, 1]).backward()
                optimizer.step()
            if trace is not None:
                trace.__exit__(None, None, None)
        results.append(([p.bits().tobytes() for p in model.parameters()], None if t is None else str(t.totals)))
    assert len({tuple(bits) for bits, _ in results}) == 1
    assert len({told for _, told in results[1:]}) == 1


def test_another_seed_is_told_by_the_weights_and_the_header():
    found = hs.compare_fingerprints(run(seed=0), run(seed=1))
    assert found.first is not None
    assert (found.first.phase, found.first.path, found.first.step) == ("input", "0.weight", 1)
    assert {name: (a, b) for name, a, b in found.headers}["seed"] == ("0", "1")
    assert "came from outside" in str(found)


def test_numbers_from_outside_have_one_row_where_they_are_first_read():
    rows = [json.loads(line) for line in run(steps=3, dropout=0).lines]
    given = [(row[2], row[3], tuple(row[6])) for row in rows if row[1] == "input"]
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [(path, op) for path, op, _ in given if path] == [(name, "linear") for name in names]
    assert sum(shape == (16, 48) for _, _, shape in given) == 1  # though the batch is a new tensor each step


def flip(model: Any, name: str, element: tuple[int, ...], bit: int) -> None:
    p = dict(model.named_parameters())[name]
    code = p.bits().copy()
    code[element] ^= 1 << bit
    with hs.no_grad():
        p.copy_(hs.tensor(hs.decode(code, "fp16"), "fp16"))


@pytest.mark.parametrize("bit", range(0, 16, 3))
@pytest.mark.parametrize(("name", "element"), [("0.weight", (3, 17)), ("3.weight", (4, 23)), ("3.bias", (2,))])
def test_a_flipped_bit_in_a_weight_is_told_exactly(name, element, bit):
    sound = run(steps=1)
    found = first(sound, run(steps=1, plant=lambda model: flip(model, name, element, bit)))
    assert (found.kind, found.phase, found.path, found.op) == ("bits", "input", name, "linear")
    assert found.exact
    assert found.element == element
    assert found.ulp == (1 << bit if bit < 15 else found.ulp)
    assert "1 of " in found.detail


def test_a_unit_or_an_order_of_sums_is_told_as_the_operation_itself():
    base = run("storage=fp16, accumulate=fp16:sequential", dropout=0)
    for other in ("fp16:pairwise", "fp16:blocked(8)", "fp32:sequential"):
        found = first(base, run(f"storage=fp16, accumulate={other}", dropout=0))
        assert (found.op, found.path, found.reads, found.phase) == ("linear", "0", "same", "forward")
        assert found.ulp >= 1
        assert found.where.startswith("training.py:")


def test_a_devices_unit_is_told():
    hs.manual_seed(0)
    a, b = (hs.round_to(np.random.default_rng(0).standard_normal((40, 40)) * 100, "fp16") for _ in range(2))

    def product(device: str) -> Any:
        with hs.precision(f"storage=fp32, operands=fp16, accumulate={device}"), hs.trace(fingerprint=True) as t:
            x = hs.tensor(a, "fp32") * 1.0
            (x @ hs.tensor(b, "fp32")).relu()
        return t

    found = first(product("V100"), product("H100"))
    assert (found.op, found.reads) == ("matmul", "same")
    assert hs.compare_fingerprints(product("H100"), product("H200")).equal


def test_another_block_size_is_told():
    def product(words: str) -> Any:
        x = hs.tensor(np.random.default_rng(0).standard_normal((4, 64)), "fp16")
        with hs.precision(words), hs.trace(fingerprint=True) as t:
            (x.relu() @ x.T).exp()
        return t

    one = product("storage=fp16, accumulate=fp16:blocked(4)")
    found = first(one, product("storage=fp16, accumulate=fp16:blocked(16)"))
    assert (found.op, found.reads) == ("matmul", "same")


def test_another_order_of_operations_is_structure():
    comparison = hs.compare_fingerprints(run(dropout=0, steps=1), run(dropout=0, steps=1, swap=True))
    found = comparison.first
    assert found is not None
    assert (found.kind, found.op, found.phase) == ("extra", "mul", "forward")
    assert found.detail.endswith("another order")
    assert "another order" in str(comparison)


def test_a_missing_dropout_is_structure_and_what_follows_is_aligned():
    comparison = hs.compare_fingerprints(run(), run(dropout=0))
    found = comparison.first
    assert found is not None
    assert (found.kind, found.path, found.op, found.step) == ("missing", "2", "dropout", 1)
    assert comparison.counts["missing"] > 0
    assert comparison.first_bits is not None
    assert comparison.matched > 10
    assert comparison.steps == (1, 2)


def test_another_activation_shape_and_format():
    found = first(run(dropout=0), run(dropout=0, act=nn.GELU()))
    assert (found.kind, found.op, found.path) == ("missing", "relu", "1")

    def shaped(n: int, fmt: str) -> Any:
        with hs.trace(fingerprint=True) as t:
            hs.tensor(np.ones(6), fmt)[:n].exp()
        return t

    found = first(shaped(5, "fp16"), shaped(4, "fp16"))
    assert (found.kind, found.op, found.detail) == ("shape", "getitem", "float16 [5] against float16 [4]")
    found = first(shaped(5, "fp16"), shaped(5, "bf16"))
    assert (found.kind, found.phase, found.detail) == ("format", "input", "float16 [6] against bfloat16 [6]")


def test_an_option_is_read():
    def scaled(axis: int) -> Any:
        x = hs.tensor(np.arange(9.0).reshape(3, 3), "fp16")
        with hs.trace(fingerprint=True) as t:
            x.exp().sum(axis)
        return t

    found = first(scaled(0), scaled(1))
    assert (found.kind, found.op, found.reads, found.exact) == ("bits", "sum", "other", True)


def test_a_learning_rate_is_told_in_the_optimizer():
    comparison = hs.compare_fingerprints(run(steps=1), run(steps=1, lr=0.2))
    found = comparison.first
    assert found is not None
    assert (found.phase, found.path, found.op) == ("optimizer", "0.weight", "add")
    assert "optimizer" in str(comparison)


def test_another_wide_product_of_the_host_is_told():
    """Another machine's BLAS: float32 products in another order."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 64, 64)).astype(np.float32)

    def product(words: str) -> Any:
        with hs.precision(words), hs.trace(fingerprint=True) as t:
            (hs.tensor(a) @ hs.tensor(b)).tanh()
        return t

    found = first(product("fp32"), product("storage=fp32, accumulate=fp32:pairwise"))
    assert (found.op, found.reads, found.exact) == ("matmul", "same", False)
    assert found.ulp >= 1
    whole = first(
        *(
            _with_all(words, a, b)
            for words in ("storage=fp32, accumulate=fp32:sequential", "storage=fp32, accumulate=fp32:pairwise")
        )
    )
    assert whole.exact
    assert whole.element is not None


def _with_all(words: str, a: Any, b: Any) -> Any:
    with hs.precision(words), hs.trace(fingerprint=10_000) as t:
        hs.tensor(a) @ hs.tensor(b)
    return t


def test_zeros_signs_are_told_apart_from_numbers():
    def signed(zero: float) -> Any:
        with hs.trace(fingerprint=True) as t:
            hs.tensor([zero, 1.0], "fp16") * 3.0
        return t

    found = first(signed(0.0), signed(-0.0))
    assert (found.kind, found.ulp, found.phase) == ("signs", 0, "input")


def test_a_trace_that_was_begun_without_says_so(tmp_path):
    with hs.trace() as t:
        hs.tensor([1.0]) + 1.0
    with pytest.raises(ValueError, match=r"^fingerprint: this trace was begun without; allowed: hs.trace\(finger"):
        t.fingerprint(tmp_path / "a")
    for wrong in (-1, 1.5, "all"):
        with pytest.raises((ValueError, TypeError), match="^fingerprint: "):
            hs.trace(fingerprint=wrong)
    with hs.trace(fingerprint=True) as kept, pytest.raises(TypeError, match="^path: 3 is not allowed; allowed: a "):
        kept.fingerprint(3)
    with pytest.raises(TypeError, match="^a: 3 is not allowed; allowed: a path, a trace begun with"):
        hs.compare_fingerprints(3, "b")
    with pytest.raises(TypeError, match="^b: "):
        hs.compare_fingerprints(run(steps=1), t)


def test_traces_around_others_and_with_forecasts_note_the_same():
    with hs.trace(fingerprint=True) as outer, hs.trace() as inner:
        y = (hs.tensor([1.0, 2.0], "fp16").exp() * 3.0).sum()
    assert float(y) == float((hs.tensor([1.0, 2.0], "fp16").exp() * 3.0).sum())
    assert len(inner.latest) == 3
    assert [json.loads(line)[3] for line in outer.lines] == ["exp", "mul", "sum"]
    forecast = run(forecast="fp16", precision="fp32")
    assert isinstance(forecast, Forecast)
    assert forecast.lines == run("fp32").lines
    assert forecast.forecast() == run("fp32", forecast="fp16").forecast()


def test_values_say_how_many_bits_are_kept(tmp_path):
    none, few, many = (run(steps=1, dropout=0, values=n) for n in (0, 3, 10**6))
    assert len("".join(none.lines)) < len("".join(few.lines)) < len("".join(many.lines))
    found = first(many, run(steps=1, dropout=0, values=10**6, lr=0.2))
    assert found.exact
    bounded = first(none, run(steps=1, dropout=0, values=0, lr=0.2))
    assert 1 <= bounded.ulp <= found.ulp
    assert bounded.detail == f"by at least {bounded.ulp} ulp"
    assert hs.compare_fingerprints(none, many).equal


def test_a_line_takes_about_two_hundred_bytes():
    t = run(steps=4)
    sizes = [len(line) for line in t.lines]
    assert np.mean(sizes) < 220
    assert max(sizes) < 300


# ---- files ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("fingerprints") / "sound.txt"
    run(steps=1).fingerprint(path)
    return path


def test_files_do_not_depend_on_the_process(sound, tmp_path):
    code = (
        "import sys; from tests.diagnose.fingerprint.training import run; "
        f"run(steps=1).fingerprint({str(tmp_path / 'b')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=os.getcwd(), env={**os.environ, "PYTHONHASHSEED": "7"})
    one, other = (path.read_text().splitlines() for path in (sound, tmp_path / "b"))
    assert one[1:] == other[1:]


def test_the_command_says_it_by_its_exit_code(sound, tmp_path, capsys):
    other = tmp_path / "other.txt"
    run(steps=1, plant=partial(flip, name="0.weight", element=(3, 17), bit=2)).fingerprint(other)
    code, out, err = called(["diff", str(sound), str(sound)], capsys)
    assert (code, err) == (0, "")
    assert out.startswith("All ")
    code, out, err = called(["diff", str(sound), str(other)], capsys)
    assert (code, err) == (1, "")
    assert "0.weight, as linear in 0 reads it, training.py:" in " ".join(out.split())
    assert "1 of 1,152 elements, by 4 ulp, at [3, 17]" in " ".join(out.split())
    code, out, err = called(["diff", "--json", str(sound), str(other)], capsys)
    facts = json.loads(out)
    assert (code, facts["equal"], facts["differences"][0]["ulp"]) == (1, False, 4)
    page = tmp_path / "page.html"
    code, out, err = called(["diff", str(sound), str(other), "--html", str(page)], capsys)
    assert code == 1
    assert "by 4 ulp" in page.read_text()


def test_a_script_writes_one(tmp_path, capsys):
    script = tmp_path / "train.py"
    script.write_text("import halfsim as hs\nhs.tensor([1.0, 3.0], 'fp16') / 3.0\n")
    path = tmp_path / "mine.txt"
    code, _, _ = called(["run", "--fingerprint", str(path), str(script)], capsys)
    assert code == 0
    found = file.parse(path.read_text(), "mine")
    assert [(row.phase, row.op, row.where) for row in found.rows] == [
        ("input", "div", "train.py:2"),
        ("forward", "div", "train.py:2"),
    ]
    assert "--fingerprint" in refusal(["run", "--fingerprint", str(tmp_path / "no" / "x"), str(script)], capsys)
    assert "--fingerprint" in refusal(["run", "--mend", "--fingerprint", str(path), str(script)], capsys)


def broken(text: str) -> dict[str, tuple[bytes, str]]:
    lines = text.splitlines(keepends=True)
    return {
        "empty": (b"", "is empty"),
        "blank": (b" \n\n", "is empty"),
        "binary": (bytes(range(256)) * 9, "is no text"),
        "zeros": (b"\0" * 99, "is no text"),
        "latin": (b"caf\xe9", "is no text"),
        "other": (b"import numpy as np\nprint(np.sum([1]))\n", "is neither a fingerprint nor a log"),
        "json": (b'{"a": 1}', "is neither a fingerprint nor a log"),
        "cut in a line": (text[: len(text) // 2].encode(), "is cut off after"),
        "cut after a line": ("".join(lines[:9]).encode(), "is cut off after 8 lines"),
        "cut in the last": (text[:-9].encode(), "is cut off after"),
        "cut in the first": (text[:40].encode(), "is cut off in its first line"),
        "header alone": (lines[0].encode(), "is cut off after 0 lines"),
        "changed": (text.replace('"linear"', '"linnear"', 1).encode(), "was changed after it was written"),
        "a line less": ("".join([*lines[:5], *lines[6:]]).encode(), "was changed after it was written"),
        "newer": (text.replace('fingerprint": 1', 'fingerprint": 2', 1).encode(), "schema 2"),
        "another hash": (text.replace("sha256-64", "md5", 1).encode(), "hash 'md5'"),
    }


@pytest.mark.parametrize("kind", list(broken("x\n" * 20)))
def test_what_is_no_fingerprint_is_refused_in_one_line(kind, sound, tmp_path, capsys):
    data, told = broken(sound.read_text())[kind]
    path = tmp_path / "broken.txt"
    path.write_bytes(data)
    for words in ([str(path), str(sound)], [str(sound), str(path)]):
        line = refusal(["diff", *words], capsys)
        assert told in line
        assert "broken.txt" in line


def test_rows_that_are_none_are_refused(sound, tmp_path, capsys):
    for wrong in (
        "[1,2]",
        '{"a":1}',
        "[" + "1," * 30 + "1]",
        "7",
        '[1,"forward","","exp","","float16",3,"","","","",0,"",null]',
    ):
        path = tmp_path / "wrong"
        path.write_text(file.text({}, [wrong]))
        assert "is not as t.fingerprint(path) writes it" in refusal(["diff", str(path), str(sound)], capsys)


def test_missing_files_and_folders_are_refused(sound, tmp_path, capsys):
    assert "no such file" in refusal(["diff", str(tmp_path / "no"), str(sound)], capsys)
    assert "directory" in refusal(["diff", str(tmp_path), str(sound)], capsys)
    assert "B is missing" in refusal(["diff", str(sound)], capsys)


def test_windows_line_ends_are_taken(sound, tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes(sound.read_bytes().replace(b"\n", b"\r\n"))
    assert hs.compare_fingerprints(path, sound).equal


def test_notebooks_show_it(sound):
    found = hs.compare_fingerprints(run(), run(dropout=0))
    shown = found._repr_html_()
    assert "dropout" in shown
    assert "script>" not in str(found)
    assert found.first is not None
    assert "dropout" in found.first._repr_html_()
    assert json.loads(found.to_json())["counts"] == found.counts


# ---- alignment ----------------------------------------------------------------------------------------------------


def merged(pairs: Any, a: Any, b: Any) -> None:
    """Pairs have all of both in order, each once, and are of equal keys."""
    pairs = list(pairs)
    assert [i for i, _ in pairs if i is not None] == list(range(len(a)))
    assert [j for _, j in pairs if j is not None] == list(range(len(b)))
    assert all(a[i] == b[j] for i, j in pairs if i is not None and j is not None)
    assert (None, None) not in pairs


@pytest.mark.parametrize("near", [4, 16, 512])
def test_alignment_keeps_order_and_loses_nothing(near):
    rng = np.random.default_rng(near)
    for _ in range(60):
        a, b = (list(rng.integers(0, rng.integers(2, 30), rng.integers(0, 80))) for _ in range(2))
        merged(aligned(a, b, near), a, b)
        part = [x for x in a if rng.random() < 0.9]
        merged(aligned(a, part, near), a, part)


def test_long_runs_that_part_often_are_aligned_in_time():
    rng = np.random.default_rng(0)
    a = [("op", int(k)) for k in rng.integers(0, 12, 50_000)]
    b = [x for i, x in enumerate(a) if i % 997]
    pairs = list(aligned(a, b))
    merged(pairs, a, b)
    assert sum(None not in pair for pair in pairs) >= len(b) * 0.99


def test_a_step_that_is_missing_is_told_as_that():
    a, b = file.parse(run(steps=3).text(), "a"), file.parse(run(steps=2).text(), "b")
    found = compared(a, b)
    assert set(found.counts) == {"missing"}
    assert found.steps == (3,)
    assert found.first is not None
    assert found.first.step == 3


def test_two_traces_without_a_result_are_not_called_the_same():
    with hs.trace(fingerprint=True) as t:
        pass
    assert str(hs.compare_fingerprints(t, t)) == "Neither run has a result: nothing was compared."


def test_a_trace_is_copied_and_sent_while_its_tensors_live():
    with hs.trace(fingerprint=True) as t:
        kept = hs.tensor([1.0, 2.0]) * 2
    for other in (pickle.loads(pickle.dumps(t)), copy.deepcopy(t)):
        assert hs.compare_fingerprints(t, other).equal
    assert kept[1] == 4
