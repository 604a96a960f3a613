"""The planting of mutants, and what their record says: at least 93 of 100 are caught, and the others are judged."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation import judge, plant

ROOT = Path(__file__).parents[2]
SOURCE = b'''"""A module."""

__all__ = ["f"]


def f(x: int, y: float = 0.5) -> float:
    """A docstring."""
    if x < 3 and not y:
        raise ValueError(f"{x + 1}")
    self.total[0] = 2
    x += 1
    return x * y if x else -1
'''


def test_each_kind_of_change_is_planted_once() -> None:
    found = [(m.line, m.kind, m.before, m.after) for m in plant.mutants("halfsim/a.py", SOURCE)]
    assert sorted(found) == [
        (6, "constant", "0.5", "1.0"),
        (8, "comparison", "x < 3", "(x <= 3)"),
        (8, "comparison", "x < 3 and not y", "(x < 3 or not y)"),
        (8, "constant", "3", "4"),
        (8, "swapped branches", "x < 3 and not y", "(not (x < 3 and (not y)))"),
        (9, "dropped line", 'raise ValueError(f"{x + 1}")', "pass"),
        (10, "constant", "0", "1"),
        (10, "constant", "2", "3"),
        (10, "dropped line", "self.total[0] = 2", "pass"),
        (11, "arithmetic", "x += 1", "x -= 1"),
        (11, "constant", "1", "2"),
        (11, "dropped line", "x += 1", "pass"),
        (12, "arithmetic", "x * y", "(x / y)"),
        (12, "constant", "1", "2"),
        (12, "swapped branches", "x", "(not (x))"),
    ]


def test_three_hundred_are_spread_over_all_rooms_and_are_the_same_for_the_same_seed() -> None:
    mutants = plant.sample(ROOT, 300, 0)
    assert len(mutants) == len({(m.file, m.start, m.after) for m in mutants}) == 300
    rooms = {plant.room(path.relative_to(ROOT).as_posix()) for path in (ROOT / "halfsim").rglob("*.py")}
    assert {plant.room(m.file) for m in mutants} >= {"autograd", "numerics", "diagnose", "nn", "optim", "hardware"}
    assert {plant.room(m.file) for m in mutants} <= rooms
    for m in mutants:
        source = (ROOT / m.file).read_bytes()
        assert source[m.start : m.end].decode() == m.before
        ast.parse(m.planted(source))
    assert plant.sample(ROOT, 300, 0) == mutants
    assert plant.sample(ROOT, 300, 1) != mutants


def test_the_nearest_tests_are_chosen_first() -> None:
    path = ROOT / "halfsim" / "autograd" / "ops" / "norms.py"
    mutants = plant.mutants("halfsim/autograd/ops/norms.py", path.read_bytes())
    chosen = judge.selection(ROOT, next(m for m in mutants if m.function == "normalize"))
    assert chosen["mirror"] == ["halfsim/autograd/ops/norms.py", "tests/autograd/ops/test_norms.py"]
    assert len(chosen["named"]) <= judge.NAMED
    assert not {*chosen["mirror"]} & {*chosen["named"], *chosen["room"]}
    assert not {*chosen["named"]} & {*chosen["room"]}
    assert all(name.startswith("tests/autograd/") for name in chosen["room"][-3:])


@pytest.mark.parametrize(
    ("file", "function", "choice", "first"),
    [
        ("numerics/ieee/unpacked.py", "unpack", "mirror", "tests/numerics/test_ieee.py"),
        ("autograd/trace/totals.py", "Total.add", "mirror", "tests/autograd/test_trace.py"),
        ("diagnose/mend/grow.py", "_in_places", "mirror", "tests/diagnose/mend/test_mend_options.py"),
        ("optim/adam.py", "RAdam.__init__", "named", "tests/test_defaults.py"),
    ],
)
def test_of_a_private_file_the_tests_of_those_that_import_it_are_near(
    file: str, function: str, choice: str, first: str
) -> None:
    mutants = plant.mutants(f"halfsim/{file}", (ROOT / "halfsim" / file).read_bytes())
    assert judge.selection(ROOT, next(m for m in mutants if m.function == function))[choice][0] == first
