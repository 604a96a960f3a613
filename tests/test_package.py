"""The package as its users meet it: what importing costs, what is public, what the README promises."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import halfsim as hs

ROOT = Path(__file__).parents[1]


def test_importing_pulls_in_numpy_only_and_starts_no_thread() -> None:
    code = (
        "import sys, threading; import halfsim; "
        "heavy = {'pytest', 'hypothesis', 'matplotlib', 'torch', 'dask', 'argparse', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_takes_arithmetic_alone() -> None:
    """Rooms wait until they are asked for, and so does reading the annotations of what checks its arguments."""
    code = (
        "import sys, typing, numpy; before, read, hints = set(sys.modules), [], typing.get_type_hints; "
        "typing.get_type_hints = lambda *a, **k: read.append(a) or hints(*a, **k); import halfsim; "
        "new = sys.modules.keys() - before; print(len(read), len(new), *sorted(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    read, modules, *names = done.stdout.split()
    assert int(read) <= 5  # of 1,400 functions that check what they are given
    assert int(modules) <= 162
    rooms = {name.split(".")[1] for name in names if name.startswith("halfsim.")}
    shelves = {"card", "contexts", "frames", "markup", "names", "options", "ported", "text"}
    assert rooms == {"autograd", "hardware", "numerics"} | shelves
    assert not {"json", "pathlib", "numpy.ma", "halfsim.autograd.trace"} & set(names)


def test_a_room_that_waits_is_there_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in hs._MODULES:
        assert f"halfsim.{room}" == getattr(hs, room).__name__
    for name, place in hs._LATER.items():
        monkeypatch.delitem(vars(hs), name, raising=False)
        assert getattr(hs, name) is vars(hs)[name]
        assert inspect.unwrap(getattr(hs, name)).__module__ in (f"halfsim.{place}", "halfsim"), name
        assert not (Path(hs.__file__).parent / name).exists()
    assert hs.trace is not hs.ops.trace


def test_every_public_name_exists_and_is_documented() -> None:
    for name in hs.__all__:
        value = getattr(hs, name)
        if inspect.isfunction(value) or inspect.isclass(value) or isinstance(value, types.ModuleType):
            assert inspect.getdoc(value), name
    for name in hs.ops.__all__:
        assert getattr(hs.ops, name).__doc__, name


def rooms(module: types.ModuleType = hs, seen: set[str] | None = None) -> list[types.ModuleType]:
    """Every module that a user meets from ``hs`` on, by names that ``dir`` lists."""
    seen = {module.__name__} if seen is None else seen
    found = [module]
    for name in dir(module):
        value = getattr(module, name)
        if isinstance(value, types.ModuleType) and value.__name__ not in seen:
            seen.add(value.__name__)
            found += rooms(value, seen)
    return found


ROOMS = rooms()


def test_all_rooms_are_met() -> None:
    names = {room.__name__.rpartition(".")[2] for room in ROOMS}
    assert {"elementary", "formats", "ieee", "ops", "hardware"} < names
    assert {"nn", "functional", "init", "optim", "lr_scheduler", "amp"} < names
    assert {"linalg", "special", "distributions", "signal", "array_api", "plot", "utils", "data", "cuda"} < names
    assert all(room.__name__.startswith("halfsim") for room in ROOMS), "dir() lists an import"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_dir_lists_what_import_star_takes(room: types.ModuleType) -> None:
    listed = dir(room)
    names: dict[str, object] = {}
    exec(f"from {room.__name__} import *", names)
    names.pop("__builtins__")
    if room is hs:  # beside them PyTorch's functions, which would hide Python's in import *
        assert names.keys() < set(listed)
    else:
        assert sorted(names) == listed
    for name in listed:
        value = getattr(room, name)
        home = getattr(value, "__module__", None) or ""
        assert not (inspect.isclass(value) or inspect.isfunction(value)) or home.startswith("halfsim"), name
        assert name not in ("annotations", "Any", "np", "Callable", "TYPE_CHECKING")


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_a_typo_gets_the_nearest_name(room: types.ModuleType) -> None:
    name = max((name for name in dir(room) if not name.startswith("_")), key=len)
    with pytest.raises(AttributeError) as caught:
        getattr(room, f"{name[:1]}{name[2:]}")
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) <= 300
    assert name in text
    assert not hasattr(room, "__no_such_name__")


TYPOS = [
    (lambda: hs.flaot16, "halfsim has no attribute 'flaot16'; did you mean 'float16'?"),
    (lambda: hs.nn.Lineer, "halfsim.nn has no attribute 'Lineer'; did you mean 'Linear'?"),
    (lambda: hs.optim.sgd, "halfsim.optim has no attribute 'sgd'; did you mean 'SGD'?"),
    (lambda: hs.elementary.exxp, "halfsim.elementary has no attribute 'exxp'; did you mean 'exp'?"),
    (lambda: hs.ops.matmull, "halfsim.ops has no attribute 'matmull'; did you mean 'matmul'?"),
    (
        lambda: hs.nn.Linear(3, 4, bais=False),
        "Linear: bais= is not an option here (did you mean bias=?); allowed: in_f",
    ),
    (lambda: hs.nn.Linear(3, out=4), "Linear: out= is not an option here; allowed: in_features, out_features, bias"),
    (
        lambda: hs.nn.cross_entropy(1, 1, reductoin="sum"),
        "cross_entropy: reductoin= is not an option here (did you",
    ),
    (
        lambda: hs.optim.SGD([], momentun=0.9),
        "SGD: option 'momentun' is not known (did you mean 'momentum'?); allow",
    ),
    (lambda: hs.nn.Linear(2, 2).wieght, "Linear has no attribute 'wieght'; did you mean 'weight'?"),
    (lambda: hs.tensor([1.0]).summ(), "Tensor has no attribute 'summ'; did you mean 'sum'?"),
    (lambda: hs.precision("fp61"), "precision: 'fp61' is not allowed (did you mean 'fp64'?); allowed: fp64, fp32"),
    (lambda: hs.tensor([1.0], "flaot16"), "dtype: 'flaot16' is not allowed (did you mean 'float16'?)"),
    (lambda: hs.trace(reference="fp46"), "reference: 'fp46' is not allowed (did you mean 'fp64'?)"),
]


@pytest.mark.parametrize(("wrong", "told"), TYPOS)
def test_the_first_mistakes_of_a_new_user_get_one_clear_line(wrong: Callable[[], object], told: str) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError)) as caught:
        wrong()
    text = str(caught.value)
    assert text.startswith(told)
    assert "\n" not in text
    assert len(text) <= 300


def test_no_room_hides_a_public_function() -> None:
    rooms = {path.stem for path in Path(hs.__file__).parent.iterdir() if path.is_dir() or path.suffix == ".py"}
    public = {name for name in hs.__all__ if not isinstance(getattr(hs, name), types.ModuleType)}
    assert not rooms & public, "importing halfsim.<room> would put the module in the function's place"


def test_the_demos_python_blocks_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "demo.md").read_text(encoding="utf-8"), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "demo.md", "exec"), {})
