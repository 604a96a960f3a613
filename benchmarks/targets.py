"""What is aimed at: a row of a table, at most so many times another row of it, or so much in itself."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.floor import FLOOR
from benchmarks.harness import Record


@dataclass(frozen=True)
class Target:
    """``row`` of the table ``title`` takes at most ``limit`` times what ``base`` takes; without one, in its unit.

    ``floor`` is the row of the same table below which no change to the engine could bring it, ``why`` what stands in
    the way where the aim is missed, and what was tried.
    """

    words: str
    title: str
    row: str
    limit: float
    base: str = ""
    floor: str = ""
    why: str = ""

    def measured(self, tables: dict[str, Record], row: str = "") -> float | None:
        """What it is in the recorded tables, or what it would be for another row; None where a row is missing."""
        rows = {row["name"]: row for row in tables.get(self.title, {}).get("rows", []) if "low" in row}
        row = row or self.row
        if row not in rows or (self.base and self.base not in rows):
            return None
        return float(rows[row]["low"] / (rows[self.base]["low"] if self.base else 1.0))


_NORMAL, _MODES = "1,000,000 float32 to halves, normal", "1,000,000 float32 to halves, every mode"
_CAST = "NumPy astype(float16).astype(float32)"
_CODES, _256 = "1,000,000 numbers to codes and back", "256x256 product of halves"
_BLOCKS = "1,000,000 float32 to block formats"
_NVFP4 = "Its scales are no powers of two: numbers are divided by them, and rounded, in float64."
_1024 = "1024x1024 product of halves"
_STORED = "fp32, stored in float16"
_NEAREST = "round_to nearest_even"
_MLP, _CNN = "step, MLP 784-256-10, batch 128", "step, CNN 8-16-10 on 28x28, batch 64"
_LSTM = "step, LSTM 64-128 on 48 characters, batch 32"
_FORMER = "step, transformer encoder, 2 layers, d 128, 4 heads, ff 512, 16x64"
_HAND, _FP16 = "NumPy float32 by hand", "halfsim fp16"
_ENGINE = (
    "What is above that floor is arithmetic element by element, as the step by hand has it too, and about 25 calls of "
    "Python for each operation and each gradient. Plans made once per operation, tables of whole functions and "
    "rounding in place were tried and are in."
)
_EVENTS = (
    "A trace counts what every operation, gradient and update read and gave: passes over the same numbers, and "
    "Python for each, however few they are. Counting in the blocks of the rounding itself is in; "
    "one event for several operations would lose the line and the module that a finding names."
)
_SHADOW = (
    "A reference computes every operation once more in float64, and each 32nd step a third time to tell the error "
    "made here from the error that came along: the products alone take twice those of float32, the elementary "
    "functions more."
)
_TRACED, _REFERENCE = "halfsim fp16, traced", "halfsim fp16, traced with a reference"


def _traced(title: str) -> tuple[Target, Target]:
    where = title.partition(", ")[2]
    name = where.split(" ")[0]
    return (
        Target(f"{name} step, traced, times untraced", f"traced, {where}", _TRACED, 2.0, _FP16, why=_EVENTS),
        Target(
            f"{name} step, with a reference, times untraced", f"traced, {where}", _REFERENCE, 3.5, _FP16, why=_SHADOW
        ),
    )


TARGETS = (
    Target("round_to of 1,000,000 float32, times NumPy's cast both ways", _NORMAL, "round_to", 0.30, _CAST,
           why="It is eight passes of NumPy over a block of 32,768 numbers (mask, largest, clip, subtract, divide, "
           "round, multiply, and a copy where the result is a new array), which take what they take. Adding and "
           "subtracting a large number, Veltkamp's splitting, integers alone, and blocks of 8,192 and 65,536 were "
           "tried and are slower."),
    *(Target(f"{mode}, times nearest even", _MODES, f"round_to {mode}", 1.05, _NEAREST)
      for mode in ("toward_zero", "upward", "downward")),
    Target("to odd, times nearest even", _MODES, "round_to to_odd", 2.13, _NEAREST),
    Target("stochastic, times nearest even", _MODES, "round_to stochastic", 3.0, _NEAREST),
    Target("encode bfloat16, times rounding", _CODES, "encode bfloat16", 2.67, "round_to, to compare with"),
    *(Target(f"round_to {name} of 1,000,000 float32, times {element}", _BLOCKS, f"round_to {name}", 3.0,
             f"round_to {element}", why=_NVFP4 if name == "nvfp4" else "")
      for name, element in (("mxfp8_e4m3", "float8_e4m3fn"), ("mxfp4", "float4_e2m1fn"), ("nvfp4", "float4_e2m1fn"))),
    *(Target(f"256x256 product in {name}, times rounding both and sgemm", f"256x256 product of operands in {name}",
             "halfsim", 2.0, "both operands rounded, and sgemm") for name in ("mxfp8_e4m3", "mxfp4", "nvfp4")),
    Target("MLP step in fp16, times NumPy float32 by hand", _MLP, _FP16, 2.0, _HAND, FLOOR, _ENGINE),
    Target("MLP step in fp16, times PyTorch's float16", _MLP, _FP16, 1 / 4.5, "torch float16",
           why="The aim is of a processor on which PyTorch emulates float16. This one computes halves itself "
           "(AVX512FP16), so that PyTorch's step is about as fast as its float32."),
    Target("MLP step with GELU, times with ReLU", _MLP, "halfsim fp16 with GELU", 1.3, _FP16),
    Target("CNN step in fp16, times NumPy float32 by hand", _CNN, _FP16, 1.5, _HAND, FLOOR, _ENGINE),
    Target("CNN step in pure_fp16, times fp16", _CNN, "halfsim pure_fp16", 50.0, _FP16),
    Target("LSTM step in fp16, times PyTorch's float32", _LSTM, _FP16, 2.0, "torch float32", FLOOR,
           "PyTorch has the cell as one kernel; here each of the 48 characters has its own products and roundings, on "
           "arrays too small to hide a call. " + _ENGINE),
    Target("transformer step in fp16, times our fp32", _FORMER, _FP16, 2.5, "halfsim fp32"),
    *(target for title in (_MLP, _CNN, _LSTM, _FORMER) for target in _traced(title)),
    Target("a + b of four halves, in microseconds", "a + b of 4 halves", "halfsim", 15.0),
    Target("1024x1024 product in fp32 with rounding, times sgemm", _1024, _STORED, 1.3, "sgemm"),
    Target("blocked(16) in float16, times sgemm", _1024, "fp16:blocked(16)", 6.0, "sgemm",
           why="Every block of 16 products is a product of thin matrices, of which the BLAS makes a fraction of its "
           "speed, and each partial sum is rounded. Where an order is fixed a block cannot be cut otherwise."),
    Target("exact product, times sgemm", _1024, "exact", 12.0, "sgemm"),
    Target("fp16:sequential fused, times unfused", _256, "fp16:sequential+fma", 2.5, "fp16:sequential"),
    Target("memory of the CNN's step, times its live activations", "memory at the most, step of the CNN", _FP16, 2.5,
           "live float32 activations"),
    Target("import, times NumPy's alone", "import, in a process of its own", "import halfsim", 2.0, "import numpy",
           why="Beyond NumPy's it is the operations, each with its checked options, and the formats; every room that "
           "can wait is loaded when it is asked for. NumPy's own share varies with its build."),
)  # fmt: skip
