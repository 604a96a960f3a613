"""Losses, bounds, activations and elementary functions in half are PyTorch's (recorded) to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.halves import CASES, FORMATS, Case, differing, gradients, is_nan, operands, sums

pytestmark = pytest.mark.filterwarnings("ignore")  # kl_div warns of its mean

_ROOT = Path(__file__).parents[3]
_FILE = _ROOT / "tests" / "recorded" / "halves.npz"
EACH = [(case, fmt) for case in CASES for fmt in FORMATS]


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(_FILE) as file:
        ends = np.cumsum(file["lengths"])[:-1]
        return dict(zip(file["names"].tolist(), np.split(file["values"], ends), strict=True))


def results(case: Case, fmt: str) -> list[np.ndarray]:
    """The codes of the value, then for each gradient of the result those of the operands' gradients."""

    def tensor(codes: np.ndarray) -> Any:
        return hs.tensor(hs.decode(codes, fmt), fmt)

    found: list[np.ndarray] = []
    function = case.call(hs, lambda value: hs.tensor([value], fmt))
    given = operands(case, fmt)
    for i in range(2):
        leaves = [
            tensor(codes.reshape(case.shape or -1)).requires_grad_(k < case.free) for k, codes in enumerate(given)
        ]
        with hs.precision("fp16" if fmt == "float16" else "bf16"):
            y = function(*leaves)
            y.backward(tensor(gradients(fmt, y.size)[i].reshape(y.shape)))
        found += [y.bits().reshape(-1)] * (not found)
        found += [x.grad.bits().reshape(-1) for x in leaves if x.grad is not None]
    return found


def check_count(case: Case, fmt: str, skip: np.ndarray, allowed: float = 1.0) -> None:
    """No more operands may differ than the case says, or ``allowed`` times as many."""
    codes = operands(case, fmt)[0][skip]
    numbers = codes[~is_nan(codes, fmt)]
    assert len(numbers) <= allowed * case.unlike[FORMATS.index(fmt)]
    assert case.nan or len(numbers) == len(codes)


def test_every_case_has_a_label_of_its_own(recorded: dict[str, np.ndarray]) -> None:
    assert set(recorded) == {f"{case.label} {fmt} {what}" for case, fmt in EACH for what in ("sums", "skip")}
    assert all(case.why for case in CASES if case.nan or any(case.unlike))


@pytest.mark.parametrize(("case", "fmt"), EACH, ids=lambda x: x.label if isinstance(x, Case) else x)
def test_results_and_gradients_are_pytorchs(case: Case, fmt: str, recorded: dict[str, np.ndarray]) -> None:
    skip = recorded[f"{case.label} {fmt} skip"].astype(np.int64)
    check_count(case, fmt, skip)
    expected = recorded[f"{case.label} {fmt} sums"]
    got = sums(results(case, fmt), fmt, skip)
    assert np.flatnonzero(got != expected).tolist() == [], "blocks of 1,024: of the value, then of each gradient"


@pytest.mark.parametrize(("case", "fmt"), EACH, ids=lambda x: x.label if isinstance(x, Case) else x)
def test_the_installed_pytorch_gives_the_same(case: Case, fmt: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; its recorded results are tested")
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("these are the vectorised functions of x86")
    from tests.recorded.record_halves import results as theirs

    skip = np.flatnonzero(differing(results(case, fmt), theirs(case, fmt), fmt))
    check_count(case, fmt, skip, allowed=1.5)  # other processors have other vectorised functions


_SCALAR = """
import warnings
warnings.simplefilter("ignore")
from tests.autograd.ops.test_halves import results
from tests.recorded.halves import CASES, FORMATS, differing, is_nan, operands
from tests.recorded.record_halves import results as theirs
names = "gelu() erf() silu() softplus() sin() cos() sinh() cosh() elu(0.7)".split()
for case in (case for case in CASES if case.label in names):
    for fmt in FORMATS:
        unlike = differing(results(case, fmt), theirs(case, fmt), fmt) & ~is_nan(operands(case, fmt)[0], fmt)
        print(case.label, fmt, unlike.sum())
"""


def test_with_pytorchs_scalar_kernels_nothing_differs() -> None:
    """What differs above is the work of approximations that processors choose, not of other steps."""
    pytest.importorskip("torch")
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _SCALAR], cwd=_ROOT, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    rows = done.stdout.splitlines()
    assert len(rows) == 18
    assert [row for row in rows if not row.endswith(" 0")] == []
