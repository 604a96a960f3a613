"""`hs.sweep`: what it runs, what it refuses, errors that are rows, code that changes."""

from __future__ import annotations

import functools
import importlib
import io
import itertools
import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import terminal
from halfsim.sweeps import drive
from halfsim.sweeps.grid import Grid, grid_of
from halfsim.sweeps.journal import Journal, _sorted
from tests.sweeps import studies


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def told(found: hs.sweeps.Results) -> list[Any]:
    return [row.get("result", row.get("error")) for row in found]


def test_a_row_has_all_that_it_takes_to_trust_it(out: Path) -> None:
    hs.sweep(studies.study, {"format": ["fp16"], "scale": [1.0]}, executor="serial", out=out)
    head, row = (json.loads(line) for line in out.read_text().splitlines())
    assert head["function"] == "tests.sweeps.studies:study"
    assert head["halfsim"] == row["versions"]["halfsim"] == hs.__version__
    assert row["versions"] == {"halfsim": hs.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
    assert [*row] == [
        "key",
        "study",
        "config",
        "seed",
        "result",
        "tries",
        "duration",
        "host",
        "versions",
        "schema",
        "checksum",
    ]
    assert row["config"] == {"format": "fp16", "scale": 1.0}
    assert 0 < row["duration"] < 10


def test_a_grid_is_every_combination_with_every_seed(out: Path) -> None:
    grid = grid_of(studies.study, {"scale": [1, 2.0], "format": ["a", None]}, [3, 1])
    rows = list(grid.rows())
    assert len(grid) == len(rows) == len({row.key for row in rows}) == 8
    wanted = [({"scale": a, "format": b}, seed) for a, b, seed in itertools.product([1, 2.0], ["a", None], [3, 1])]
    assert [(json.loads(row.config), row.seed) for row in rows] == wanted
    other = grid_of(studies.study, {"format": [None, "a"], "scale": (2.0, 1)}, range(4))
    assert {row.key for row in rows} < {row.key for row in other.rows()}, "a key does not depend on the order"


def test_a_million_rows_take_no_memory() -> None:
    import tracemalloc

    grid = Grid({name: list(map(str, range(100))) for name in "abc"}, range(1000))
    tracemalloc.start()
    first = next(iter(itertools.islice(grid.rows(), 10_000)))
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()
    assert (len(grid), first.config, first.seed) == (10**9, '{"a":0,"b":0,"c":0}', 0)


def test_more_values_and_more_seeds_run_what_is_missing(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hs.sweep(studies.quick, {"i": [0, 1]}, 2, "serial", out)
    lines = out.read_bytes().count(b"\n")
    found = hs.sweep(studies.quick, {"i": [2, 1, 0]}, 3, "serial", out)
    assert out.read_bytes().count(b"\n") == lines + 5
    assert told(found) == [2, 3, 4, 1, 2, 3, 0, 1, 2], "in the order of the grid"
    assert told(hs.sweep(studies.quick, {"i": [1]}, [1], "serial", out)) == [2], "rows of this grid alone"
    assert len(hs.sweeps.results(out)) == 9


def test_no_result_depends_on_what_ran_before(tmp_path: Path) -> None:
    state, kept = random.getstate(), hs.get_rng_state()
    whole = hs.sweep(studies.study, {"format": ["fp16", "bf16"], "scale": [1.0]}, 3, "serial", tmp_path / "a")
    last = hs.sweep(studies.study, {"format": ["bf16"], "scale": [1.0]}, [2], "serial", tmp_path / "b")
    rows = whole.records()
    assert rows[-1]["result"] == last.records()[0]["result"]
    assert rows[0]["result"]["drawn"] == rows[3]["result"]["drawn"] != rows[1]["result"]["drawn"], "pairs share a seed"
    drawn = hs.sweep(studies.python, {}, 2, "serial", tmp_path / "c")
    assert told(drawn) == [random.Random(0).random(), random.Random(1).random()]
    assert random.getstate() == state
    assert (np.asarray(hs.get_rng_state()) == np.asarray(kept)).all(), "the caller's generators go on where they were"


ERRORS = {
    "complex": "TypeError: result['a'][0]: 1j is not allowed", "object": "TypeError: result: object is not allowed",
    "key": "TypeError: result: the key 1 is not allowed", "loop": "ValueError: result: lists that hold themselves",
    "long": "ValueError: result: an array of 20,000 numbers", "wide": "TypeError: result: an array of",
    "reserved": "ValueError: result: the key '$float' is not allowed", "integer": "ValueError: result: an integer of",
    "set": "TypeError: result: set is not allowed",
}  # fmt: skip


def test_a_result_that_is_not_plain_is_the_error_of_its_row(out: Path) -> None:
    good = ["half", "array", "tensor", "nan", "inf", "zero", "least", "text", "big", "none", "tuple", "surrogate"]
    found = hs.sweep(studies.gives, {"what": [*good, *ERRORS]}, executor="serial", out=out)
    for row in found:
        what = row["config"]["what"]
        if what in ERRORS:
            assert f"{row['error']['type']}: {row['error']['message']}".startswith(ERRORS[what])
    results = {row["config"]["what"]: row.get("result") for row in found}
    assert results["half"] == float(np.float16(0.1))
    assert math.isnan(results["nan"])
    assert math.copysign(1, results["zero"]) == -1
    assert [results[n] for n in ("inf", "least", "text", "big", "tuple")] == [
        -math.inf,
        5e-324,
        "nan",
        2**80,
        [1, [2.5, True]],
    ]


def test_a_hanging_row_is_ended_and_the_others_go_on(out: Path) -> None:
    found = hs.sweep(studies.hangs, {"scale": [1.0, 2.0, 3.0]}, 2, "local:2", out, timeout=1.0)
    error = {"type": "TimedOut", "message": "took more than 1 s"}
    assert told(found) == [1.0, 1.0, 2.0, error, 3.0, 3.0]
    assert found.failed == 1


def test_a_row_that_ends_its_process_fails_alone(out: Path) -> None:
    found = hs.sweep(studies.ends, {"how": ["exit", "killed", "sys.exit", "not"]}, 3, "local:2", out)
    crash = {"type": "Crashed", "message": "the process that ran it ended, each time"}
    rows = told(found)
    left = {"type": "SystemExit", "message": "4", "where": rows[7]["where"]}
    assert left["where"].startswith("ends, line ")
    assert rows == [0, crash, 2, 0, crash, 2, 0, left, 2, 0, 1, 2]


def test_a_row_whose_process_is_lost_once_gives_its_result(out: Path, tmp_path: Path) -> None:
    found = hs.sweep(studies.crashes_once, {"path": [str(tmp_path / "mark")]}, 6, "local:2", out)
    assert told(found) == list(range(6))


def flaky(path: str, seed: int) -> int:
    """Fails until it was called three times."""
    with open(path, "a") as file:
        file.write(".")
    if os.path.getsize(path) < 3:
        raise OSError("not yet")
    return seed


def test_failed_rows_count_as_finished_unless_they_may_be_tried_again(out: Path, tmp_path: Path) -> None:
    grid, mark = {"path": [str(tmp_path / "mark")]}, tmp_path / "mark"

    def run(**more: Any) -> tuple[Any, int]:
        row = hs.sweep(flaky, grid, 1, "serial", out, **more).records()[0]
        return row.get("result", "error"), row["tries"]

    assert run() == ("error", 1)
    assert run() == ("error", 1)
    assert mark.stat().st_size == 1
    assert run(retry_failed=True) == ("error", 2)
    assert run(retries=1) == ("error", 2), "it was tried twice"
    assert run(retries=2) == (0, 3)
    assert run(retries=9, retry_failed=True) == (0, 3)
    assert len(hs.sweeps.results(out)) == 1
    mark.unlink()
    assert told(hs.sweep(flaky, grid, 1, "serial", tmp_path / "other", retries=2)) == [0], "within one study too"


MODULE = """
def helper(): return 1
def run(a, seed): return a + helper()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "changing_study.py"
    path.write_text(MODULE)
    yield path
    sys.modules.pop("changing_study", None)


def loaded() -> Any:
    sys.modules.pop("changing_study", None)
    importlib.invalidate_caches()
    import linecache

    linecache.checkcache()
    return importlib.import_module("changing_study").run


def test_a_changed_function_is_refused_and_named(module: Path, out: Path) -> None:
    def refused(**more: Any) -> str:
        with pytest.raises(
            ValueError, match=r"^out: .* has rows of other code: [^\n]*; allowed: .*fresh=True$"
        ) as caught:
            hs.sweep(loaded(), {"a": [1]}, executor="serial", out=out, **more)
        return str(caught.value).partition("other code: ")[2].partition(";")[0]

    hs.sweep(loaded(), {"a": [1]}, executor="serial", out=out, version="v1")
    before = out.read_bytes()
    assert refused(version="v2") == "version= changed, from 'v1' to 'v2'"
    module.write_text(MODULE.replace("return 1", "return  2"))
    assert refused(version="v1") == "the file of the function changed, though not the function itself"
    module.write_text(MODULE.replace("a +", "a -") + "# longer")
    assert refused(version="v1") == "the source of the function changed"
    module.write_text(MODULE + "run.__qualname__ = 'other'")
    assert refused(version="v1") == "the function is another: changing_study:run before, changing_study:other now"
    assert out.read_bytes() == before
    module.write_text(MODULE)
    hs.sweep(loaded(), {"a": [1]}, executor="serial", out=out, version="v1")
    module.write_text(MODULE.replace("return 1", "return 40"))
    assert told(hs.sweep(loaded(), {"a": [1]}, executor="serial", out=out, fresh=True)) == [41]


def test_another_halfsim_is_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hs.sweep(studies.quick, {"i": [1]}, executor="serial", out=out)
    monkeypatch.setattr(hs, "__version__", "0.0.9")
    with pytest.raises(ValueError, match=rf"halfsim changed, from {hs.__version__.replace('0.0.9', '.*')} to 0.0.9"):
        hs.sweep(studies.quick, {"i": [1]}, executor="serial", out=out)


def test_what_a_function_closes_over_and_a_partial_holds_counts(tmp_path: Path) -> None:
    def made(a: int) -> Any:
        return lambda i, seed: i + a

    hs.sweep(made(1), {"i": [1]}, executor="serial", out=tmp_path / "a")
    with pytest.raises(ValueError, match="the source of the function changed"):
        hs.sweep(made(2), {"i": [1]}, executor="serial", out=tmp_path / "a")
    hs.sweep(functools.partial(studies.quick, i=1), {}, executor="serial", out=tmp_path / "b")
    with pytest.raises(ValueError, match="the source of the function changed"):
        hs.sweep(functools.partial(studies.quick, i=2), {}, executor="serial", out=tmp_path / "b")


def test_a_file_that_changes_while_the_study_runs_stops_it(module: Path, out: Path) -> None:
    run = loaded()
    code = module.read_text()
    from halfsim.sweeps.engines import Local

    real = Local.start

    def start(self: Local, *args: Any) -> None:
        module.write_text(code + "# edited")
        real(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "start", start)
        with pytest.raises(RuntimeError, match="^run: its file where the rows run is not the driver's; allowed: "):
            hs.sweep(run, {"a": [1]}, executor="local:1", out=out)
    assert len(hs.sweeps.results(out)) == 0


def test_processes_have_one_thread_each(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert told(hs.sweep(studies.threads, {}, 1, "local:1", out)) == ["1"]
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert told(hs.sweep(studies.threads, {}, 1, "local:1", out, fresh=True)) == ["3"]


class Counting(Executor):
    """Runs a call when it is asked to, and keeps how many wait."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any]] = []
        self.most = 0

    _max_workers = 3

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        self.most = max(self.most, len(self.waiting))
        return future


def test_only_a_few_rows_are_in_flight(out: Path) -> None:
    executor = Counting()
    import threading

    stop = threading.Event()

    def drain() -> None:
        while not stop.wait(0.001):
            if executor.waiting:
                future, call = executor.waiting.pop()  # the last first
                future.set_result(call())

    helper = threading.Thread(target=drain)
    helper.start()
    try:
        found = hs.sweep(studies.quick, {"i": list(range(100))}, 3, executor, out)
    finally:
        stop.set()
        helper.join()
    assert told(found) == [i + seed for i in range(100) for seed in range(3)]
    assert executor.most <= 12, "four for each of three"


def test_other_executors_give_the_same_table(tmp_path: Path) -> None:
    grid = {"i": list(range(20))}
    serial = hs.sweep(studies.quick, grid, 3, "serial", tmp_path / "serial").table()
    with ThreadPoolExecutor(3) as pool:
        assert hs.sweep(studies.quick, grid, 3, pool, tmp_path / "threads").table() == serial
    import multiprocessing

    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        assert hs.sweep(studies.quick, grid, 3, processes, tmp_path / "processes").table() == serial
        with pytest.raises(RuntimeError, match=r"^executor: BrokenProcessPool: .*; allowed: .*local:4") as caught:
            hs.sweep(studies.ends, {"how": ["not", "exit"]}, 3, processes, tmp_path / "broken")
    assert "\n" not in str(caught.value)
    found = hs.sweep(studies.ends, {"how": ["not", "exit"]}, 3, "local:1", tmp_path / "broken")
    assert (len(found), found.failed) == (6, 1)


def test_where_rows_cannot_be_ended_late_ones_are_noted_and_their_places_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, late = {"scale": [1.0, 2.0, 3.0]}, {"type": "TimedOut", "message": "took more than 1.5 s"}
    with ThreadPoolExecutor(2) as pool:
        found = hs.sweep(studies.waits, grid, 2, pool, tmp_path / "two", timeout=1.5)
        assert told(found) == [1.0, 1.0, 2.0, late, 3.0, 3.0]
        assert told(hs.sweep(studies.waits, grid, 2, pool, tmp_path / "came back", timeout=1.5))[3] == late
    monkeypatch.setattr(drive, "HOPE", 0.1)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(
            RuntimeError, match=r"^timeout: 1 row hangs, in every place that the executor has; allowed: "
        ):
            hs.sweep(studies.holds, grid, 1, pool, tmp_path / "one", timeout=1.5)
        studies.HOLD.set()
    assert told(hs.sweeps.results(tmp_path / "one")) == [1.0, late]


def test_a_long_row_is_late_everywhere(out: Path) -> None:
    found = hs.sweep(studies.waits, {"scale": [2.0]}, 2, "serial", out, timeout=1.5)
    assert told(found) == [2.0, {"type": "TimedOut", "message": "took more than 1.5 s"}]


REFUSED = [
    ({"run": 3}, "run: 3 is not allowed; allowed: a function"),
    ({"grid": [1]}, "grid: [1] is not allowed; allowed: a dict"),
    ({"grid": {"i": 3}}, "grid['i']: 3 is not allowed; allowed: a list of values"),
    ({"grid": {"i": "ab"}}, "grid['i']: 'ab' is not allowed; allowed: a list"),
    ({"grid": {"i": []}}, "grid['i']: an empty list is not allowed"),
    ({"grid": {"i": [1, 1]}}, "grid['i']: 1 stands there twice"),
    ({"grid": {"i": [hs.float16]}}, "grid['i'][0]: Format is not allowed"),
    ({"grid": {"j": [1]}}, "run: 'j' is not a parameter of it; allowed: i, seed"),
    ({"grid": {}}, "grid: 'i' is missing, which run needs; allowed: i, seed"),
    ({"grid": {"seed": [1]}}, "grid: the name 'seed' is not allowed"),
    ({"seeds": 0}, "seeds: 0 is not allowed; allowed: at least one, from 0 to 2**63 - 1"),
    ({"seeds": [1, 1]}, "seeds: [1, 1] is not allowed"),
    ({"seeds": [-1]}, "seeds: [-1] is not allowed"),
    ({"seeds": "a"}, "seeds: 'a' is not allowed; allowed: how many, a list of integers"),
    ({"executor": "lokal:3"}, "executor: 'lokal:3' is not allowed (did you mean 'local'?); allowed: None, 'serial'"),
    ({"executor": "local:0"}, "executor: 'local:0' is not allowed"),
    ({"executor": "dask"}, "executor: 'dask' is not allowed"),
    ({"executor": 3}, "executor: 3 is not allowed"),
    ({"timeout": 0}, "timeout: 0 is not allowed; allowed: positive seconds, None"),
    ({"retries": -1}, "retries: -1 is not allowed; allowed: integers from 0 on"),
    ({"timeout": "a"}, "timeout: 'a' is not allowed; allowed: numbers, None"),
]


@pytest.mark.parametrize(("wrong", "words"), REFUSED)
def test_wrong_arguments_get_one_line(wrong: dict[str, Any], words: str, out: Path) -> None:
    given: dict[str, Any] = {"run": studies.quick, "grid": {"i": [1]}, "executor": "serial", "out": out, **wrong}
    with pytest.raises((TypeError, ValueError)) as caught:
        hs.sweep(given.pop("run"), given.pop("grid"), **given)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
    assert not list(out.parent.iterdir()), "no file is left"


def test_files_that_are_none_of_ours_are_left_as_they_are(tmp_path: Path) -> None:
    def refused(path: Path, kind: type[Exception], words: str, **more: Any) -> None:
        with pytest.raises(kind, match=words):
            hs.sweep(studies.quick, {"i": [1]}, executor="serial", out=path, **more)

    foreign = tmp_path / "notes.txt"
    foreign.write_text("my notes\n")
    refused(foreign, ValueError, "^out: .*notes.txt' is not a results file of a sweep; allowed: one, or a new path$")
    refused(foreign, ValueError, "is not a results file", fresh=True)
    assert foreign.read_text() == "my notes\n"
    refused(tmp_path, IsADirectoryError, "Is a directory")
    refused(tmp_path / "none" / "results.jsonl", FileNotFoundError, "No such file")
    newer = tmp_path / "newer"
    hs.sweep(studies.quick, {"i": [1]}, executor="serial", out=newer)
    from halfsim.sweeps import lines

    newer.write_bytes(lines._summed(json.dumps({"kind": lines.KIND, "schema": 9})[:-1]))
    refused(newer, ValueError, "has layout 9; allowed: layout 1")
    with pytest.raises(FileNotFoundError):
        hs.sweeps.results(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is not a results file"):
        hs.sweeps.results(foreign)


def test_keys_are_found_whatever_their_bytes(out: Path) -> None:
    """Also such as end in zeros, and such as share a half."""
    draw = np.random.default_rng(1)
    keys = [bytes(draw.integers(0, 4, 16, dtype=np.uint8)) for _ in range(500)]
    keys += [key[:8] + bytes(8) for key in keys[:50]] + [bytes(16), b"\xff" * 16]
    journal = Journal.__new__(Journal)
    journal._first, journal._second = _sorted(b"".join(keys + keys[:9]))
    assert all(key in journal for key in keys)
    assert len(journal) == len({*keys})
    others = [bytes(draw.integers(4, 9, 16, dtype=np.uint8)) for _ in range(50)] + [keys[0][:8] + b"\xfe" * 8]
    assert not any(key in journal for key in others)
    journal._first, journal._second = _sorted(b"")
    assert keys[0] not in journal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_shown_how_far_it_is_and_the_time_that_is_left(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, now = Terminal(), iter(range(0, 10_000, 2))
    hs.sweep(studies.quick, {"i": [0]}, 10, "serial", out)
    monkeypatch.setattr(sys, "stderr", shown)
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr(terminal.time, "monotonic", lambda: next(now))
        with terminal.bar("a study", 100, "rows") as progress:
            for done in (20, 30, 100):
                progress(done, 10)
    assert re.findall(r"(\d+/100 rows)(?:, (.*?) left)? \x1b", shown.getvalue()) == [
        ("20/100 rows", "16 s"), ("30/100 rows", "14 s"), ("100/100 rows", "0 s")
    ]  # fmt: skip
    hs.sweep(studies.quick, {"i": [0, 1]}, 10, "serial", out)
    assert "20/20 rows" in shown.getvalue()
    assert shown.getvalue().endswith("\r\x1b[K"), "it leaves nothing behind"


SCRIPT = """
import halfsim as hs
def run(a, seed): return a * seed
{guard}print(len(hs.sweep(run, {{"a": [1, 2]}}, 2, "local:2", "r.jsonl")))
"""


def test_a_script_is_a_study_and_one_without_a_guard_is_told_so(tmp_path: Path) -> None:
    def ran(guard: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "script.py").write_text(SCRIPT.format(guard=guard))
        return subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = ran("if __name__ == '__main__': ")
    assert (done.stdout, done.stderr) == ("4\n", "")
    assert json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])["function"] == "script:run"
    (tmp_path / "r.jsonl").unlink()
    done = ran("")
    assert done.returncode == 1
    assert "if __name__ == '__main__'" in done.stderr


def test_a_lambda_needs_cloudpickle(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cloudpickle")
    assert told(hs.sweep(lambda seed: seed + 1, {}, 2, "local:1", out)) == [1, 2]
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match=r"^run: function cannot be sent .* 'halfsim\[distributed\]'$"):
        hs.sweep(lambda seed: seed + 1, {}, 2, "local:1", out, fresh=True)


def test_extras_that_are_missing_are_named(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "mpi4py.futures", None)
    for word, extra in (("dask:tcp://127.0.0.1:1", r"halfsim\[distributed\]"), ("mpi", "mpi4py")):
        with pytest.raises(
            ModuleNotFoundError, match=f"^executor: .* is missing; it comes with: pip install .*{extra}"
        ):
            hs.sweep(studies.quick, {"i": [1]}, 1, word, out)
