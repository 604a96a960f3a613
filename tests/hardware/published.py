"""Count the outputs of GPUs that Khattak and Mikaitis published and that the rows of units do not give.

    python -m tests.hardware.published FOLDER

FOLDER is ``model_validation`` of a copy of github.com/north-numerical-computing/MATLAB-tensor-core (BSD-2-Clause). Its
files hold 5,000 rows each: two vectors, an addend and what that GPU made of them. 8-bit inputs went through mma.sync;
those of H100 and H200 with results in float32 through wgmma, without the addend. (Those of H100 through mma.sync are in
the commits before 211115e, for E4M3, and 26bd4f6, for E5M2; the rows of "hopper_legacy" give them, 0 of 10,000 wrong.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from halfsim.hardware.units import Unit, rows
from tests.hardware.references import rowwise

ARCHITECTURES = {"V100": "volta", "A100": "ampere", "A2": "ampere", "Ada": "ada", "L40S": "ada", "H100": "hopper",
                 "H200": "hopper", "B200": "blackwell"}  # fmt: skip
_WORDS = {8: np.uint32, 32: np.uint32, 16: np.uint16, 4: np.uint16}  # by digits: hexadecimal or binary


def numbers(path: Path, inputs: str) -> np.ndarray:
    """A file of bit patterns as float32 numbers; 16-bit words are of the format ``inputs``."""
    lines = [line.split() for line in path.read_text(encoding="ascii").split("\n") if line.strip()]
    width = len(lines[0][0])
    codes = np.array([[int(word, 16 if width < 16 else 2) for word in line] for line in lines], _WORDS[width])
    if codes.itemsize == 4:
        return codes.view(np.float32)
    return codes.view(np.float16).astype(np.float32) if inputs == "fp16" else (codes.astype(np.uint32) << 16).view("f4")


def unit(gpu: str, inputs: str, accumulate: str) -> tuple[Unit, bool]:
    """The row that the GPU ran, and whether it took the addend."""
    architecture = ARCHITECTURES[gpu]
    if not inputs.startswith("fp8") or gpu in ("Ada", "L40S"):
        return rows(architecture)[inputs, accumulate], True
    newer = architecture == "hopper" and accumulate == "fp32"
    return rows(architecture if newer else f"{architecture}_legacy")[inputs, accumulate], not newer


def counts(folder: Path) -> Iterator[tuple[str, str, str, int, int]]:
    """GPU, inputs, accumulator, rows, and how many of them are not the unit's."""
    for gpu in ARCHITECTURES:
        for place in sorted((folder / gpu).iterdir()):
            inputs = place.name if place.name in ("fp16", "bf16", "tf32") else f"fp8_{place.name.lower()}"
            a, b = (numbers(place / f"{side}_{gpu}_{place.name}.txt", inputs) for side in "ab")
            c = numbers(place / f"c_{gpu}_fp32.txt", inputs)[:, 0]
            for accumulate in ("fp32", "fp16"):
                told = place / f"d_{gpu}_{accumulate}.txt"
                if told.exists():
                    row, added = unit(gpu, inputs, accumulate)
                    d = numbers(told, "fp16")[:, 0]
                    got = rowwise(a, b, c if added else np.zeros_like(c), row).astype(np.float32)
                    yield gpu, inputs, row.name, len(d), int(np.count_nonzero(got != d))


if __name__ == "__main__":
    wrong = total = 0
    for gpu, inputs, name, size, bad in counts(Path(sys.argv[1])):
        print(f"{gpu:5} {inputs:9} {name:32} {bad} of {size} wrong")
        wrong, total = wrong + bad, total + size
    print(f"{wrong} of {total:,} wrong")
