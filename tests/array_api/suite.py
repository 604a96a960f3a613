"""The consortium's own suite, array-api-tests, on `halfsim.array_api`.

    PYTHONPATH=$PWD python -m tests.array_api.suite CHECKOUT

runs a checkout of it (with its submodule), and writes suite.json, the counts that docs/array_api.md prints, and
skips.txt, the list of what it finds other than the standard has it, by reason; the suite takes that file as
``--skips-file``. What fails for no reason that is listed is printed, and is an error.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
COUNTS, SKIPS = HERE / "suite.json", HERE / "skips.txt"
VERSION, EXAMPLES = "2024.12", 100

# Why a test fails that has one of the words in its name; the first reason counts.
REASONS: dict[str, tuple[str, ...]] = {
    "there are no complex numbers": ("imag(", "__complex__", "vecdot_conj"),
    "there is no `fft`": ("fft",),
    "factorizations are not simulated": ("eigh", "eigvalsh", "pinv", "linalg-qr", "linalg.qr", "test_qr", "svd"),
    "an infinite dividend gives NaN, and a small quotient -1 below zero, as in NumPy and PyTorch": (
        "floor_divide(x1_i", "floor_divide(isfinite", "floordiv__(x1_i", "floordiv__(isfinite",
    ),
    "a zero has the sign of the dividend, as in PyTorch": ("remainder(x1_i", "mod__(x1_i"),
    "an operand without axes adopts the dtype of the other, as in PyTorch": ("__(x1, x2)]",),
    "an array owns its values: `copy=False` is refused": ("test_from_dlpack",),
}  # fmt: skip


def reason(test: str) -> str | None:
    """Why a test may fail, None where it may not."""
    return next((why for why, words in REASONS.items() if any(word in test for word in words)), None)


def run(checkout: Path, report: Path) -> None:
    """Run the suite, which asks for the widest complex dtype of every library, without one."""
    helpers = checkout / "array_api_tests" / "dtype_helpers.py"
    text = helpers.read_text(encoding="utf-8")
    wanted = "[(dt, dtype_nbits[dt]) for dt in complex_dtypes], key=lambda x: x[1]"
    assert wanted in text, "another version of the suite: see where it asks for complex dtypes"
    helpers.write_text(text.replace(wanted, f"{wanted}, default=(xp.float64, 0)"), encoding="utf-8")
    module = {"ARRAY_API_TESTS_MODULE": "halfsim.array_api", "ARRAY_API_TESTS_VERSION": VERSION}
    skipped = {"ARRAY_API_TESTS_SKIP_DTYPES": "complex64,complex128", "PYTHONPATH": str(HERE.parents[1])}
    options = ["-q", "-p", "no:cacheprovider", "--max-examples", str(EXAMPLES), "--disable-deadline"]
    command = [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", "array_api_tests"]
    subprocess.run(command, cwd=checkout, env={**os.environ, **module, **skipped}, check=False)


def main() -> None:
    source = Path(sys.argv[1])
    commit = subprocess.run(
        ["git", "-C", str(source), "log", "-1", "--format=%h"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as place:
        checkout, report = Path(place) / "suite", Path(place) / "report.xml"
        shutil.copytree(source, checkout, ignore=shutil.ignore_patterns(".git"))
        run(checkout, report)
        cases = list(ET.parse(report).iter("testcase"))
    failed = [
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    by_reason = {why: [test for test in failed if reason(test) == why] for why in REASONS}
    lines = [f"# {why}\n" + "".join(f"{test}\n" for test in tests) for why, tests in by_reason.items() if tests]
    SKIPS.write_text("\n".join(lines), encoding="utf-8")
    counts = {
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "examples": EXAMPLES,
        "passed": len(cases) - len(failed) - skipped,
        "skipped": skipped,
        "failed": {why: len(tests) for why, tests in by_reason.items() if tests},
    }
    COUNTS.write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unknown = [test for test in failed if reason(test) is None]
    print("\n".join([json.dumps(counts, ensure_ascii=False), *unknown]))
    sys.exit(bool(unknown))


if __name__ == "__main__":
    main()
