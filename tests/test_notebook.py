"""What notebooks show: everything that public names return, and cells under ``%%trace``."""

from __future__ import annotations

import enum
import inspect
import io
import subprocess
import sys
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

import pytest

import halfsim as hs
from halfsim.autograd.trace.trace import Trace
from halfsim.card import Record, Rows
from halfsim.contexts import Context
from tests.test_package import ROOMS

# What is no result: nothing is learned from looking at it.
NO_RESULTS = {
    "tuples, as PyTorch's": (tuple,),
    "words and warnings": (enum.Enum, BaseException, int),
    "contexts": (Context,),
    "the engine's inside": (hs.autograd.Function, Trace),
}
NAMED = {
    "handles": {"RemovableHandle", "Handle"},
    "the engine's inside": {"Arithmetic", "Shadow", "detect_anomaly"},
    "interfaces of others": {"Prepared", "backend", "_Info", "dtype"},
}


def named(annotation: Any) -> Iterator[type]:
    """The classes that an annotation is made of."""
    parts = annotation if isinstance(annotation, (list, tuple)) else typing.get_args(annotation)
    if not parts and inspect.isclass(annotation):
        yield annotation
    origin = typing.get_origin(annotation)
    yield from [origin] if inspect.isclass(origin) else []
    for part in parts:
        yield from named(part)


def read(annotation: Any, module: str) -> Any:
    """An annotation as it is; names that only type checkers import are sought in all of halfsim."""
    names = {**vars(typing), **vars(sys.modules[module])}
    while isinstance(annotation, str):
        try:
            annotation = eval(annotation, names)
        except NameError as missing:
            homes = (vars(m) for key, m in [*sys.modules.items()] if key.startswith("halfsim"))
            names[missing.name] = next((home[missing.name] for home in homes if missing.name in home), None)
    return annotation


def answers(value: Any) -> list[Any]:
    """What a function returns."""
    function = inspect.unwrap(value)
    if not inspect.isfunction(function) or "return" not in function.__annotations__:
        return []
    return [read(function.__annotations__["return"], function.__module__)]


def held(cls: type) -> Iterator[Any]:
    """What the public attributes and methods of a class are or return."""
    for base in (base for base in cls.__mro__ if base.__module__.startswith("halfsim")):
        for name, value in vars(base).items():
            if name[:1] != "_":
                inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                yield from answers(inner.func if isinstance(inner, cached_property) else inner)
        if is_dataclass(base):
            yield from (read(field.type, base.__module__) for field in fields(base) if field.name[:1] != "_")


def public_types() -> set[type]:
    """All classes of halfsim's own that a user meets, from the public names on, along what they return and hold."""
    values = [getattr(room, name) for room in ROOMS for name in dir(room)]
    waiting = [cls for value in values for cls in (named(value) if inspect.isclass(value) else [])]
    waiting += [cls for value in values for answer in answers(value) for cls in named(answer)]
    waiting += [type(value) for value in values if not isinstance(value, (type, types.FunctionType, types.ModuleType))]
    found: set[type] = set()
    while waiting:
        cls = waiting.pop()
        if cls not in found and cls.__module__.startswith("halfsim"):
            found.add(cls)
            waiting += [inner for answer in held(cls) for inner in named(answer)]
    return found


def test_all_that_public_names_return_shows_itself() -> None:
    types = public_types()
    apart = {name for names in NAMED.values() for name in names}
    silent = [kind for kinds in NO_RESULTS.values() for kind in kinds]
    results = [
        cls for cls in types
        if cls.__name__ not in apart and not cls.__module__.startswith("halfsim.utils.data.")
        and (not issubclass(cls, tuple(silent)) or hasattr(cls, "_repr_html_"))
    ]  # fmt: skip
    assert len(results) > 250
    assert {"Trace", "Finding", "Explanation", "Bill", "Tried", "ScaleRecord", "Why"} <= {c.__name__ for c in results}
    assert [cls.__name__ for cls in results if not hasattr(cls, "_repr_html_")] == []
    assert [cls.__name__ for cls in results if cls.__repr__ is object.__repr__] == []
    assert all(cls.__name__ in {c.__name__ for c in types} for cls in silent[-2:]), "an exception that is none"


def scaled() -> hs.amp.GradScaler:
    w = hs.tensor([1.0], requires_grad=True)
    optimizer, scaler = hs.optim.SGD([w], lr=0.1), hs.amp.GradScaler(init_scale=2.0**16)
    for x in (1.0, 0.25):
        optimizer.zero_grad()
        with hs.precision("fp16"):
            loss = (w * x).sum()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return scaler


