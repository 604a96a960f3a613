"""Losses, bounds, activations and elementary functions in half are PyTorch's (recorded) to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.halves import CASES, FORMATS, Case, differing, gradients, is_nan, operands, sums

pytestmark = pytest.mark.filterwarnings("ignore")  # kl_div warns of its mean

_FILE = Path(__file__).parents[2] / "recorded" / "halves.npz"
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
        leaves = [tensor(codes.reshape(case.shape or -1)).requires_grad_() for codes in given]
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
    pytest.importorskip("torch", reason="PyTorch is not installed; its recorded results are tested")
    from tests.recorded.record_halves import results as theirs

    skip = np.flatnonzero(differing(results(case, fmt), theirs(case, fmt), fmt))
    check_count(case, fmt, skip, allowed=1.5)  # other processors have other vectorised functions
