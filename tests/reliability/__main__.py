"""What halfsim withstands, measured: each part keeps a record, and docs/reliability.md is printed from the records.

PYTHONPATH=$PWD python -m tests.reliability kill            200 saves that are killed
PYTHONPATH=$PWD python -m tests.reliability truncation      files of every kind, cut off at every byte
PYTHONPATH=$PWD python -m tests.reliability bit_flips       every bit of every byte, and documents that no save wrote
PYTHONPATH=$PWD python -m tests.reliability soak            memory over minutes of training, traces and checkpoints
PYTHONPATH=$PWD python -m tests.reliability same_bits       NumPy versions, BLAS kernels, SIMD, threads; resumed runs
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.hostile import page
from tests.reliability import files, processes

_ENDS = ("refused", "read")
NUMPYS = ("2.0", "2.1", "2.2", "2.3", "2.4")
KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX")


def _row(name: str, found: Counter[str]) -> list[str]:
    other = sum(found.values()) - sum(found[end] for end in _ENDS)
    return [name, f"{sum(found.values()):,}", *(f"{found[end]:,}" for end in _ENDS), f"{other:,}"]


_HEAD = ("file", "damaged versions", "refused in one line", "read", "anything else")


def kill(folder: Path, asked: argparse.Namespace) -> None:
    found = processes.killed(folder, asked.times)
    page.record(
        "kill", "Killed while it saves", _command("kill", asked),
        ["A process trains and saves in a loop and is killed (SIGKILL) after a random while, up to 0.1 s. The file "
         "must be whole, and no older than the last save that came back."],
        ["kills", "file whole", "anything else"],
        [[f"{asked.times:,}", f"{found['whole']:,}", f"{asked.times - found['whole']:,}"]],
    )  # fmt: skip
    print(found)


def truncation(folder: Path, asked: argparse.Namespace) -> None:
    rows = [_row(name, files.counted(kind, folder, files.truncations)) for name, kind in files.kinds().items()]
    page.record(
        "truncation", "Cut off", _command("truncation", asked), ["One small file of each kind, cut off at every byte."],
        _HEAD, rows,
    )  # fmt: skip
    print(*rows, sep="\n")


def bit_flips(folder: Path, asked: argparse.Namespace) -> None:
    rows = [_row(name, files.counted(kind, folder, files.flips)) for name, kind in files.kinds().items()]
    found = files.documents(folder)
    rows.append(_row("checkpoint, checksum right, one place of its document another", found))
    page.record(
        "bit_flips", "Damaged", _command("bit_flips", asked),
        ["One small file of each kind with one bit flipped, for every bit of every byte. Checkpoints and weights are "
         "under a SHA-256 checksum, reports are plain JSON: a changed digit in one may be read. The checksum of a "
         ".safetensors file is of what its head says, so that 1e-08 written 1E-08 is read: it is the same number.",
         "The last row is of checkpoints that somebody has written on purpose: the checksum is right, and one place of "
         "the document holds something else. Such a file is refused with nothing changed, or what is read is a state "
         "with which the run goes on."],
        _HEAD, rows,
    )  # fmt: skip
    print(*rows, sep="\n")
    print({kind: n for kind, n in found.items() if kind not in _ENDS})


def soak(folder: Path, asked: argparse.Namespace) -> None:
    seen = processes.soaked(asked.seconds)
    tenth = max(1, len(seen) // 10)
    rows = [[f"{steps:,}", f"{mebibytes:.1f}"] for steps, mebibytes in seen[tenth - 1 :: tenth]]
    page.record(
        "soak", "For a long time", _command("soak", asked),
        [f"Training of a small network under amp for {asked.seconds / 60:g} minutes, every 20 steps in a trace of "
         "their own (every second one with a reference), with a verdict, a report, a checkpoint saved and loaded, and "
         "the record of the scaler emptied. Memory of the process after so many steps:"],
        ["steps", "resident memory, MiB"], rows,
    )  # fmt: skip
    print(*rows, sep="\n")


def same_bits(folder: Path, asked: argparse.Namespace) -> None:
    here = processes.fingerprint()
    rows = [[f"NumPy {np.__version__}, as installed", here[:16], "-"]]

    def told(name: str, digest: str) -> None:
        same = "yes" if digest == here else "no"
        rows.append([name, digest[:16] if len(digest) == 64 else digest[:60], same])
        print(rows[-1], flush=True)

    for version in asked.numpy.split(","):
        if version:
            told(f"NumPy {version}", processes.fingerprint_in(_python(folder, version)))
    for kernel in KERNELS:
        told(f"OpenBLAS kernel {kernel}", processes.fingerprint_in(OPENBLAS_CORETYPE=kernel))
    told("NumPy without SIMD", processes.fingerprint_in(NPY_DISABLE_CPU_FEATURES=_disabled()))
    for threads in ("1", "2", "4"):
        told(f"{threads} threads", processes.fingerprint_in(OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads))
    resumed = processes.resumed(folder)
    good = resumed["the same bits"]
    every = sum(resumed.values())
    rows.append(["runs gone on with from a checkpoint", f"{good} of {every}", "yes" if good == every else "no"])
    page.record(
        "same_bits", "The same bits", _command("same_bits", asked),
        ["A digest of roundings of five formats in four modes, elementary functions, sums, products and training runs "
         "under nine precisions in `hs.reproducible()`, and products of four devices. It must not depend on the "
         "version of NumPy, the kernel of its BLAS, the instructions of the processor, or the number of threads.",
         "Runs gone on with: seven optimizers under three precisions, saved after each of three steps, with dropout, a "
         "scaler and a schedule; the state at the end must be that of the run that was not interrupted."],
        ["under", "digest", "the same"], rows,
    )  # fmt: skip


def _disabled() -> str:
    """The features of this processor that NumPy lets one switch off."""
    code = "from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__ as f; "
    code += "print(' '.join(x for x in __cpu_dispatch__ if f.get(x)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _python(folder: Path, version: str) -> str:
    """A Python with that NumPy, in an environment that goes with ``folder``."""
    place = folder / version
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = str(place / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", f"numpy=={version}.*"], check=True)
    return python


def _command(part: str, asked: argparse.Namespace) -> str:
    options = {"kill": f" --times {asked.times}", "soak": f" --seconds {asked.seconds:g}"}.get(part, "")
    return f"PYTHONPATH=$PWD python -m tests.reliability {part}{options}"


PARTS: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "kill": kill, "truncation": truncation, "bit_flips": bit_flips, "soak": soak, "same_bits": same_bits,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=PARTS, help="all of them where none is named")
    parser.add_argument("--times", type=int, default=200, help="kills")
    parser.add_argument("--seconds", type=float, default=300.0, help="of the soak")
    parser.add_argument("--numpy", default=",".join(NUMPYS), help="versions to install, by commas; '' for none")
    asked = parser.parse_args()
    for part in asked.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder), asked)
    page.write()


if __name__ == "__main__":
    main()
