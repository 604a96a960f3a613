"""Scripts of PyTorch's with only their imports changed: its losses, recorded and live; traced; by the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import halfsim as hs
from tests.ported.port import DIGITS, HERE, ported, script
from tests.ported.runs import RECORDED, RUNS, Run, differences, first_broken, quietly, unlike

KNOWN: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
WEIGHTED = ["cnn, float32", "cnn, half", "lstm, float32", "lstm, half", "gpt, half", "gpt, amp"]


def test_every_script_is_run_and_recorded() -> None:
    assert KNOWN.keys() == RUNS.keys()
    scripts = {path.stem for path in HERE.glob("*.py") if "import torch" in path.read_text(encoding="utf-8")}
    assert {run.script for run in RUNS.values()} == scripts - {"conftest", "port", "test_ported"}


@pytest.mark.parametrize("name", RUNS)
def test_the_results_are_those_that_pytorch_gave(name: str) -> None:
    assert unlike(RUNS[name], quietly(RUNS[name], "halfsim"), KNOWN[name]) == []


@pytest.mark.parametrize("name", RUNS)
def test_the_record_is_what_pytorch_gives(name: str) -> None:
    """Within a tenth of the tolerance: another PyTorch, another CPU."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    run = RUNS[name]
    theirs = quietly(run, "torch")
    assert unlike(run._replace(close=run.close if run.steps else run.close / 10), theirs, KNOWN[name]) == []


@pytest.mark.parametrize("name", WEIGHTED)
def test_from_weights_that_pytorch_saved(name: str, tmp_path: Path) -> None:
    """Others than those of the seed: torch.save of a state, read by both."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    run = RUNS[name]
    module = script(run.script, "torch")
    torch.manual_seed(77)
    made = {"cnn_digits": lambda: module.Net(), "small_gpt": lambda: module.GPT(module.GPTConfig())}
    made["char_lstm"] = lambda: module.CharLSTM(len(set(module.TEXT)))
    torch.save(made[run.script]().state_dict(), tmp_path / "weights.pt")
    ours, theirs = (quietly(run, library, weights=tmp_path / "weights.pt") for library in ("halfsim", "torch"))
    assert unlike(run, ours, theirs) == []
    assert ours["losses"][0] != KNOWN[name]["losses"][0]


def test_runs_break_where_they_shall() -> None:
    """In float32 and mixed precision nothing does; in half every optimizer's eps or a rate of 500 does."""
    broken = {name: first_broken(found["losses"]) for name, found in KNOWN.items() if "losses" in found}
    assert {name for name, step in broken.items() if step is not None} == {
        "cnn, half, large rate",
        "cnn, half, growing rate",
        "lstm, half",
        "gpt, half",
    }
    assert broken["cnn, half, growing rate"] == 8


def test_a_difference_is_told() -> None:
    assert differences({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]}, 1e-5) == [".a[1]: 2.0 for 2.1"]
    assert differences([float("nan")], [float("nan")], 1e-5) == []
    assert unlike(Run("x", steps=1), {"losses": [1.0, float("nan")]}, {"losses": [1.0, 1.0]}) == [
        "first NaN: 1 for None"
    ]


# What a newcomer does next: trace it, put it under a precision, run it by the command.

VERDICTS = {  # of `hs.trace` around a run: klass, phase, operation
    "cnn, half, growing rate": ("overflow", "forward", "conv2d"),
    "cnn, half, large rate": ("overflow", "forward", "linear"),
    "lstm, half": ("eps lost", "optimizer", "Adam"),
    "gpt, half": ("eps lost", "optimizer", "AdamW"),
}
# What a precision around a whole script does to its integers, and half to what the script takes for granted.
STOPPED = {
    "seq2seq": (TypeError, r"^input: dtype float16 is not allowed; allowed: integers"),
    "idioms": (TypeError, r"^index: dtype float16 is not allowed; allowed: integers"),
    "encoder_classifier": (TypeError, r"^state: NoneType is not allowed"),  # no loss is better than infinity
    "policy_gradient": (ValueError, r"^probs: a value is not allowed"),  # NaN
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_trace_says_why_half_breaks(name: str) -> None:
    with hs.trace() as t:
        quietly(RUNS[name], "halfsim")
    found = t.verdict()
    assert found is not None
    assert (found.klass, found.phase, found.op) == VERDICTS[name]


@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if run.function == "run"])
def test_under_half_precision_and_a_trace_a_script_runs(name: str) -> None:
    stops = pytest.raises(STOPPED[name][0], match=STOPPED[name][1]) if name in STOPPED else nullcontext()
    with hs.precision("fp16"), hs.trace() as t, stops:
        quietly(RUNS[name], "halfsim")
    found = t.verdict()
    if name not in ("seq2seq", "idioms"):  # which stop at once
        assert found is not None
        assert found.klass == {"resnet_unet": "swamping"}.get(name, "eps lost")


def test_the_command_runs_a_ported_script(tmp_path: Path) -> None:
    source = ported((HERE / "char_lstm.py").read_text(encoding="utf-8"))
    (tmp_path / "char_lstm.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "halfsim", "run", "char_lstm.py"]
    env = {**os.environ, "PYTHONPATH": str(Path(hs.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", env={**env, "DIGITS": str(DIGITS)}
    )
    assert done.returncode == 0, done.stderr
    assert "half     first 3.39" in done.stdout
    assert "eps lost" in done.stdout + done.stderr
