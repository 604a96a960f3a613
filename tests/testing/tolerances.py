"""How well the derived tolerance tells correct half kernels from faulty ones, beside tolerances that people guess.

``python -m tests.testing.tolerances`` prints the tables of docs/testing/tolerance.md (minutes), ``--write`` puts them
there, ``--missed`` names each faulty kernel that passed and each correct one that did not.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halfsim.testing.expected import Expected, exceeded, expected_error
from tests import marks
from tests.testing.kernels import Array, Case, cases

PAGE = Path(__file__).parents[2] / "docs" / "testing" / "tolerance.md"


def _derived(actual: Array, expected: Expected) -> float:
    """The largest error as a share of the limit: up to 1 passes."""
    return float(exceeded(actual.astype(np.float64), expected).max())


def _guessed(rtol: float, atol: float) -> Callable[[Array, Expected], float]:
    """The same of ``|actual - expected| <= atol + rtol * |expected|``, of the reference in float16."""

    def ratio(actual: Array, expected: Expected) -> float:
        with np.errstate(all="ignore"):
            wanted = expected.reference.astype(np.float16).astype(np.float64)
            error = np.abs(actual.astype(np.float64) - wanted)
            return float(
                np.max(np.nan_to_num(np.where(error == 0, 0, error / (atol + rtol * np.abs(wanted))), nan=np.inf))
            )

    return ratio


TOLERANCES: dict[str, Callable[[Array, Expected], float]] = {
    "derived": _derived,
    "torch.testing.assert_close": _guessed(1e-3, 1e-5),
    "np.testing.assert_allclose": _guessed(1e-7, 0.0),
    "np.allclose": _guessed(1e-5, 1e-8),
}
LOOSENED = "assert_close, loosened"  # PyTorch's, both numbers times what lets every correct kernel pass


@dataclass(frozen=True)
class Outcome:
    """By tolerance: the largest error, as a share of what is allowed, of the correct kernel and of the faulty one."""

    case: Case
    correct: dict[str, float]
    faulty: dict[str, float]


def outcomes(share: float = 1.0) -> Iterator[Outcome]:
    for case in cases(share):
        expected = expected_error(case.f, list(case.inputs))
        correct = {name: ratio(case.correct, expected) for name, ratio in TOLERANCES.items()}
        faulty = {name: ratio(case.faulty, expected) for name, ratio in TOLERANCES.items()}
        yield Outcome(case, correct, faulty)


def judged(found: list[Outcome], name: str, factor: float = 1.0) -> tuple[int, int]:
    """How many correct kernels fail and how many faulty ones do, under a tolerance times ``factor``."""
    return sum(o.correct[name] > factor for o in found), sum(o.faulty[name] > factor for o in found)


def table(found: list[Outcome]) -> str:
    """The table of the page: by family, how many correct kernels fail and how many faulty ones do."""
    by: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        by[outcome.case.family].append(outcome)
    torch = "torch.testing.assert_close"
    factor = max(o.correct[torch] for o in found)
    head = ["kernels", "pairs", *TOLERANCES, LOOSENED]
    rows = [head, ["---"] * len(head)]
    for family, part in [*by.items(), ("all", found)]:
        results = [*(judged(part, name) for name in TOLERANCES), judged(part, torch, factor)]
        rows.append([family, str(len(part)), *(f"{rejected} / {caught}" for rejected, caught in results)])
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    numbers = f"rtol={factor * 1e-3:.2g}, atol={factor * 1e-5:.2g}"
    return f"{lines}\n\nLoosened, PyTorch's numbers are {factor:,.0f} times as large: {numbers}."


def faults(found: list[Outcome]) -> str:
    """By fault: how many the derived tolerance caught, of how many."""
    seen, caught = Counter(o.case.fault for o in found), Counter(o.case.fault for o in found if o.faulty["derived"] > 1)
    rows = [["fault", "kernels", "caught"], ["---"] * 3]
    rows += [
        [name, str(n), str(caught[name])] for name, n in sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def printed(found: list[Outcome]) -> str:
    return f"{table(found)}\n\n{faults(found)}"


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of each family, how much of it")
    parser.add_argument("--missed", action="store_true", help="name what was judged wrongly")
    parser.add_argument("--write", action="store_true", help="put the tables in the page")
    given: Any = parser.parse_args()
    found = list(outcomes(given.share))
    print(printed(found))
    if given.missed:
        for o in found:
            if o.correct["derived"] > 1:
                print(f"{o.case.family}: {o.case.kernel}: correct, and rejected")
            if o.faulty["derived"] <= 1:
                print(f"{o.case.family}: {o.case.kernel}: {o.case.fault}, and missed")
        print("the largest error of a correct kernel:", max(o.correct["derived"] for o in found))
    if given.write:
        marks.put(PAGE, "tolerances", f"{printed(found)}\n")


if __name__ == "__main__":
    _main()