def test_rows_are_a_table_of_what_fits() -> None:
    history = scaled().history
    assert str(history).split("\n") == [
        "step  scale  found inf      overflowed  after",
        "   1  65536        yes  parameter 0: 1  32768",
        "   2  32768         no               -  32768",
    ]
    assert repr(scaled()) == "GradScaler(scale=32768, updates=2, skipped=1)"
    assert "<td>parameter 0: 1</td>" in history._repr_html_()
    assert "<dt>found inf</dt><dd>yes</dd>" in history[0]._repr_html_()
    assert str(Rows()) == "no rows"
    assert "<p>no rows</p>" in Rows()._repr_html_()
    assert "and 10 rows more" in Rows([history[0]] * 60)._repr_html_()
    place = hs.Report.of(traced()).places[0]
    assert "counts" not in Rows([place])._table()[0], "a record of its own"
    assert isinstance(place, Record)
    assert "<dt>counts</dt><dd>size: 1, nonzero: 1, inexact: 1, overflow: 1" in place._repr_html_()


def traced() -> hs.Trace:
    with hs.trace() as t:
        hs.tensor([300.0], "fp16") * 300.0
    return t


def test_a_trace_and_the_steady_parts_of_a_run_have_names() -> None:
    t = traced()
    assert repr(t) == "<Trace: 1 step, 1 place, 1 value; overflow>"
    assert str(t).startswith(f"{t!r}\noverflow (step 1, forward, mul, ")
    with hs.trace() as t:
        hs.tensor([1.0]) + 1.0
    assert repr(t) == str(t) == "<Trace: 1 step, 1 place, 1 value; every result was exact>"
    w = hs.tensor([1.0], requires_grad=True)
    assert repr(hs.optim.EMA([w], 0.99)) == "EMA(decay=0.99, 1 average in float32)"
    assert repr(hs.optim.lr_scheduler.StepLR(hs.optim.SGD([w], lr=0.5), 1)) == "StepLR(last_epoch=0, lr=0.5)"
    assert repr(hs.Generator().manual_seed(3)) == "Generator(seed=3)"
    assert repr(hs.amp.GradScaler(enabled=False)) == "GradScaler(enabled=False)"


Run = Callable[[str], Any]


@pytest.fixture(scope="module")
def shell() -> Iterator[Any]:
    pytest.importorskip("IPython", reason="IPython is not installed (pip install ipython)")
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    own = types.ModuleType("cells")  # and not __main__, which is put in its place
    shell = InteractiveShell.instance(config=config, user_module=own, user_ns=vars(own))
    shell.run_cell("import halfsim as hs\n%load_ext halfsim", store_history=True)
    yield shell
    shell.restore_sys_module_state()
    del sys.modules["cells"]
    InteractiveShell.clear_instance()


