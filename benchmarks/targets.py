"""What is aimed at: a row of a table, at most so many times another row of it, or so much in itself."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.harness import Record


@dataclass(frozen=True)
class Target:
    """``row`` of the table ``title`` takes at most ``limit`` times what ``base`` takes; without one, in its unit."""

    words: str
    title: str
    row: str
    limit: float
    base: str = ""

    def measured(self, tables: dict[str, Record]) -> float | None:
        """What it is in the recorded tables; None where a row is missing."""
        rows = {row["name"]: row for row in tables.get(self.title, {}).get("rows", []) if "low" in row}
        if self.row not in rows or (self.base and self.base not in rows):
            return None
        return float(rows[self.row]["low"] / (rows[self.base]["low"] if self.base else 1.0))


_NORMAL, _MODES = "1,000,000 float32 to halves, normal", "1,000,000 float32 to halves, every mode"
_CAST = "NumPy astype(float16).astype(float32)"
_CODES, _256 = "1,000,000 numbers to codes and back", "256x256 product of halves"
_1024 = "1024x1024 product of halves"
_STORED = "fp32, stored in float16"
_NEAREST = "round_to nearest_even"
_MLP, _CNN = "step, MLP 784-256-10, batch 128", "step, CNN 8-16-10 on 28x28, batch 64"
_LSTM = "step, LSTM 64-128 on 48 characters, batch 32"
_FORMER = "step, transformer encoder, 2 layers, d 128, 4 heads, ff 512, 16x64"
_HAND, _FP16 = "NumPy float32 by hand", "halfsim fp16"
_TRACED, _REFERENCE = "halfsim fp16, traced", "halfsim fp16, traced with a reference"


def _traced(title: str) -> tuple[Target, Target]:
    where = title.partition(", ")[2]
    name = where.split(" ")[0]
    return (
        Target(f"{name} step, traced, times untraced", f"traced, {where}", _TRACED, 2.0, _FP16),
        Target(f"{name} step, with a reference, times untraced", f"traced, {where}", _REFERENCE, 3.5, _FP16),
    )


TARGETS = (
    Target("round_to of 1,000,000 float32, times NumPy's cast both ways", _NORMAL, "round_to", 0.30, _CAST),
    *(Target(f"{mode}, times nearest even", _MODES, f"round_to {mode}", 1.05, _NEAREST)
      for mode in ("toward_zero", "upward", "downward")),
    Target("to odd, times nearest even", _MODES, "round_to to_odd", 2.13, _NEAREST),
    Target("stochastic, times nearest even", _MODES, "round_to stochastic", 3.0, _NEAREST),
    Target("encode bfloat16, times rounding", _CODES, "encode bfloat16", 2.67, "round_to, to compare with"),
    Target("MLP step in fp16, times NumPy float32 by hand", _MLP, _FP16, 2.0, _HAND),
    Target("MLP step in fp16, times PyTorch's float16", _MLP, _FP16, 1 / 4.5, "torch float16"),
    Target("MLP step with GELU, times with ReLU", _MLP, "halfsim fp16 with GELU", 1.3, _FP16),
    Target("CNN step in fp16, times NumPy float32 by hand", _CNN, _FP16, 1.5, _HAND),
    Target("CNN step in pure_fp16, times fp16", _CNN, "halfsim pure_fp16", 50.0, _FP16),
    Target("LSTM step in fp16, times PyTorch's float32", _LSTM, _FP16, 2.0, "torch float32"),
    Target("transformer step in fp16, times our fp32", _FORMER, _FP16, 2.5, "halfsim fp32"),
    *(target for title in (_MLP, _CNN, _LSTM, _FORMER) for target in _traced(title)),
    Target("a + b of four halves, in microseconds", "a + b of 4 halves", "halfsim", 15.0),
    Target("1024x1024 product in fp32 with rounding, times sgemm", _1024, _STORED, 1.3, "sgemm"),
    Target("blocked(16) in float16, times sgemm", _1024, "fp16:blocked(16)", 6.0, "sgemm"),
    Target("exact product, times sgemm", _1024, "exact", 12.0, "sgemm"),
    Target("fp16:sequential fused, times unfused", _256, "fp16:sequential+fma", 2.5, "fp16:sequential"),
    Target("memory of the CNN's step, times its live activations", "memory at the most, step of the CNN", _FP16, 2.5,
           "live float32 activations"),
    Target("import, times NumPy's alone", "import, in a process of its own", "import halfsim", 2.0, "import numpy"),
)  # fmt: skip
