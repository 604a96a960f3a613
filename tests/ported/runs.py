"""The runs of each script: what is called, and how closely halfsim's results shall be PyTorch's."""

from __future__ import annotations

import json
import math
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from tests.ported.port import DIGITS, script

RECORDED = Path(__file__).with_name("recorded.json")
CLOSE = 1e-5  # of numbers in float32: the error, absolute below 1 and relative above


class Run(NamedTuple):
    """A call of a script: its function, the arguments, and how far its numbers may be from PyTorch's.

    In half PyTorch's CPU kernels round otherwise than those of its GPUs, which halfsim follows: the first steps are
    compared to a few units in the last place of half (2**-10 each), and in which step the first NaN or infinity is.
    Where PyTorch's CPU autocast casts operations that its GPUs' does not, the losses of mixed precision part slowly.
    """

    script: str
    function: str = "run"
    options: dict[str, Any] = {}  # noqa: RUF012  # never changed
    close: float = CLOSE
    steps: int | None = None  # of which the numbers are compared; of all the scales and where the first NaN is


RUNS = {
    "cnn, float32": Run("cnn_digits", "train", {"data": str(DIGITS)}),
    "cnn, half": Run("cnn_digits", "train", {"data": str(DIGITS), "mode": "half"}, 2**-8, 8),
    "cnn, half, large rate": Run("cnn_digits", "train", {"data": str(DIGITS), "mode": "half", "lr": 500.0}, 2**-8, 1),
    "cnn, half, growing rate": Run("cnn_digits", "find_rate", {"data": str(DIGITS), "mode": "half"}, 2**-8, 5),
    "cnn, amp": Run("cnn_digits", "train", {"data": str(DIGITS), "mode": "amp"}, 2**-8, 8),
    "lstm, float32": Run("char_lstm", "train"),
    "lstm, half": Run("char_lstm", "train", {"mode": "half"}, 2**-8, 1),
    "gpt, float32": Run("small_gpt", "train"),
    "gpt, half": Run("small_gpt", "train", {"mode": "half"}, 2**-8, 1),
    "gpt, amp": Run("small_gpt", "train", {"mode": "amp"}, 2**-8),
    **{
        name: Run(name)
        for name in (
            *("vae", "gan", "resnet_unet", "seq2seq", "encoder_classifier", "dqn", "distill_contrast"),
            *("fitting", "idioms", "classes", "policy_gradient"),
        )
    },
}


def result(run: Run, library: str, **options: Any) -> Any:
    """What the run gives in ``library``, as JSON has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a scheduler whose optimizer's first steps the scaler skipped
        found = getattr(script(run.script, library), run.function)(**run.options, **options)
    return json.loads(json.dumps(found))


def quietly(run: Run, library: str, **options: Any) -> Any:
    """`result` without what the script prints."""
    with redirect_stdout(StringIO()):
        return result(run, library, **options)


def first_broken(losses: list[float]) -> int | None:
    """The first step whose loss is NaN or infinite."""
    return next((i for i, x in enumerate(losses) if not math.isfinite(x)), None)


def differences(ours: Any, theirs: Any, close: float, place: str = "") -> list[str]:
    """Where two results are unlike."""
    if isinstance(theirs, float) and isinstance(ours, (int, float)):
        alike = ours == theirs or (math.isnan(ours) and math.isnan(theirs))
        return [] if alike or abs(ours - theirs) <= close * max(1.0, abs(theirs)) else [f"{place}: {ours} for {theirs}"]
    if type(ours) is not type(theirs):
        return [f"{place}: {ours!r} for {theirs!r}"]
    if isinstance(theirs, dict) and ours.keys() == theirs.keys():
        return [line for key in theirs for line in differences(ours[key], theirs[key], close, f"{place}.{key}")]
    if isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, close, f"{place}[{i}]")]
    return [] if ours == theirs else [f"{place}: {ours!r} for {theirs!r}"]


def unlike(run: Run, ours: Any, theirs: Any) -> list[str]:
    """Where halfsim's result of a run is not PyTorch's."""
    if run.steps is None:
        return differences(ours, theirs, run.close)
    found = differences(ours.get("scales"), theirs.get("scales"), 0.0, "scales")
    found += differences(first_broken(ours["losses"]), first_broken(theirs["losses"]), 0.0, "first NaN")
    return found + differences(ours["losses"][: run.steps], theirs["losses"][: run.steps], run.close, "losses")
