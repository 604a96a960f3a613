"""Training steps by precision, beside NumPy by hand and PyTorch."""

from __future__ import annotations

import halfsim as hs
from benchmarks.floor import FLOOR, floor
from benchmarks.harness import Make, Table
from benchmarks.models import MODELS, hand, ours, theirs, with_autograd

HAND = "NumPy float32 by hand"


def _step(name: str, rules: tuple[str, ...], rounds: int) -> Table:
    rows: dict[str, Make] = {f"halfsim {rule}": ours(name, rule) for rule in rules}
    rows[FLOOR] = floor(name)
    if MODELS[name].hand is not None:
        rows[HAND] = hand(name)
    if name == "MLP":
        rows["halfsim fp16 with GELU"] = ours("GELU MLP", "fp16")
        rows["HIPS autograd float32"] = with_autograd
        for unit in ("A100", "MI300X"):
            rows[f"halfsim fp16, products on {unit}"] = ours(name, hs.Precision("fp16", accumulate=unit))
    rows["torch float32"], rows["torch float16"] = theirs(name, half=False), theirs(name, half=True)
    return Table(f"step, {MODELS[name].title}", "ms", 1e3, rows, rounds)


RULES = ("fp16", "fp32", "amp", "pure_fp16")
TABLES = [_step("MLP", RULES, 31), _step("CNN", RULES, 21), _step("LSTM", RULES, 9), _step("transformer", RULES, 7)]