@pytest.fixture
def run(shell: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a cell: whether it went well, what it printed, and what it displayed."""
    from IPython.core.displayhook import CapturingDisplayHook
    from IPython.core.displaypub import CapturingDisplayPublisher

    def run(cell: str) -> Any:
        outputs: list[Any] = []
        shows, prints = CapturingDisplayPublisher(), io.StringIO()
        shows.outputs = outputs
        monkeypatch.setattr(shell, "display_pub", shows)
        monkeypatch.setattr(shell.display_trap, "hook", CapturingDisplayHook(shell, outputs))
        with redirect_stdout(prints), redirect_stderr(prints):
            done = shell.run_cell(cell, store_history=True)
        return types.SimpleNamespace(
            ok=done.success, number=done.execution_count, text=prints.getvalue(),
            shown=[output["data"]["text/plain"] for output in outputs],
            html=[output["data"].get("text/html", "") for output in outputs],
        )  # fmt: skip

    return run


def test_a_cell_shows_its_verdict(run: Run, shell: Any) -> None:
    done = run("%%trace fp16 --as t\n\nx = hs.tensor([300.0]) * 300\nx")
    assert done.ok
    assert done.shown[0] == "tensor([inf], float16)"
    assert done.shown[1].startswith(f"overflow (step 1, forward, mul, In[{done.number}]:3): 1 of 1 values became")
    assert "what helps" in done.html[1]
    assert len(done.shown) == 2
    assert shell.user_ns["x"].format is hs.float16, "in the user's own names"
    assert shell.user_ns["t"].verdict().where == f"In[{done.number}]:3"
    assert run("hs.tensor([1.0]).format").shown == ["float32"], "the precision ends with the cell"


def test_options_of_the_magic(run: Run, shell: Any) -> None:
    done = run("%%trace 'storage=fp16, compute=fp32' --reference --as r  # measured\nhs.tensor([0.1]) * 3;")
    assert len(done.shown) == 1, "a semicolon, and the verdict alone"
    assert shell.user_ns["r"].reference == hs.FP64
    run("%%trace --reference=fp32 --as r\nhs.tensor([0.1], 'fp16') * 3")
    assert shell.user_ns["r"].reference == hs.FP32
    assert run("%%trace\nhs.tensor([1.0]) + 1;").shown == ["No simulated rounding changed a number."]
    assert run("%%trace\n1 + 1").shown == ["2", "halfsim computed nothing in this cell."]
    done = run("%%trace\n%alias_magic --cell again trace\ny = [hs.tensor([1.0]) + i for i in range(3)]")
    assert done.ok, "magics inside"
    assert len(shell.user_ns["y"]) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fp17", "precision: 'fp17' is not allowed (did you mean 'fp16'?); allowed: fp64, "),
        ("fp16 t", "precision: 'fp16 t' is not allowed"),
        ("--reference=abc", "reference: 'abc' is not allowed"),
        (
            "--deep",
            "unrecognized arguments: --deep; allowed: %%trace [PRECISION] [--reference[=PRECISION]] [--as NAME]",
        ),
        ("--as", "argument --as: expected one argument; allowed: %%trace"),
        ("--as 3", "--as: '3' is not allowed; allowed: a name, as t"),
        ("--as class", "--as: 'class' is not allowed; allowed: a name, as t"),
        ("'fp16", "No closing quotation"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_and_nothing_runs(words: str, said: str, run: Run, shell: Any) -> None:
    done = run(f"%%trace {words}\nran = True")
    assert not done.ok
    assert done.text.startswith(f"UsageError: %%trace: {said}")
    assert done.text.count("\n") == 1
    assert "ran" not in shell.user_ns


def test_an_error_is_shown_as_ever_below_the_verdict(run: Run, shell: Any) -> None:
    body = "x = hs.tensor([300.0]) * 300\ndef f():\n    raise ValueError('no')\nf()"
    plain, done = run(f"pass\n{body}"), run(f"%%trace fp16 --as e\n{body}")
    assert not done.ok
    assert done.shown[0].startswith(f"overflow (step 1, forward, mul, In[{done.number}]:2)")
    lines = [run.text.replace(f"In[{run.number}]", "In[]").split("\n") for run in (plain, done)]
    assert [line.split("call last)")[0] for line in lines[0]] == [line.split("call last)")[0] for line in lines[1]]
    assert shell.user_ns["e"].raised.kind == "ValueError"
    assert run("%%trace\n1 / 0").shown == [], "nothing to say of what never computed"
    done = run("%%trace\nx = 1\ny = = 2")
    assert not done.ok
    assert done.text.split() == f"Cell In[{done.number}], line 3 y = = 2 ^ SyntaxError: invalid syntax".split()
    assert run("hs.tensor([1.0]).format").shown == ["float32"]


def test_lists_of_rows_are_tables_and_other_lists_are_left_alone(run: Run) -> None:
    done = run("with hs.trace() as t:\n    z = hs.tensor([300.0], 'fp16') * 300\nt.report().places")
    assert "<table>" in done.html[0]
    assert "<table>" in run("hs.cost('mlp', 8, 'A100').training").html[0]
    assert "<table" in run("hs.nn.Linear(2, 1).state_dict()").html[0], "a dict with a card of its own"
    for cell in ("[1, 2]", "[]", "{}", "(t.report().places[0], 1)", "{'a': 1}"):
        assert run(cell).html == [""], cell


def test_figures_show_themselves_once(run: Run) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'halfsim[plot]')")
    for cell in ("hs.plot.number_line('fp8_e4m3', -1, 1)", "hs.plot.number_line('fp8_e4m3', -1, 1).figure"):
        done = run(cell)
        assert len(done.html) == 1, "and no second one when the cell ends"
        assert "<svg" in done.html[0]
    done = run("for _ in range(25): ax = hs.plot.number_line('fp8_e4m3', -1, 1)")
    assert (done.ok, done.shown, done.text) == (True, [], ""), "pyplot would warn of more than 20 open figures"


def test_ipython_is_imported_by_the_extension_alone() -> None:
    code = "import sys, halfsim; halfsim.load_ipython_extension; assert 'IPython' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
