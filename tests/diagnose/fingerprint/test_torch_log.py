"""Logs of PyTorch's DebugMode as fingerprints, recorded and live, and beside traces of the same program."""

from __future__ import annotations

import re

import numpy as np
import pytest

import halfsim as hs
from halfsim.diagnose.fingerprint import torch_log
from halfsim.diagnose.fingerprint.torch_log import agree, computes, is_log, parse
from tests.cli.calling import called
from tests.diagnose.fingerprint.training import run
from tests.recorded.record_debug_mode import BETWEEN, FILE, logged, logs, trained

NORMS, BOTH, FLIPPED, BARE = FILE.read_text().split(BETWEEN)


@pytest.fixture
def files(tmp_path):
    def write(*texts: str) -> list[str]:
        paths = [tmp_path / f"{i}.txt" for i in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return list(map(str, paths))

    return write


def test_rows_of_a_log():
    found = parse(BOTH, "log")
    rows = [row for row in found.rows if computes(row)]
    assert found.torch
    assert found.header == {"log": "torch.utils._debug_mode", "hashes": "norm and hash_tensor", "steps": 2}
    assert [(row.op, row.path, row.shape, row.format) for row in rows[:6]] == [
        ("addmm", "0", (5, 3), "float32"),
        ("layer_norm", "1", (5, 3), "float32"),
        ("layer_norm", "1", (5, 1), "float32"),
        ("layer_norm", "1", (5, 1), "float32"),
        ("relu", "2", (5, 3), "float32"),
        ("addmm", "3", (5, 2), "float32"),
    ]
    assert [row.tensor for row in rows[1:4]] == ["", "output 1", "output 2"]
    assert all(row.where.startswith("record_debug_mode.py:") for row in rows)
    assert {(row.step, row.phase) for row in rows} == {(1, ""), (1, "optimizer"), (2, ""), (2, "optimizer")}
    assert all(row.print.norm is not None and row.print.xor is not None for row in found.rows)


def test_every_call_of_the_log_is_read():
    for text in (NORMS, BOTH, BARE):
        calls = [line for line in text.split("\n") if re.match(r" *\w+::", line) and "  ->  " in line]
        results = sum(len(re.findall(r"\bt(?:\$\d+)?: \w", line.partition("  ->  ")[2])) for line in calls)
        assert len(parse(text, "log").rows) == results > 100


def test_two_logs_of_one_program_are_equal(files, capsys):
    a, b, other, bare = files(NORMS, BOTH, FLIPPED, BARE)
    assert called(["diff", a, a], capsys)[0] == 0
    assert hs.compare_fingerprints(a, b).equal
    found = hs.compare_fingerprints(a, bare)
    assert found.equal
    assert any("holds no hashes" in note for note in found.notes)
    assert any("compared by operation, shape and format alone" in note for note in found.notes)
    code, out, err = called(["diff", b, other], capsys)
    assert (code, err) == (1, "")
    assert "aten::t in 3, record_debug_mode.py:" in " ".join(out.split())
    found = hs.compare_fingerprints(b, other)
    assert found.first is not None
    assert (found.first.op, found.first.path, found.first.step, found.first.shape) == ("t", "3", 1, (3, 2))
    assert re.search(r"norms of [\d.]+ against [\d.]+: [\d.e-]+ apart", found.first.detail)
    assert found.steps == (1, 2)


def test_a_log_without_a_kernel_is_another_structure(files):
    lines = BOTH.split("\n")
    at = next(i for i, line in enumerate(lines) if "aten::relu" in line)
    a, b = files(BOTH, "\n".join(lines[:at] + lines[at + 1 :]))
    found = hs.compare_fingerprints(a, b)
    assert found.counts == {"missing": 1}
    assert found.first is not None
    assert (found.first.op, found.first.path, found.first.place) == ("relu", "2", "aten::relu in 2")
    a, b = files(
        BOTH, BOTH.replace("aten::relu(t: f32[5, 3])  ->  t: f32[5, 3]", "aten::relu(t: f32[5, 3])  ->  t: f16[5, 3]")
    )
    found = hs.compare_fingerprints(a, b)
    assert found.first is not None
    assert (found.first.kind, found.first.detail) == ("format", "float32 [5, 3] against float16 [5, 3]")


ODD = """\
    torch.nn.functional.linear(t$0: f32[2, 3]{requires_grad=False}, t$1: f32[4, 3], None)  ->  t$2: f32[2, 4]
      aten::t(t$1: f32[4, 3])  ->  t$3: f32[3, 4]  # {'input_hash': ((1.0,), {}), 'hash': 1.0}
      aten::mm(t$0: f32[2, 3], t$3: f32[3, 4])  ->  t$2: f32[2, 4]  # {'hash': nan}
      redistribute_input [implicit] (0, S(0) -> R)
      -> output: S(0)
      aten::max.dim(dt: f32[2, 4]| S(0), -1)  ->  ('dt: f32[2]| S(0)', 'dt: i64[2]| S(0)')  # {'hash': (inf, 3.0)}
      [triton] kernel_0(in_ptr=t: f32[2])
      aten::_foreach_add_.Scalar(['t: f32[2]', 't: f32[3]'], 1)
      aten::add_.Tensor(t: f32[2], t: f32[2])  ->  t: f32[2]  # {'hash': tensor(3.)}
"""


def test_odd_lines():
    found = parse(ODD, "odd")
    assert [(r.op, r.format, r.shape, r.tensor) for r in found.rows] == [
        ("t", "float32", (3, 4), ""),
        ("matmul", "float32", (2, 4), ""),
        ("max", "float32", (2,), ""),
        ("max", "int64", (2,), "output 1"),
        ("add", "float32", (2,), ""),
    ]
    norms = [row.print.norm for row in found.rows]
    assert norms[0] == 1.0
    assert np.isnan(norms[1])
    assert norms[2:] == [np.inf, 3.0, None]
    assert found.rows[4].print.hash == "other {'hash': tensor(3.)}"
    assert any("1 call of Triton kernels" in note for note in found.notes)
    assert agree(found.rows[1].print, found.rows[1].print, True)
    functions = parse(ODD.split("\n")[0], "functions")
    assert [(r.op, r.shape) for r in functions.rows] == [("linear", (2, 4))]
    assert is_log(ODD)
    assert not is_log("import numpy as np\nprint(np.sum([1, 2]))\n")
    with pytest.raises(ValueError, match="^'x' has no call of a kernel; allowed: DebugMode.debug_string"):
        parse("[nn.Mod] Net\n", "x")


def test_norms_to_13_digits_or_bits():
    kept = torch_log.Print
    assert agree(kept("", norm=1.0), kept("", norm=1.0 + 4e-14), False)
    assert agree(kept("", norm=1.0), kept("", norm=1.0 + 4e-14), True) is False
    assert agree(kept("", norm=1.0, xor=3), kept("", norm=2.0, xor=3), True)
    assert agree(kept("", xor=3), kept("", norm=2.0), True) is None
    assert agree(kept("ab", norm=1.0), kept("", norm=1.0), False)


def test_a_log_and_a_trace_of_another_program(files, tmp_path):
    path = tmp_path / "trace.txt"
    run(steps=1).fingerprint(path)
    found = hs.compare_fingerprints(files(NORMS)[0], path)
    assert not found.equal
    assert any("a log of PyTorch's was held against a trace" in note for note in found.notes)


# ---- live ------------------------------------------------------------------------------------------------------------


# PyTorch's DebugMode takes 15 s to import, so what runs it is slow: last passed 2026-11-30, with PyTorch 2.13.


@pytest.fixture(scope="module")
def torch():
    found = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("torch.utils._debug_mode", reason="this PyTorch has no DebugMode")
    return found


def simulated(torch, flip=False, precision="fp32"):
    from halfsim.pytorch import simulate

    train = trained(torch, flip=flip)
    with simulate(precision), hs.trace(fingerprint=True) as t:
        train()
    return t


@pytest.mark.slow
def test_logs_are_still_as_recorded(torch):
    for text, recorded in zip(logs(torch), (NORMS, BOTH, FLIPPED, BARE), strict=True):
        now, then = parse(text, "now"), parse(recorded, "then")
        assert [(r.op, r.path, r.shape, r.step, r.phase) for r in now.rows] == [
            (r.op, r.path, r.shape, r.step, r.phase) for r in then.rows
        ]


@pytest.mark.slow
def test_a_trace_of_the_same_program_has_the_bits_of_the_log(torch, files):
    t = simulated(torch)
    for text in (BOTH, logged(torch, "norm"), logged(torch, "hash_tensor")):
        found = hs.compare_fingerprints(files(text)[0], t)
        assert found.equal, str(found)
        assert found.matched > 80


@pytest.mark.slow
def test_a_flipped_bit_is_named_between_a_log_and_a_trace(torch, files):
    for hashes in ("norm", "hash_tensor"):
        found = hs.compare_fingerprints(simulated(torch), files(logged(torch, hashes, flip=True))[0])
        assert set(found.counts) == {"bits"}
        assert found.first is not None
        assert (found.first.path, found.first.phase, found.first.step) == ("3", "forward", 1)


@pytest.mark.slow
def test_half_against_float_is_named_by_its_format(torch, files):
    found = hs.compare_fingerprints(files(logged(torch, "norm"))[0], simulated(torch, precision="fp16"))
    assert found.first is not None
    assert (found.first.op, found.first.step) == ("addmm", 1)


@pytest.mark.slow
def test_debug_mode_itself_is_taken(torch):
    from torch.utils._debug_mode import DebugMode

    modes = []
    for k in (1.0, 2.0):
        with DebugMode() as mode, DebugMode.log_tensor_hashes():
            torch.ones(3) * k
        modes.append(mode)
    found = hs.compare_fingerprints(*modes)
    theirs = DebugMode.check_hash_mismatches(modes[0].logs, modes[1].logs)
    assert [one.op for one in found.differences] == ["mul"]
    assert [one["call"] for one in theirs] == ["aten::mul.Tensor"]
    assert hs.compare_fingerprints(modes[0], modes[0]).equal


@pytest.mark.slow
def test_our_own_layers_meet_pytorchs_kernels(torch, files):
    """A program written again with our layers: its forward pass is found in the log, and agrees."""
    nn = torch.nn
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    x = torch.randn(5, 4)
    ours = hs.nn.Sequential(hs.nn.Linear(4, 3), hs.nn.ReLU(), hs.nn.Linear(3, 2))
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    from torch.utils._debug_mode import DebugMode

    with torch.no_grad(), DebugMode() as mode, DebugMode.log_tensor_hashes("hash_tensor"):
        theirs(x)
    with hs.precision("fp32"), hs.trace(fingerprint=True) as t:
        ours(hs.tensor(x.numpy()))
    found = hs.compare_fingerprints(mode, t)
    assert found.matched == 3
    assert set(found.counts) <= {"bits"}
